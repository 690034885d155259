"""Reload: a new configuration is checked, the master executes itself, new processes take over, old ones drain."""

import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from uwsgi_router.protocol.control import encode_done, encode_refusal
from uwsgi_router.router.app.master.fleet import Fleet
from uwsgi_router.router.app.master.launch import STATE, Launch
from uwsgi_router.router.app.master.outcome import NAME, Reloads, publish
from uwsgi_router.router.app.master.preparation import Preparation
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.memory_file import write_memory_file

log = logging.getLogger("uwsgi-router.reload")


class Reload:
    """Reloads of a master, one after the other.

    Args:
        loop: waits.
        launch: how the master was started.
        fleet: its processes.
        execute: executes the master again, given the descriptor of the new configuration; returns if that is not
            possible, why.
        descriptor: of what is published; -1: nothing yet.

    Attributes:
        running: one is under way, up to the new processes' taking over.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        launch: Launch,
        fleet: Fleet,
        execute: Callable[[int], str],
        descriptor: int = -1,
    ) -> None:
        self._loop = loop
        self._launch = launch
        self._fleet = fleet
        self._execute = execute
        self._descriptor = write_memory_file(NAME, b"") if descriptor < 0 else descriptor
        self._reloads = Reloads()
        self._preparation: Preparation | None = None
        self._waiting: list[tuple[int, socket.socket]] = []
        self._begun = 0
        self.running = False
        self._publish()

    # --- from the request to new processes ---

    def ask(self, why: str, waiting: socket.socket | None = None) -> None:
        """Ask for a reload; if one is under way, another one follows.

        Args:
            why: for the log.
            waiting: gets the outcome when it is over, and is closed.
        """
        if self._fleet.ending:
            if waiting is not None:
                self._answer(waiting, "the router stops")
            return
        asked = self._reloads.asked + 1
        self._reloads = Reloads(asked, self._reloads.done, self._reloads.error)
        if waiting is not None:
            waiting.setblocking(False)
            self._waiting.append((asked, waiting))
        self._publish()
        if self._fleet.serving is None:
            log.info("%s: a reload follows when the start is done", why)
        elif self.running:
            log.info("%s: another reload follows the one that is under way", why)
        else:
            log.info("%s: the configuration is read again", why)
            self._begin()

    def cancel(self) -> None:
        """Reload no more: everything ends."""
        if self._preparation is not None:
            self._preparation.cancel()
            self._preparation = None
        for _number, sock in self._waiting:
            self._answer(sock, "the router stops")
        self._waiting.clear()

    def _begin(self) -> None:
        self.running = True
        self._begun = self._reloads.asked
        serving = self._fleet.serving
        seconds = serving.configuration.process.reload_timeout if serving is not None else 60.0
        arguments = list(self._launch.arguments)
        self._preparation = Preparation(
            self._loop, self._fleet.children, arguments, seconds, self._prepared
        )

    def _prepared(self, descriptor: int, why: str) -> None:
        self._preparation = None
        if descriptor >= 0:
            why = self._execute(descriptor)
            os.close(descriptor)
        self.failed(why)

    # --- its end ---

    def failed(self, why: str) -> None:
        """Note that nothing has changed, and why."""
        log.error("nothing has changed: %s", why)
        self._over(why)

    def took_over(self) -> None:
        """Note that processes serve, the first or new ones; a reload is over when the old ones have ended."""
        self.running = False
        self.look()
        if self._begun < self._reloads.asked:
            self._begin()

    @property
    def pid(self) -> int:
        """Process id of the child that prepares; 0: there is none."""
        return 0 if self._preparation is None else self._preparation.pid

    def look(self) -> None:
        """Finish a reload whose old processes have ended."""
        if not self.running and self._begun > self._reloads.done and not self._fleet.draining:
            log.info("the old processes have ended: the reload is over")
            self._over("")

    def _over(self, error: str) -> None:
        begun = self._begun
        self.running = False
        self._reloads = Reloads(self._reloads.asked, max(begun, self._reloads.done), error)
        self._publish()
        for number, sock in self._waiting:
            if number <= begun:
                self._answer(sock, error)
        self._waiting = [one for one in self._waiting if one[0] > begun]
        if error and begun < self._reloads.asked:
            self._begin()

    def _publish(self) -> None:
        publish(self._descriptor, self._reloads)

    @staticmethod
    def _answer(sock: socket.socket, error: str) -> None:
        try:
            sock.send(encode_refusal(error) if error else encode_done(nodes=0))
        except OSError:
            pass
        sock.close()

    # --- over an exec ---

    def state(self) -> Mapping[str, Any]:
        """Return what :meth:`restore` needs."""
        reloads = self._reloads
        return {
            "descriptor": self._descriptor,
            "reloads": [reloads.asked, reloads.done, reloads.error],
            "begun": self._begun,
            "waiting": [[number, sock.fileno()] for number, sock in self._waiting],
        }

    def descriptors(self) -> Iterator[int]:
        """Yield the numbers of all that is open."""
        yield self._descriptor
        for _number, sock in self._waiting:
            yield sock.fileno()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with the reload that an exec was for."""
        self._reloads = Reloads(*state["reloads"])
        self._begun = state["begun"]
        for number, descriptor in state["waiting"]:
            os.set_inheritable(descriptor, False)
            self._waiting.append((number, socket.socket(fileno=descriptor)))
        self.running = True
        self._publish()


def execute(launch: Launch, state: Mapping[str, Any], descriptors: Iterable[int]) -> str:
    """Execute this program again, with its process id, its children and these descriptors.

    Args:
        launch: how it was started.
        state: what it goes on with.
        descriptors: that stay open.

    Returns:
        Why it could not be executed.
    """
    kept = list(descriptors)
    saved = write_memory_file("state", json.dumps(state).encode())
    here, umask = os.getcwd(), os.umask(launch.umask)
    for descriptor in (*kept, saved):
        os.set_inheritable(descriptor, True)
    # Those that come meanwhile wait for the new program's handlers.
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        os.chdir(launch.directory)
        argv = launch.argv()
        os.execve(argv[0], argv, launch.environment(**{STATE: str(saved)}))  # noqa: S606 - no shell is the point
    except OSError as exc:
        why = f"{launch.program[0]} can't be executed: {exc.strerror}"
    os.chdir(here)
    os.umask(umask)
    for descriptor in kept:
        os.set_inheritable(descriptor, False)
    os.close(saved)
    signal.pthread_sigmask(signal.SIG_SETMASK, masked)
    return why
