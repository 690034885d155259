"""Application servers behind the HTTP router: gunicorn, uvicorn and uWSGI with the same small app."""

import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.peers import programs
from tests.peers.process import Process, free_port, wait_until


class Server(Process):
    """One server on a free port.

    Args:
        kind: of :data:`KINDS`.
        directory: for its log.
        name: what its answers call it in X-Node.
        options: further options of its command.
    """

    def __init__(
        self, kind: str, directory: Path, *, name: str = "node", options: Sequence[str] = ()
    ) -> None:
        self.kind = kind
        #: What it speaks, as announces call it.
        self.proto = "uwsgi" if kind == "uwsgi" else "http"
        self.address = f"127.0.0.1:{free_port()}"
        super().__init__(
            name,
            [*KINDS[kind](self.address), *options],
            log=directory / f"{name}.log",
            env={"NODE": name, "NOTIFY_SOCKET": None, "PYTHONUNBUFFERED": "1"},
            cwd=programs.ROOT,
        )

    def wait_ready(self) -> None:
        """Wait until it accepts; its workers may come a little later."""
        wait_until(self._accepts, f"{self.kind} accepts")

    def _accepts(self) -> bool:
        assert self.running(), f"{self.kind} did not start:\n{self.output()}"
        host, port = self.address.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), 5).close()
        except ConnectionRefusedError:
            return False
        return True


def _gunicorn(address: str, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "--bind", address, "--no-control-socket"),
        *("--graceful-timeout", "2", *options, "tests.peers.web:application"),
    ]


def _uvicorn(address: str) -> list[str]:
    host, port = address.rsplit(":", 1)
    return [
        *(sys.executable, "-m", "uvicorn", "--host", host, "--port", port, "--no-proxy-headers"),
        *("--ws", "websockets-sansio", "--no-access-log", "tests.peers.asgi:application"),
    ]


def _uwsgi(option: str, address: str) -> list[str]:
    return [
        *(programs.uwsgi(), "--master", option, address, "--need-app", "--disable-logging"),
        *("--wsgi-file", str(Path(__file__).with_name("web.py")), "--threads", "4", "--no-orphans"),
    ]


KINDS: dict[str, Callable[[str], list[str]]] = {
    "gunicorn-sync": lambda address: _gunicorn(address, "--workers", "2"),
    "gunicorn-gthread": lambda address: _gunicorn(address, "--threads", "4"),
    "uvicorn": _uvicorn,
    "uwsgi": lambda address: _uwsgi("--socket", address),
    # It ends an answer without a length by this timeout (4 s) only.
    "uwsgi-http11": lambda address: [*_uwsgi("--http11-socket", address), "--socket-timeout", "1"],
}
