"""Fleet: the generations of processes that a master keeps running, one that serves and others that come or go."""

import logging
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from uwsgi_router.router.app.file_watch import FileWatch
from uwsgi_router.router.app.master import feeds
from uwsgi_router.router.app.master.beats import Beats
from uwsgi_router.router.app.master.children import LASTING, Children, told, user_of
from uwsgi_router.router.app.master.devices import MasterDevices
from uwsgi_router.router.app.master.generation import ChildProcess, Generation, Stage
from uwsgi_router.router.app.master.handing_on import HandingOn
from uwsgi_router.router.app.master.lasting import add_lasting, end_orphans, take_over
from uwsgi_router.router.app.master.launch import Launch
from uwsgi_router.router.app.master.lending import Lending
from uwsgi_router.router.app.master.session_table import SessionTable
from uwsgi_router.router.app.master.sockets import MasterSockets
from uwsgi_router.router.config.model import Configuration, ProcessConfig
from uwsgi_router.router.net.listeners import BoundSocket
from uwsgi_router.router.supervision.channel import Message
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.machine import State
from uwsgi_router.router.supervision.process import cause_of

log = logging.getLogger("uwsgi-router.master")
_log_reload = logging.getLogger("uwsgi-router.reload")

#: Generations that may drain at once.
MOST_DRAINING: Final = 2


class FleetListener(Protocol):
    """Listener to what becomes of generations."""

    def serving(self, generation: Generation) -> None:
        """Take that a generation serves, instead of the one before it."""

    def failed(self, generation: Generation, why: str) -> None:
        """Take that a generation could not start; it has been given up."""

    def gone(self) -> None:
        """Take that a process has ended that was to end."""

    def asked(self, child: ChildProcess, message: Message) -> None:
        """Take what else a child says."""


class Fleet:
    """Fleet of a master.

    Args:
        loop: waits.
        launch: how the master was started.
        sockets: of the master.
        beats: heartbeats of all children.
        listener: is told what becomes of them.

    Attributes:
        generations: the newest last.
        sockets: see above.
        beats: see above.
        children: makes children.
        ending: everything ends.
        users: by which other names sockets are used.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        launch: Launch,
        sockets: MasterSockets,
        beats: Beats,
        listener: FleetListener,
    ) -> None:
        self._loop = loop
        self._listener = listener
        self.sockets = sockets
        self.beats = beats
        self._devices = MasterDevices()
        self.children = Children(loop, launch, sockets, self._devices, beats, self, SessionTable())
        self.generations: list[Generation] = []
        self._lending = Lending(sockets)
        self._handing_on: HandingOn | None = None
        self.ending = False
        self.users: set[str] = set()
        self._file_watch: FileWatch | None = None

    # --- who there is ---

    @property
    def serving(self) -> Generation | None:
        """The generation that serves."""
        found = (one for one in self.generations if one.stage is Stage.SERVING)
        return next(found, None)

    @property
    def starting(self) -> Generation | None:
        """The generation that comes."""
        found = (one for one in self.generations if one.stage is Stage.STARTING)
        return next(found, None)

    @property
    def draining(self) -> list[Generation]:
        """The generations that go, the oldest first."""
        return [one for one in self.generations if one.stage is Stage.DRAINING]

    def running(self) -> Iterator[ChildProcess]:
        """Yield all that have a process."""
        for generation in self.generations:
            yield from generation.running

    # --- a generation comes ---

    def start(self, configuration: Configuration, descriptor: int = -1) -> Generation:
        """Start the processes of a configuration; they take over when all of them are ready.

        Args:
            configuration: checked already.
            descriptor: of a memory file with it; -1: none yet.
        """
        number = self.generations[-1].number + 1 if self.generations else 1
        generation = Generation(number, configuration, descriptor)
        before = self.serving
        if before is not None:
            seconds = configuration.process.reload_timeout
            self._loop.call_later(seconds, self._late, generation, seconds)
        self.generations.append(generation)
        generation.slots = configuration.workers
        if generation.slots > 1:
            generation.children.append(self.children.make(generation, "keeper", 0, "the keeper"))
        for place in range(generation.slots):
            worker = self.children.make(generation, "worker", place, f"worker {place + 1}")
            generation.children.append(worker)
        if before is not None and generation.owner is not None:
            generation.owner.takes_over = True
        add_lasting(self.children, before, generation)
        for child in generation.children:
            if not child.program.pid:
                child.program.start()
        self._look(generation)
        return generation

    def _look(self, generation: Generation) -> None:
        """Have a generation serve once all its processes are ready."""
        if generation.stage is not Stage.STARTING or not generation.ready or self.ending:
            return
        before = self.serving
        generation.stage = Stage.SERVING
        take_over(generation)
        self._watch_files(generation.configuration.process)
        leaving = [] if before is None else self._drain(before, generation)
        self._handing_on = HandingOn(
            self._loop, leaving, lambda: self._listener.serving(generation)
        )

    def _late(self, generation: Generation, seconds: float) -> None:
        """Give a generation up that is not ready in time."""
        if generation in self.generations and generation.stage is Stage.STARTING:
            programs = [child.program for child in generation.children]
            late = [one.name for one in programs if not one.machine.was_ready]
            why = f"{', '.join(late)}: not ready within {seconds:g} s (reload-timeout)"
            self.give_up(generation, why)

    def give_up(self, generation: Generation, why: str) -> None:
        """End the processes of a generation that can't start; the one before it serves on."""
        self.generations.remove(generation)
        serving = self.serving
        for child in generation.children:
            if serving is not None and child in serving.children:
                continue
            child.program.kill(again=False)
            self.children.forget(child)
        self._release()
        if serving is not None:
            told(serving.running, do="keep")
            feeds.reconnect(serving, self.draining, serving.owner)
        self._listener.failed(generation, why)

    # --- a generation goes ---

    def _drain(self, generation: Generation, successor: Generation) -> list[ChildProcess]:
        """Let the processes of a generation finish; return those that will say that they have left their listeners."""
        generation.stage = Stage.DRAINING
        generation.children = [
            child for child in generation.children if child not in successor.children
        ]
        process = successor.configuration.process
        leaving = self.sockets.leaving(self._users(but=generation))
        mercy = max(process.reload_mercy, process.drain_streams)
        told_all = [child for child in generation.running if child.role not in LASTING]
        for child in generation.children:
            child.tell(
                do="drain",
                grace=process.drain_grace,
                mercy=process.reload_mercy,
                streams=process.drain_streams,
                leaving=leaving,
            )
            child.program.stop(mercy=mercy)
        self._release()
        for old in self.draining[:-MOST_DRAINING]:
            _log_reload.warning("generation %d is cut off: two others drain", old.number)
            for child in old.children:
                child.tell(do="stop-now")
                child.program.stop()
        self._look_for_end(generation)
        return told_all

    def _look_for_end(self, generation: Generation) -> None:
        """Forget a generation whose processes have ended."""
        if generation not in self.generations:
            return
        if generation.stage is Stage.DRAINING and not any(True for _ in generation.running):
            self.generations.remove(generation)
            for child in generation.children:
                self.children.forget(child)
            generation.close()
        self._listener.gone()

    def _users(self, but: Generation | None = None) -> set[str]:
        """Return by which names sockets are used."""
        return self.users | {
            user_of(child)
            for generation in self.generations
            if generation is not but and generation.stage is not Stage.DRAINING
            for child in generation.children
        }

    def _release(self) -> None:
        for one in (self.sockets, self._devices):
            one.release(self._users())

    def end(self, *, do: str, mercy: float) -> bool:
        """Tell all processes to end; return False if there is none.

        Args:
            do: ``stop`` or ``stop-now``.
            mercy: seconds for what runs.
        """
        self.ending = True
        if self._file_watch is not None:
            self._file_watch.close()
        self.sockets.unlink()
        children = list(self.running())
        told(children, do=do, mercy=mercy)
        for child in children:
            if not child.program.machine.was_ready:
                # It may be waiting for a name.
                child.program.signal(signal.SIGTERM)
        for generation in self.generations:
            for child in generation.children:
                child.program.stop(mercy=mercy)
        self.sockets.close()
        return bool(children)

    def kill(self) -> None:
        """End all processes without their doing."""
        for child in self.running():
            child.program.kill(again=False)

    # --- what children say ---

    def child_told(self, child: ChildProcess, message: Message) -> None:
        """Take what a child says."""
        members = message.members
        if "failed" in members:
            self._failed(child, str(members["failed"]))
        elif "left" in members:
            self._left(child)
        elif "built" in members:
            feeds.hand_over(self.serving, self.draining, child)
        elif "ready" in members:
            child.takes_over = False
            self._lending.ready(child)
            child.loop = members.get("loop", "")
            child.program.ready()
            for generation in self.generations:
                self._look(generation)
        else:
            self._listener.asked(child, message)
            return
        message.close()

    def child_started(self, child: ChildProcess) -> None:
        """Take that a child has a process now."""
        for generation in self.generations:
            if child in generation.children:
                again = child.program.machine.restarts > 0
                feeds.started(generation, child, again=again)

    def child_ended(self, child: ChildProcess, code: int) -> None:
        """Take that a child's process has ended."""
        self._left(child)
        if child.role == "emperor":
            end_orphans(self.children.sessions)
        if not child.program.machine.was_ready:
            self._failed(
                child, f"{child.program.name} has ended before it was ready ({cause_of(code)})"
            )
        for generation in list(self.generations):
            if child in generation.children:
                if child.role == "worker" and not child.program.machine.stopping:
                    self._lending.ended(generation, child)
                self._look_for_end(generation)
        if self.ending:
            self._listener.gone()

    def _left(self, child: ChildProcess) -> None:
        if self._handing_on is not None:
            self._handing_on.left(child)

    def _failed(self, child: ChildProcess, why: str) -> None:
        """Take that a child can't start."""
        if self.ending or child.program.machine.state is State.ENDED:
            return
        if child.program.machine.was_ready:
            log.error("%s can't start again: %s", child.program.name, why)
            return
        for generation in self.generations:
            if child in generation.children and generation.stage is Stage.STARTING:
                self.give_up(generation, why)
                return

    # --- files of sockets ---

    def _watch_files(self, process: ProcessConfig) -> None:
        """Look after the files of UNIX sockets, from now on."""
        if self._file_watch is not None:
            self._file_watch.close()
        for bound in self.sockets.watched():
            bound.on_replaced = self._replacing(bound)
        watched = self.sockets.watched()
        self._file_watch = FileWatch(watched, process, self._loop, lambda: None)
        self._file_watch.start()

    def _replacing(self, bound: BoundSocket) -> Callable[[socket.socket, socket.socket], None]:
        """Return a function that tells the children of another socket."""

        def replaced(new: socket.socket, _old: socket.socket) -> None:
            for (kind, text), place in self.sockets.keys_of(bound):
                for child in self.running():
                    child.tell(new.fileno(), do="replace", kind=kind, text=text, place=place)

        return replaced

    # --- over an exec ---

    def state(self) -> Mapping[str, Any]:
        """Return what :meth:`restore` needs."""
        return {
            "sockets": self.sockets.state(),
            "devices": self._devices.state(),
            "beats": self.beats.descriptor,
            "sessions": self.children.sessions.descriptor,
            "generations": [one.state() for one in self.generations],
        }

    def descriptors(self) -> Iterator[int]:
        """Yield the numbers of all that is open."""
        yield from self.sockets.descriptors()
        yield from self._devices.descriptors()
        yield self.beats.descriptor
        yield self.children.sessions.descriptor
        for generation in self.generations:
            yield generation.descriptor
            for child in generation.children:
                if child.channel is not None:
                    yield child.channel.fileno()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with the processes of generations that were there before an exec."""
        self._devices.restore(state["devices"])
        # Another version may not have had them.
        self.children.sessions = SessionTable.restore(state.get("sessions"))
        for saved in state["generations"]:
            generation = Generation.restore(saved)
            self.generations.append(generation)
            for one in saved["children"]:
                child = self.children.adopted(
                    generation, one["role"], one["number"], one["name"], one["beat"], one["owner"]
                )
                child.loop = one["loop"]
                generation.children.append(child)
                if one["pid"]:
                    self.children.adopt(child, one["pid"], one["channel"], ready=one["ready"])
                if one["stopping"]:
                    # Another reload gives nobody more time; an older version does not tell how much.
                    child.program.stop_by(one.get("deadline", self._loop.time() + 70.0))
                elif not one["pid"]:
                    child.program.start()
        serving = self.serving
        if serving is not None:
            self._watch_files(serving.configuration.process)
