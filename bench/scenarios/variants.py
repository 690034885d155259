"""Variants of this router: uvloop or asyncio, plain or compiled."""

from dataclasses import dataclass

from bench.compiled import compiled_router
from bench.programs import MissingError, our_router


@dataclass(frozen=True, slots=True)
class Variant:
    """Variant of this router.

    Attributes:
        loop: the event loop: ``uvloop``, ``asyncio``.
        compiled: whether the packages are C extensions.
    """

    loop: str
    compiled: bool = False

    @property
    def name(self) -> str:
        """Name in tables: only what differs from the usual is in it."""
        differs = [] if self.compiled else ["plain"]
        differs += [] if self.loop == "uvloop" else [self.loop]
        return "uwsgi-router" + (f" ({', '.join(differs)})" if differs else "")

    def command(self, *options: str) -> list[str]:
        """Return the command that runs it with these options.

        Raises:
            MissingError: if there is no compiled router.
        """
        router = compiled_router() if self.compiled else our_router()
        return [*router, *options, "--listen=1024", f"--event-loop={self.loop}"]


COMPILED, PLAIN = Variant("uvloop", compiled=True), Variant("uvloop")
#: The event loop of the standard library.
ASYNCIO = Variant("asyncio", compiled=True)
#: What is installed where it can be compiled, and where it can't: in this order in each table.
BUILDS = (COMPILED, PLAIN)


def default_build() -> tuple[Variant]:
    """Return the build that users get here: the compiled one, or the plain one where nothing can be compiled.

    Scenarios that differ little between the two measure this one only: each program costs twenty seconds.
    """
    try:
        compiled_router()
    except MissingError:
        return (PLAIN,)
    return (COMPILED,)
