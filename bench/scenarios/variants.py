"""Variants of this router: uvloop or asyncio, plain or compiled."""

from dataclasses import dataclass

from bench.compiled import compiled_router
from bench.programs import our_router


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
        """Name in tables."""
        return f"uwsgi-router ({self.loop}{', compiled' if self.compiled else ''})"

    def command(self, *options: str) -> list[str]:
        """Return the command that runs it with these options.

        Raises:
            MissingError: if there is no compiled router.
        """
        router = compiled_router() if self.compiled else our_router()
        return [*router, *options, "--listen=1024", f"--event-loop={self.loop}"]


UVLOOP, ASYNCIO, COMPILED = Variant("uvloop"), Variant("asyncio"), Variant("uvloop", compiled=True)
#: As installed without further ado.
USUAL = (UVLOOP, ASYNCIO)
ALL = (UVLOOP, COMPILED, ASYNCIO)
