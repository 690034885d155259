"""A signal while the program starts: it ends by that signal, without a traceback, and leaves nothing behind."""

import signal
import sys

import pytest

from tests.lab.place import Place
from tests.lab.processes import Process

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def starting(lab: Place, *options: str) -> Process:
    """A router that says which modules it has imported."""
    argv = [sys.executable, "-X", "importtime", "-m", "uwsgi_router"]
    return lab.program("router", *argv, f"--fastrouter={lab.directory}/router.sock", *options)


def ended(router: Process, number: signal.Signals) -> None:
    router.signal(number)
    assert router.wait() == -number
    assert "Traceback" not in router.output()
    assert "KeyboardInterrupt" not in router.output()


@BOTH
@pytest.mark.parametrize(
    "imported",
    ["router.config", "router.config.types", "router.app.master.fleet", "router.core.log"],
)
def test_while_it_imports(lab: Place, imported: str, number: signal.Signals) -> None:
    router = starting(lab)
    router.wait_for_output(f"{imported}\n")
    ended(router, number)
    assert not (lab.directory / "router.sock").exists()
