"""Runs targets for a while; a failure comes with what is needed to see it again."""

import random
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.fuzz.mutation import Mutator
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS, WORDS

VECTORS = Path(__file__).parent.parent / "vectors" / "uwsgi-packets.tsv"
#: No input may keep a parser busy for longer, in seconds.
HANG = 5.0

_CORPUS = 2_000
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise."""

    target: str
    seed: int
    data: bytes
    trace: str

    def __str__(self) -> str:
        return (
            f"{self.trace}\ntarget {self.target}, seed {self.seed}, {len(self.data)} bytes; again:\n"
            f"  python -m tests.fuzz --target {self.target} --input {self.data.hex() or '-'}"
        )


class Hung(BaseException):
    """An input that keeps a parser busy. Not an Exception: nothing may swallow it."""


def recorded() -> list[bytes]:
    """Return the captured packets that every target starts from."""
    lines = VECTORS.read_text().splitlines()
    return [bytes.fromhex(line.split("\t")[1]) for line in lines if line]


def seeds(target: Target) -> list[bytes]:
    """Return what a target starts from."""
    found = dict.fromkeys(seed for packet in recorded() for seed in target.seeds(packet))
    return list(found) or [b""]


def check(target: Target, seed: int, data: bytes) -> tuple[str, Finding | None]:
    """Try one input, inside :func:`hangs_are_found`.

    Returns:
        Its outcome, and the finding if it broke something.
    """
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG)
    try:
        return target.check(data), None
    except (Exception, Hung):  # noqa: BLE001 - whatever it is, it is what was looked for
        return "broken", Finding(target.name, seed, data, traceback.format_exc())


def fuzz(
    seconds: float, seed: int, *, inputs: int | None = None, targets: tuple[Target, ...] = TARGETS
) -> tuple[dict[str, int], Finding | None]:
    """Fuzz the targets in turn.

    Args:
        seconds: how long, for all together.
        seed: of everything random.
        inputs: stop after so many for each target.
        targets: what to fuzz.

    Returns:
        Inputs tried by target, and the first finding, made small.
    """
    end = time.monotonic() + seconds
    mutator = Mutator(random.Random(seed), WORDS)
    corpora = {target.name: seeds(target) for target in targets}
    words: dict[str, set[str]] = {target.name: set() for target in targets}
    tried = dict.fromkeys(corpora, 0)
    with hangs_are_found():
        for target in targets:
            for data in corpora[target.name]:
                word, finding = check(target, seed, data)
                if finding:
                    return tried, smaller(target, finding)
                words[target.name].add(word)
        while time.monotonic() < end and (inputs is None or min(tried.values()) < inputs):
            for target in targets:
                corpus = corpora[target.name]
                for _ in range(_BATCH):
                    data = mutator.make(corpus)
                    word, finding = check(target, seed, data)
                    if finding:
                        return tried, smaller(target, finding)
                    if word not in words[target.name] and len(corpus) < _CORPUS:
                        words[target.name].add(word)
                        corpus.append(data)
                    tried[target.name] += 1
    return tried, None


def smaller(target: Target, finding: Finding) -> Finding:
    """Cut pieces out of an input for as long as the same error comes."""
    error = finding.trace.splitlines()[-1]
    size = len(finding.data) // 2
    while size:
        at = 0
        while at < len(finding.data):
            data = finding.data[:at] + finding.data[at + size :]
            _, found = check(target, finding.seed, data)
            if found and found.trace.splitlines()[-1] == error:
                finding = found
            else:
                at += size
        size //= 2
    return finding


@contextmanager
def hangs_are_found() -> Iterator[None]:
    """Inside, an input that takes longer than HANG seconds of CPU raises Hung."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Hung(f"no answer for {HANG:g} s")

    before = signal.signal(signal.SIGVTALRM, interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
