"""forkpty router: accepts clients, starts a program on a pseudo-terminal for each, reaps what has ended."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from uwsgi_router.protocol.pty import PtyParser
from uwsgi_router.router.config.jails import ForkptyConfig
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.jails.forkpty.access import PtyAccess, client_of
from uwsgi_router.router.jails.forkpty.program import PtyProgram, environment_of_programs
from uwsgi_router.router.jails.forkpty.session import PtySession
from uwsgi_router.router.net.acceptor import Acceptor, Peer
from uwsgi_router.router.net.connect import to_socket
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.supervision.process import cause_of

log = logging.getLogger("uwsgi-router.forkpty")


@dataclass(slots=True)
class PtyCounters:
    """Numbers for the statistics; bytes are those of sessions that have ended."""

    sessions: int = 0
    refused: int = 0
    failed: int = 0
    received: int = 0
    sent: int = 0


class PtyRun:
    """One program, and its client's session while that lasts.

    Attributes:
        name: for the log.
        program: maybe reaped already, while its last words are delivered.
        session: None once it has ended.
        killer: will end a program that SIGHUP has not ended.
    """

    def __init__(self, name: str, program: PtyProgram) -> None:
        self.name = name
        self.program = program
        self.session: PtySession | None = None
        self.killer: asyncio.TimerHandle | None = None


class ForkptyServer:
    """Router of terminals.

    Args:
        config: its configuration.
        raw: listeners whose clients' bytes are input.
        packets: listeners whose clients send packets.
        loop: the event loop.
        uids: users that may connect beside root and our own.
        grace: seconds between SIGHUP and SIGKILL.

    Attributes:
        counters: see :class:`PtyCounters`.
    """

    def __init__(
        self,
        config: ForkptyConfig,
        raw: Sequence[BoundSocket],
        packets: Sequence[BoundSocket],
        *,
        loop: asyncio.AbstractEventLoop,
        uids: Iterable[int] = (),
        grace: float = 5.0,
    ) -> None:
        self._config = config
        self._loop = loop
        self._grace = grace
        self._access = PtyAccess(frozenset(uids), tcp=config.allow_tcp)
        self._environment = environment_of_programs(os.environ)
        self._acceptors = [
            Acceptor(loop, listeners, partial(self._connected, packets=as_packets))
            for listeners, as_packets in ((raw, False), (packets, True))
            if listeners
        ]
        self._runs: set[PtyRun] = set()
        self._limited = RateLimited(log)
        self._all_ended = asyncio.Event()
        self._stopping = False
        self.counters = PtyCounters()

    @property
    def active_sessions(self) -> int:
        """Clients that have a terminal."""
        return sum(run.session is not None for run in self._runs)

    @property
    def programs(self) -> int:
        """Programs that have not been reaped yet."""
        return sum(not run.program.reaped for run in self._runs)

    # --- its life ---

    def start(self) -> None:
        """Begin to accept."""
        for acceptor in self._acceptors:
            acceptor.start()

    async def stop(self) -> None:
        """Stop accepting, end the sessions, and wait until all programs are reaped."""
        self._stopping = True
        for acceptor in self._acceptors:
            acceptor.stop(drain=False)
        for run in list(self._runs):
            if run.session is not None:
                run.session.close("the router stops")
        if self._runs:
            await self._all_ended.wait()

    # --- clients ---

    def _connected(self, bare: socket.SocketType, peer: Peer, *, packets: bool) -> None:
        sock = to_socket(bare)
        name = client_of(sock, peer[0])
        refusal = self._access.refusal(sock)
        if refusal is not None:
            self.counters.refused += 1
            self._limited.warning("refused", "%s: %s", name, refusal)
            _say(sock, refusal)
            return
        config = self._config
        try:
            program = PtyProgram(config.command, self._environment, config.rows, config.cols)
        except OSError as exc:
            self.counters.failed += 1
            command = config.command or "/bin/sh"
            text = f"{command} can't be run on a terminal ({exc.strerror})"
            self._limited.error("failed", "%s: %s", name, text)
            _say(sock, text)
            return
        self.counters.sessions += 1
        run = PtyRun(f"{name}, program {program.pid}", program)
        self._runs.add(run)
        self._all_ended.clear()
        run.session = PtySession(
            self._loop,
            sock,
            program,
            PtyParser() if packets else None,
            config.timeout,
            partial(self._session_ended, run),
        )
        self._loop.add_reader(program.pidfd, self._program_ended, run)
        log.info("%s: a session begins", run.name)
        if len(self._runs) >= config.max_sessions:
            for acceptor in self._acceptors:
                acceptor.pause()

    def _session_ended(self, run: PtyRun, reason: str) -> None:
        session, run.session = run.session, None
        assert session is not None
        self.counters.received += session.received
        self.counters.sent += session.sent
        log.info("%s: the session ends: %s", run.name, reason)
        if run.program.reaped:
            self._forget(run)
        else:
            run.killer = self._loop.call_later(self._grace, self._kill, run)

    def _kill(self, run: PtyRun) -> None:
        log.warning("%s: it does not end at SIGHUP: killed", run.name)
        run.program.kill()

    def _program_ended(self, run: PtyRun) -> None:
        # What it printed is still to be delivered, so its session ends by itself.
        program = run.program
        self._loop.remove_reader(program.pidfd)
        status = program.reap()
        if run.killer is not None:
            run.killer.cancel()
        log.info("%s: ended: %s", run.name, _shown(status))
        if run.session is None:
            self._forget(run)

    def _forget(self, run: PtyRun) -> None:
        """Forget a run of which neither program nor session is left."""
        self._runs.remove(run)
        if not self._runs:
            self._all_ended.set()
        if not self._stopping:
            for acceptor in self._acceptors:
                acceptor.resume()


def _shown(status: int | None) -> str:
    return "somebody else knows how" if status is None else cause_of(status)


def _say(sock: socket.socket, text: str) -> None:
    """Tell a client why it gets no terminal, and close."""
    try:
        sock.send(f"uwsgi-router: {text}\r\n".encode(errors="backslashreplace"))
    except OSError:
        pass
    sock.close()
