"""Router of a scenario: its command, and what is measured of it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.measure import Setup
from bench.programs import MissingError, Program

Command_co = TypeVar("Command_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Router(Generic[Command_co]):
    """Router over a node.

    Attributes:
        name: of the program.
        group: which routers it is compared with.
        node: address of its node.
        command: makes its command; raises MissingError if the program is not there.
        reference: the others of the group are compared with it.
    """

    name: str
    group: str
    node: str
    command: Command_co
    reference: bool = False

    def setup(self, program: Program, port: int) -> Setup:
        """Return what is measured once it runs, and answers on ``port``, perhaps behind another program."""
        url = f"http://127.0.0.1:{port}/articles?page=3"
        return Setup(self.name, self.group, url, program.pid, reference=self.reference)

    def left_out(self, why: Exception) -> str:
        """Say that it is not measured, and why."""
        missing = "missing " if isinstance(why, MissingError) else ""
        return f"left out: {self.name}, {self.group}: {missing}{why}"
