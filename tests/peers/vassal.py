"""Real uWSGI instances that announce themselves, and a node that never answers a connect."""

import os
import signal
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.peers import programs
from tests.peers.process import Process, free_port
from uwsgi_router.protocol.uwsgi import MODIFIER_SUBSCRIPTION, encode_packet

KEY = "example.com"
APP = Path(__file__).with_name("app.py")


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
        argv = [programs.uwsgi(), "--master", "--socket", self.address, "--wsgi-file", str(APP)]
        argv += ["--threads", str(threads), "--need-app", "--disable-logging", "--no-orphans"]
        argv += ["--master-fifo", str(self.fifo), "--subscribe-freq", str(announce_every)]
        if announce_to:
            argv += ["--subscribe-to", f"{announce_to}:{KEY}"]
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


class BlackHole:
    """A node that announces itself again and again, and whose connects are never answered.

    A listening socket that nobody accepts from: once its queue is full the kernel drops every SYN
    that arrives, which looks to a client like a machine that lost its power.
    """

    def __init__(self, announce_to: str, *, announce_every: float) -> None:
        host, port = announce_to.rsplit(":", 1)
        self._target = (host, int(port))
        self.announce_every = announce_every
        self.announces = 0
        self._listener = socket.create_server(("127.0.0.1", free_port()), backlog=0)
        self.address = "{}:{}".format(*self._listener.getsockname())
        self._queue: list[socket.socket] = []
        while self._answers():
            assert len(self._queue) < 16, "the accept queue does not fill"
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
        for sock in (self._listener, *self._queue):
            sock.close()

    def _answers(self) -> bool:
        sock = socket.socket()
        self._queue.append(sock)
        sock.settimeout(0.3)
        try:
            sock.connect(self._listener.getsockname())
        except TimeoutError:
            return False
        return True

    def _announce_again(self) -> None:
        variables = [(b"key", KEY.encode()), (b"address", self.address.encode())]
        packet = encode_packet(variables, modifier1=MODIFIER_SUBSCRIPTION)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while True:
                sock.sendto(packet, self._target)
                self.announces += 1
                if self._stop.wait(self.announce_every):
                    return
