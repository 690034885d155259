"""Children of the master: how each is started, what it may ask for, what it tells."""

import logging
import os
from collections.abc import Iterable
from typing import Any, Final, Protocol

from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.beats import PLACES, Beats
from uwsgi_router.router.app.master.devices import MasterDevices
from uwsgi_router.router.app.master.generation import ChildProcess, Generation
from uwsgi_router.router.app.master.launch import CHILD, Launch
from uwsgi_router.router.app.master.session_table import SessionTable
from uwsgi_router.router.app.master.sockets import Asker, MasterSockets
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.net.activation import SocketRequest
from uwsgi_router.router.net.listeners import BindError
from uwsgi_router.router.supervision.channel import Channel, Message
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.machine import RestartTiming
from uwsgi_router.router.supervision.process import ChildCommand
from uwsgi_router.router.supervision.supervisor import SupervisedProgram

log = logging.getLogger("uwsgi-router.master")

_TIMING: Final = RestartTiming(start=None)
#: Roles of children that outlive their generation, if the next one wants them as they are.
LASTING: Final = frozenset({"jail", "emperor"})


class ChildListener(Protocol):
    """ChildListener to what children tell."""

    def child_told(self, child: ChildProcess, message: Message) -> None:
        """Take what a child says, with its descriptors."""

    def child_started(self, child: ChildProcess) -> None:
        """Take that a child has a process now."""

    def child_ended(self, child: ChildProcess, code: int) -> None:
        """Take that its process has ended: exit status, or the signal, negative."""


class Children:
    """Maker of children.

    Args:
        loop: waits.
        launch: how the master was started.
        sockets: of the master.
        devices: of the master.
        beats: heartbeats.
        listener: is told what they say.
        sessions: see below.

    Attributes:
        sessions: of an Emperor's vassals.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        launch: Launch,
        sockets: MasterSockets,
        devices: MasterDevices,
        beats: Beats,
        listener: ChildListener,
        sessions: SessionTable,
    ) -> None:
        self._loop = loop
        self._launch = launch
        self._sockets = sockets
        self._devices = devices
        self._beats = beats
        self._listener = listener
        self.sessions = sessions
        self._free = list(range(PLACES - 1, -1, -1))

    def make(self, generation: Generation, role: str, number: int, name: str) -> ChildProcess:
        """Return a child that is not started yet."""
        return self._made(generation, role, number, name, self._free.pop())

    def adopted(
        self, generation: Generation, role: str, number: int, name: str, beat: int, made_by: int
    ) -> ChildProcess:
        """Return a child that was made before an exec, by a generation perhaps before this one."""
        self._free.remove(beat)
        child = self._made(generation, role, number, name, beat)
        child.generation = made_by
        return child

    def _made(
        self, generation: Generation, role: str, number: int, name: str, beat: int
    ) -> ChildProcess:
        ends: list[Channel] = []

        def command() -> ChildCommand:
            self._close_channel(child)
            for end in ends:
                end.close()
            ends.clear()
            child.channel, theirs = Channel.pair()
            ends.append(theirs)
            self._beats.clear(beat)
            return self._command(child, theirs.fileno())

        def started() -> None:
            for end in ends:
                end.close()
            ends.clear()
            self._listen(child)
            self._listener.child_started(child)

        def ended(code: int) -> None:
            self._hear(child)
            self._close_channel(child)
            self._beats.clear(beat)
            self._listener.child_ended(child, code)

        program = SupervisedProgram(self._loop, name, command, _TIMING)
        child = ChildProcess(role, number, generation, beat, program)
        program.on_started, program.on_ended = started, ended
        return child

    def adopt(self, child: ChildProcess, pid: int, channel: int, *, ready: bool) -> None:
        """Go on with the process of a child that was started before an exec."""
        child.channel = Channel.of(channel)
        self._listen(child)
        child.program.adopt(pid, ready=ready)

    def forget(self, child: ChildProcess) -> None:
        """Let the place of a child that has ended be another one's."""
        self._close_channel(child)
        self._beats.clear(child.beat)
        self._free.append(child.beat)

    # --- its process ---

    def _command(self, child: ChildProcess, channel: int) -> ChildCommand:
        generation = child.source
        assignment = Assignment(
            child.role,
            child.number,
            generation.number,
            generation.slots,
            channel,
            generation.descriptor,
            self._beats.descriptor,
            child.beat,
            takes_over=child.takes_over,
            sessions=self.sessions.descriptor if child.role == "emperor" else -1,
        )
        return self.command(assignment, child.program.name)

    def command(
        self, assignment: Assignment, name: str, arguments: Iterable[str] | None = None
    ) -> ChildCommand:
        """Return the command of a process with this assignment.

        Args:
            assignment: what it inherits.
            name: shown as its argument.
            arguments: instead of that, for a process that reads them.
        """
        descriptor = assignment.write()
        self._loop.call_later(0, os.close, descriptor)
        return ChildCommand(
            self._launch.argv([name] if arguments is None else list(arguments)),
            self._launch.environment(**{CHILD: str(descriptor)}),
            self._launch.directory,
            [*assignment.descriptors, descriptor],
            self._launch.umask,
        )

    # --- what it says ---

    def _listen(self, child: ChildProcess) -> None:
        assert child.channel is not None
        self._loop.add_reader(child.channel.fileno(), lambda: self._hear(child))

    def _hear(self, child: ChildProcess) -> None:
        while child.channel is not None:
            try:
                message = child.channel.receive()
            except EOFError:
                # Its pidfd tells of its end.
                self._loop.remove_reader(child.channel.fileno())
                return
            if message is None:
                return
            if "open" in message.members:
                self._open(child, message)
            elif "device" in message.members:
                self._open_device(child, message)
            else:
                self._listener.child_told(child, message)

    def _close_channel(self, child: ChildProcess) -> None:
        if child.channel is not None:
            self._loop.remove_reader(child.channel.fileno())
            child.channel.close()
            child.channel = None

    def _open(self, child: ChildProcess, message: Message) -> None:
        """Open sockets that a child asks for."""
        members = message.members
        request = SocketRequest(
            members["kind"],
            members["open"],
            members["options"],
            members["first"],
            members["lanes"],
            members["workers"],
            [(family, _sockaddr(one)) for family, one in members["targets"] or ()] or None,
        )
        try:
            found = self._sockets.open(request, self._asker(child, message))
        except BindError as exc:
            child.tell(refused=str(exc))
            return
        descriptors: list[int] = []
        for one in found:
            descriptors.append(one.sock.fileno())
            if one.second is not None:
                descriptors.append(one.second.fileno())
        opened = [
            {"name": one.name, "own": not one.inherited, "second": one.second is not None}
            for one in found
        ]
        child.tell(*descriptors, opened=opened)

    def _open_device(self, child: ChildProcess, message: Message) -> None:
        """Open a TUN device that a child asks for."""
        try:
            device = self._devices.open(message.members["device"], user_of(child))
        except StartError as exc:
            child.tell(refused=str(exc))
        else:
            child.tell(device.descriptor, opened=device.name)

    def _asker(self, child: ChildProcess, message: Message) -> Asker:
        members = message.members
        return Asker(
            user_of(child),
            child.number if child.role == "worker" else 0,
            members["directory"],
            members["umask"],
        )


def _sockaddr(value: list[Any] | str) -> tuple[Any, ...] | str:
    """Return a socket address as it was before it was written as JSON."""
    return tuple(value) if isinstance(value, list) else value


def user_of(child: ChildProcess) -> str:
    """Return by what name a child's sockets are kept: its generation's; jails and an Emperor outlive that."""
    if child.role in LASTING:
        return f"{child.program.name}-{child.generation}"
    return str(child.generation)


def told(children: Iterable[ChildProcess], **members: object) -> int:
    """Tell several children the same; return how many can hear it."""
    return sum(child.tell(**members) for child in children)
