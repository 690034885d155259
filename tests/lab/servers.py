"""Real application servers as nodes: gunicorn, uvicorn and uWSGI; and one that dies in silence."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab import programs
from tests.lab.messages import HOST, KEY
from tests.lab.nodes import BlackHole
from tests.lab.processes import Process, free_port
from uwsgi_router.protocol.subscription import Subscription, encode

#: The applications that servers run.
APPS = Path(__file__).parent.parent / "peers"


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
        self.wait_until_it_accepts(self.address)


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
        *("--wsgi-file", str(APPS / "web.py"), "--threads", "4", "--no-orphans"),
    ]


KINDS: dict[str, Callable[[str], list[str]]] = {
    "gunicorn-sync": lambda address: _gunicorn(address, "--workers", "2"),
    "gunicorn-gthread": lambda address: _gunicorn(address, "--threads", "4"),
    "uvicorn": _uvicorn,
    "uwsgi": lambda address: _uwsgi("--socket", address),
    # It ends an answer without a length by this timeout (4 s) only.
    "uwsgi-http11": lambda address: [*_uwsgi("--http11-socket", address), "--socket-timeout", "1"],
}


class Vassal(Process):
    """A uWSGI master with workers that run ``app.py``.

    Args:
        name: what its answers call it.
        directory: for its log and fifo.
        address: ``host:port`` or a path.
        announce_to: the subscription server's address; None: it announces itself to nobody.
        announce_every: seconds.
        threads: requests that it works on at once.
        options: further uWSGI options.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        address: str | None = None,
        announce_to: str | None,
        announce_every: int = 10,
        threads: int = 4,
        options: Sequence[str] = (),
    ) -> None:
        self.address = address or f"127.0.0.1:{free_port()}"
        self.fifo = directory / f"{name}.fifo"
        argv = [
            programs.uwsgi(),
            "--master",
            "--socket",
            self.address,
            "--wsgi-file",
            str(APPS / "app.py"),
        ]
        argv += ["--threads", str(threads), "--need-app", "--disable-logging", "--no-orphans"]
        argv += ["--master-fifo", str(self.fifo), "--subscribe-freq", str(announce_every)]
        if announce_to:
            argv += ["--subscribe-to", f"{announce_to}:{HOST}"]
        super().__init__(
            name,
            [*argv, *options],
            log=directory / f"{name}.log",
            env={"VASSAL": name, "NOTIFY_SOCKET": None},
        )

    def wait_ready(self) -> None:
        """Wait until its worker is there."""
        self.wait_for_output("spawned uWSGI worker 1")

    def stop(self) -> None:
        """Let it leave as an operator's Ctrl-C does: it unsubscribes and ends."""
        self.signal(signal.SIGINT)
        self.wait()

    def stop_by_fifo(self) -> None:
        """Let it leave by ``echo q``: it unsubscribes and ends."""
        self._command(b"q")
        self.wait()

    def reload(self) -> None:
        """Let it reload gracefully, and wait until the new generation works."""
        before = len(self.output())
        self.signal(signal.SIGHUP)
        self.wait_for_output("spawned uWSGI worker 1", after=before)

    def _command(self, letter: bytes) -> None:
        fifo = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fifo, letter)
        finally:
            os.close(fifo)


class SilentVassal(BlackHole):
    """A node that announces itself again and again, and whose connects are never answered.

    To a client that looks like a machine that lost its power.
    """

    def __init__(self, announce_to: str, *, announce_every: float) -> None:
        super().__init__()
        host, port = announce_to.rsplit(":", 1)
        self._target = (host, int(port))
        self.announce_every = announce_every
        self.announces = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._announce_again)

    def start(self) -> None:
        """Begin to announce."""
        self._thread.start()

    def close(self) -> None:
        """Fall silent, and refuse connects from now on."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        super().close()

    def _announce_again(self) -> None:
        datagram = encode(Subscription("subscribe", KEY, self.address))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while True:
                sock.sendto(datagram, self._target)
                self.announces += 1
                if self._stop.wait(self.announce_every):
                    return
