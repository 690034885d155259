"""Surroundings of a master: who has started it and is told of its life, the service manager and an Emperor."""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from uwsgi_router.router.app.master.emperor import emperor_descriptor
from uwsgi_router.router.app.master.manager import watchdog_seconds
from uwsgi_router.router.net.activation import SystemdNotifier


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Surroundings of a master.

    Attributes:
        notifier: of the service manager.
        watchdog: seconds within which that expects a sign of life; 0.0: it does not.
        emperor: descriptor of the Emperor's pipe; -1: there is none.
    """

    notifier: SystemdNotifier
    watchdog: float = 0.0
    emperor: int = -1

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str], pid: int) -> "Surroundings":
        """Take them out of the environment: no child is to believe that they are meant for it."""
        return cls(
            SystemdNotifier.from_environment(environ),
            watchdog_seconds(environ, pid),
            emperor_descriptor(environ),
        )

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "Surroundings":
        """Return them again after an exec."""
        emperor = state["emperor"]
        if emperor >= 0:
            os.set_inheritable(emperor, False)
        return cls(SystemdNotifier(state["notify"]), state["watchdog"], emperor)
