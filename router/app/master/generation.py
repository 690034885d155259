"""Generation: the processes of one configuration, from their start to their end."""

import enum
import os
from collections.abc import Iterator, Mapping
from typing import Any

from uwsgi_router.router.app.master.value import dump, load
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.supervision.channel import Channel
from uwsgi_router.router.supervision.memory_file import read_memory_file, write_memory_file
from uwsgi_router.router.supervision.supervisor import SupervisedProgram


class Stage(enum.Enum):
    """Stage of a generation."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class ChildProcess:
    """ChildProcess process of a generation.

    Attributes:
        role: ``worker``, ``keeper``, ``jail`` or ``emperor``.
        number: from 0.
        generation: number of the generation that made it.
        source: generation whose configuration its next process gets.
        program: keeps it running.
        channel: to its process; None: there is none.
        beat: number of its heartbeat.
        loop: name of its event loop's module, once it is ready.
        takes_over: it takes the table of announced nodes of the generation before, when it is started first.
    """

    def __init__(
        self,
        role: str,
        number: int,
        source: "Generation",
        beat: int,
        program: SupervisedProgram,
    ) -> None:
        self.role = role
        self.number = number
        self.generation = source.number
        self.source = source
        self.program = program
        self.channel: Channel | None = None
        self.beat = beat
        self.loop = ""
        self.takes_over = False

    def tell(self, *descriptors: int, **members: object) -> bool:
        """Tell its process something; return False if that can't hear it."""
        return self.channel is not None and self.channel.send(members, descriptors)


class Generation:
    """Generation of processes.

    Attributes:
        number: counted from 1.
        configuration: of all of them.
        descriptor: of the memory file with the configuration.
        children: its processes, the keeper first.
        stage: see :class:`Stage`.
        slots: number of workers.
    """

    def __init__(self, number: int, configuration: Configuration, descriptor: int = -1) -> None:
        self.number = number
        self.configuration = configuration
        if descriptor < 0:
            descriptor = write_memory_file("configuration", dump(configuration))
        self.descriptor = descriptor
        self.children: list[ChildProcess] = []
        self.stage = Stage.STARTING
        self.slots = 1

    def __repr__(self) -> str:
        return f"<Generation {self.number} {self.stage.value} children={len(self.children)}>"

    @property
    def ready(self) -> bool:
        """True if all its processes do their work."""
        return all(child.program.machine.was_ready for child in self.children)

    @property
    def workers(self) -> list[ChildProcess]:
        """Those that serve requests."""
        return [child for child in self.children if child.role == "worker"]

    @property
    def owner(self) -> ChildProcess | None:
        """The process that has the table of announced nodes: the keeper, or the only worker."""
        roles = ("keeper",) if self.slots > 1 else ("worker",)
        return next((child for child in self.children if child.role in roles), None)

    @property
    def running(self) -> Iterator[ChildProcess]:
        """Those that have a process."""
        return (child for child in self.children if child.program.pid)

    def close(self) -> None:
        """Close what it had for its processes."""
        os.close(self.descriptor)

    def state(self) -> Mapping[str, Any]:
        """Return what survives an exec."""
        return {
            "number": self.number,
            "configuration": self.descriptor,
            "stage": self.stage.value,
            "slots": self.slots,
            "children": [
                {
                    "role": child.role,
                    "number": child.number,
                    "name": child.program.name,
                    "owner": child.generation,
                    "beat": child.beat,
                    "loop": child.loop,
                    "pid": child.program.pid,
                    "channel": -1 if child.channel is None else child.channel.fileno(),
                    "ready": child.program.machine.was_ready,
                    "stopping": child.program.machine.stopping,
                    "deadline": child.program.machine.due,
                }
                for child in self.children
            ],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Generation":
        """Return it again, without its children."""
        descriptor = state["configuration"]
        generation = cls(state["number"], load(read_memory_file(descriptor)), descriptor)
        generation.stage = Stage(state["stage"])
        generation.slots = state["slots"]
        return generation
