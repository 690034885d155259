"""A name server that takes every question and answers none: it stops neither requests nor the program's end."""

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.lab import programs, silent_names
from tests.lab.messages import request
from tests.lab.place import Place
from tests.lab.processes import Process
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.subscription import Subscription, encode

SILENT = [f"n{number}.test" for number in range(40)]


@pytest.fixture
def before(lab: Place) -> list[str]:
    """What puts a program before such a name server."""
    before = silent_names.prepare(lab.directory)
    if subprocess.run([*before, "/bin/true"], check=False, capture_output=True).returncode:
        pytest.skip("no name spaces here")
    return before


def started(lab: Place, before: list[str], *options: str) -> tuple[Process, Path]:
    """A fastrouter with a subscription server on UNIX sockets, which are seen from other networks too."""
    announces = lab.directory / "announce.sock"
    router = lab.program(
        *("router", *before, programs.uwsgi_router()),
        *(
            f"--fastrouter={lab.directory}/router.sock",
            f"--fastrouter-subscription-server={announces}",
        ),
        *(f"--subscription-state={lab.directory}/state", *options),
    )
    return router, announces


def send(to: Path, *addresses: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        for address in addresses:
            key = address.partition(":")[0].encode()
            sock.sendto(encode(Subscription("subscribe", key, address)), str(to))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_state_is_written_and_the_program_ends_at_once(
    lab: Place, before: list[str], loop: str, number: signal.Signals
) -> None:
    router, announces = started(
        lab, before, f"--event-loop={loop}", "--fastrouter-connect-timeout=2"
    )
    router.wait_for_output("is ready")
    send(announces, *(f"{name}:3031" for name in SILENT))
    wait_until(lambda: router.output().count("new node") == len(SILENT), "all are announced")
    for name in SILENT:
        client = socket.socket(socket.AF_UNIX)
        lab.closing(client)
        client.connect(f"{lab.directory}/router.sock")
        client.sendall(request(host=name))
    send(announces, "late.test:3031")
    state = lab.directory / "state"
    wait_until(lambda: state.exists() and "late.test" in state.read_text(), "the state is written")
    router.signal(number)
    # TERM lets requests finish, which have two seconds for their connects.
    assert router.wait(2.0 if number == signal.SIGINT else 5.0) == 0


def test_names_of_configured_nodes_keep_nobody_from_ending_the_start(
    lab: Place, before: list[str]
) -> None:
    to = [f"--fastrouter-to={name}:3031" for name in SILENT]
    router = lab.program(
        *("router", *before, programs.uwsgi_router()),
        *(f"--fastrouter={lab.directory}/router.sock", *to),
    )
    wait_until((lab.directory / "router.sock").exists, "its socket is there")
    router.signal(signal.SIGINT)
    assert router.wait(3.0) in {0, -signal.SIGINT}
    assert not (lab.directory / "router.sock").exists()
    assert "Traceback" not in router.output()


def test_a_name_to_listen_on_keeps_nobody_from_ending_the_start(
    lab: Place, before: list[str]
) -> None:
    first = lab.directory / "first.sock"
    router = lab.program(
        *("router", *before, programs.uwsgi_router()),
        *(f"--shared-socket={first}", f"--fastrouter={SILENT[0]}:3031"),
    )
    wait_until(first.exists, "its first socket is there")
    router.signal(signal.SIGTERM)
    assert router.wait(3.0) == -signal.SIGTERM
    assert not first.exists()
    assert "Traceback" not in router.output()
