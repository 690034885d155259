"""Scenarios: each brings up its chains, all at once, and says what load to send."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from bench.measure import Idle, Load, Setup
from bench.scenarios import (
    bulk,
    fastrouter,
    fastrouter_http,
    http,
    http_idle,
    raw,
    raw_idle,
    table,
    tls,
    tls_idle,
    websocket,
    workers,
)


class Scenario(Protocol):
    """Scenario: a module of this package."""

    @property
    def LOAD(self) -> Load | Idle:  # noqa: N802
        """Load for the chains."""

    @property
    def start(self) -> Callable[[ExitStack, Path, Callable[[str], None]], list[Setup]]:
        """Start every chain, ended by the stack; name what is left out through the callback."""


SCENARIOS: Mapping[str, Scenario] = {
    "http": http,
    "http-idle": http_idle,
    "fastrouter": fastrouter,
    "fastrouter-http": fastrouter_http,
    "bulk": bulk,
    "websocket": websocket,
    "raw": raw,
    "raw-idle": raw_idle,
    "table": table,
    "tls": tls,
    "tls-idle": tls_idle,
    "workers": workers,
}
