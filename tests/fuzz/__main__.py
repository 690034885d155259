"""``python -m tests.fuzz --seconds 600``: fuzz everything that outsiders can send to.

With ``atheris`` installed, coverage guides the inputs (each target in a process of its own, because
libFuzzer ends the process it runs in); otherwise they are mutations of recorded packets.
"""

# ruff: noqa: T201

import argparse
import gc
import importlib
import importlib.util
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FunctionType

from tests.fuzz import runner
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_WATCHED = {"protocol", "subscriptions", "router"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    names = [target.name for target in TARGETS]
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--target", choices=names, help="only this one")
    parser.add_argument("--input", metavar="HEX", help="try only this input; - is an empty one")
    parser.add_argument("--plain", action="store_true", help="without atheris, even if it is there")
    parser.add_argument("--guided", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    targets = tuple(t for t in TARGETS if options.target in {None, t.name})
    if options.input is not None:
        data = bytes.fromhex(options.input.strip("-"))
        return max(once(target, data) for target in targets)
    if options.guided:
        return guided(targets[0], options.seconds, options.seed)
    if options.plain or importlib.util.find_spec("atheris") is None:
        return plain(targets, options.seconds, options.seed)
    each = max(1, options.seconds // len(targets))
    command = [sys.executable, "-m", "tests.fuzz", "--guided", f"--seconds={each}"]
    command.append(f"--seed={options.seed}")
    ends = [subprocess.run([*command, f"--target={t.name}"], check=False) for t in targets]
    return int(any(end.returncode for end in ends))


def once(target: Target, data: bytes) -> int:
    """Try one input."""
    with runner.hangs_are_found():
        word, finding = runner.check(target, 0, data)
    print(f"{target.name}: {finding or word}")
    return int(finding is not None)


def plain(targets: tuple[Target, ...], seconds: int, seed: int) -> int:
    """Mutate recorded packets."""
    print(f"seed {seed}, {seconds} s, mutations of recorded packets", flush=True)
    tried, finding = runner.fuzz(seconds, seed, targets=targets)
    for name, count in tried.items():
        print(f"{name:12}{count:12,} inputs")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"most memory used: {memory:.0f} MiB")
    if finding:
        print(f"\n{finding}")
        return 1
    print("nothing found")
    return 0


def guided(target: Target, seconds: int, seed: int) -> int:
    """Let libFuzzer look for new paths through one target; it ends the process itself."""
    atheris = importlib.import_module("atheris")
    # Ours only: instrumenting everything that is imported takes longer than a short run.
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and str(thing.__module__).split(".")[0] in _WATCHED:
            atheris.instrument_func(thing)

    def try_one(data: bytes) -> None:
        _, finding = runner.check(target, seed, data)
        if finding:
            print(f"\n{runner.smaller(target, finding)}", flush=True)
            raise AssertionError(f"target {target.name}: see above")

    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(runner.seeds(target)):
            (Path(corpus) / f"{number}").write_bytes(data)
        arguments = [f"-max_total_time={seconds}", f"-seed={seed % 2**31 or 1}", "-max_len=8192"]
        arguments += [f"-artifact_prefix={corpus}/", "-verbosity=0", corpus]
        with runner.hangs_are_found():
            atheris.Setup([sys.argv[0], *arguments], try_one)
            atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
