"""Opcodes and calls per request, by function and by layer, from :mod:`tools.anatomy.opcodes`."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.programs import ROOT, our_router
from bench.scenarios.variants import Variant
from tools.anatomy.chains import Chain, running

#: Seconds until a report is written.
_PATIENCE = 30.0

#: (layer, what its files begin with); the first that fits.
_LAYERS = (
    ("protocol/", ("protocol/",)),
    ("router/proxy/", ("router/proxy/",)),
    ("router/net/", ("router/net/",)),
    ("router/fronts/, router/backs/", ("router/fronts/", "router/backs/")),
    ("router/routing/, subscriptions/", ("router/routing/", "subscriptions/")),
    ("the rest of router/", ("router/",)),
)
#: ``__init__`` and the like have no file.
_MADE = "made by dataclasses"
_STANDARD = "standard library"
_OTHERS = "other packages"
LAYERS = (*(name for name, _beginnings in _LAYERS), _MADE, _STANDARD, _OTHERS)


@dataclass(frozen=True, slots=True)
class Function:
    """Function with its counts.

    Attributes:
        file: relative to our root, if it is there.
        line: where it begins.
        name: with its class's.
        calls: and how often a coroutine went on.
        opcodes: in it, without those of what it called.
    """

    file: str
    line: int
    name: str
    calls: int
    opcodes: int

    @property
    def layer(self) -> str:
        """One of :data:`LAYERS`."""
        for name, beginnings in _LAYERS:
            if self.file.startswith(beginnings):
                return name
        if self.file == "<string>":
            return _MADE
        packages = ("/site-packages/", "/dist-packages/")
        return _OTHERS if any(part in self.file for part in packages) else _STANDARD


@dataclass(frozen=True, slots=True)
class Layer:
    """Layer: functions together.

    Attributes:
        name: one of :data:`LAYERS`.
        calls: of all of them.
        opcodes: of all of them.
    """

    name: str
    calls: int
    opcodes: int


def measure(chain: Chain, variant: Variant, count: int) -> list[Function]:
    """Count what the router's functions do while it answers so many requests.

    Args:
        chain: which.
        variant: of the router, a plain one.
        count: requests.

    Returns:
        Those that were called, the ones with most opcodes first.

    Raises:
        StartError: if the router does not come up.
        MeasureError: if requests are not answered.
    """
    with tempfile.TemporaryDirectory(prefix="anatomy-") as directory:
        report = f"{directory}/opcodes"
        counting = [sys.executable, "-m", "tools.anatomy.opcodes", report]
        with running(
            chain, variant, lambda command: [*counting, *command[len(our_router()) :]]
        ) as chained:
            for number in (1, 2):
                if number == 2:
                    chained.clients.ask(count)
                os.kill(chained.router.pid, signal.SIGPROF)
                written = Path(f"{report}.{number}")
                chained.router.wait_until(written.exists, _PATIENCE)
            return read(written.read_text())


def read(report: str, root: Path = ROOT) -> list[Function]:
    """Read a report of :mod:`tools.anatomy.opcodes`.

    Args:
        report: JSON.
        root: where our packages are.
    """
    functions = [
        Function(
            entry["file"].removeprefix(f"{root}/uwsgi_router/"),
            entry["line"],
            entry["name"],
            entry["calls"],
            entry["opcodes"],
        )
        for entry in json.loads(report)
    ]
    return sorted(functions, key=lambda function: (-function.opcodes, function.file, function.line))


def by_layer(functions: Iterable[Function]) -> list[Layer]:
    """Return the sums of all layers that did something, in the order of :data:`LAYERS`."""
    calls, opcodes = dict.fromkeys(LAYERS, 0), dict.fromkeys(LAYERS, 0)
    for function in functions:
        calls[function.layer] += function.calls
        opcodes[function.layer] += function.opcodes
    return [Layer(name, calls[name], opcodes[name]) for name in LAYERS if opcodes[name]]
