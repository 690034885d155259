"""Preparation of a reload: the program as it is installed now reads and checks the configuration, in a child."""

import logging
import os
from collections.abc import Callable

from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.children import Children
from uwsgi_router.router.supervision.channel import Channel
from uwsgi_router.router.supervision.loop import SelectorLoop, Timer
from uwsgi_router.router.supervision.process import cause_of
from uwsgi_router.router.supervision.supervisor import SupervisedProgram

log = logging.getLogger("uwsgi-router.reload")


class Preparation:
    """Preparation of a reload, in a child process that tells what it has found.

    Args:
        loop: waits.
        children: makes its command.
        arguments: of the program.
        seconds: that it may take.
        done: called once: with the descriptor of the configuration, or with -1 and why there is none.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        children: Children,
        arguments: list[str],
        seconds: float,
        done: Callable[[int, str], object],
    ) -> None:
        self._loop = loop
        self._done = done
        self._seconds = seconds
        self._found, self._why = -1, ""
        self._over = False
        self._channel, theirs = Channel.pair()
        assignment = Assignment("prepare", 0, 0, 1, theirs.fileno())
        command = children.command(assignment, "", arguments)
        self._program = SupervisedProgram(loop, "the check of the configuration", lambda: command)
        self._program.on_ended = self._ended
        self._timer: Timer = loop.call_later(seconds, self._late)
        loop.add_reader(self._channel.fileno(), self._hear)
        self._program.start()
        # It is started once.
        self._program.machine.stop(loop.time(), seconds)
        theirs.close()

    @property
    def pid(self) -> int:
        """Process id of the child; 0: it has ended."""
        return self._program.pid

    def cancel(self) -> None:
        """End it; nobody is told."""
        self._over = True
        self._program.kill(again=False)
        self._close()

    def _hear(self) -> None:
        try:
            message = self._channel.receive()
        except EOFError:
            self._loop.remove_reader(self._channel.fileno())
            return
        if message is None:
            return
        if message.members.get("prepared") and message.descriptors:
            (self._found,) = message.descriptors
        else:
            self._why = str(message.members.get("problem", ""))
            message.close()

    def _late(self) -> None:
        self._why = f"the check of the configuration takes longer than {self._seconds:g} s"
        self._program.kill(again=False)

    def _ended(self, code: int) -> None:
        if self._over:
            return
        self._over = True
        while self._loop.reads(self._channel.fileno()) and self._found < 0 and not self._why:
            self._hear()
        self._close()
        if self._found < 0 or code != 0:
            if self._found >= 0:
                os.close(self._found)
            why = self._why or f"the check of the configuration has ended ({cause_of(code)})"
            self._done(-1, why)
        else:
            self._done(self._found, "")

    def _close(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
