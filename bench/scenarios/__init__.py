"""The scenarios: each brings up its chains, all at once, and says what load to send."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from bench.measure import Load, Setup
from bench.scenarios import fastrouter, table


class Scenario(Protocol):
    """A module of this package."""

    LOAD: Load

    @property
    def start(self) -> Callable[[ExitStack, Path, Callable[[str], None]], list[Setup]]:
        """Start every chain, ended by the stack; name what is left out through the callback."""


SCENARIOS: Mapping[str, Scenario] = {"fastrouter": fastrouter, "table": table}
