"""Running copy: its process and pipes, its announces, its health; and what all copies share."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from uwsgi_router.subscriptions.application.actions import RolloutEnded
from uwsgi_router.subscriptions.application.background import BackgroundQuestions
from uwsgi_router.subscriptions.application.copies import AppCopy
from uwsgi_router.subscriptions.application.lines import NamedLines
from uwsgi_router.subscriptions.application.link import NodeFigures
from uwsgi_router.subscriptions.application.place import CopyAddress
from uwsgi_router.subscriptions.application.plan import AppPlan
from uwsgi_router.subscriptions.application.program import CopyProcess
from uwsgi_router.subscriptions.client.announcement import announcement
from uwsgi_router.subscriptions.client.announcer import Announcer
from uwsgi_router.subscriptions.client.readiness import Check

# Seconds between two announces, and after one that failed or that the router has not confirmed.
_ANNOUNCE: Final = 5.0
_ANNOUNCE_AGAIN: Final = 0.5


@dataclass(slots=True)
class RouterSockets:
    """Sockets of the router that applications are announced to.

    Attributes:
        announce: paths of its subscription servers, one for each table.
        control: path of its control socket; None: it is not for us, so that nobody says what a copy still does.
    """

    announce: tuple[str, ...]
    control: str | None


@dataclass(frozen=True, slots=True)
class ShellParts:
    """Parts that the shells of all applications share.

    Attributes:
        router: see :class:`RouterSockets`; None: nobody is told of copies.
        questions: for what blocks.
        watch: has the loop call a function when a descriptor is readable.
        unwatch: ends that.
        stdout: takes lines of the copies' standard output.
        stderr: and of their standard error.
        environ: of the copies, before anything is added.
        directory: for UNIX sockets.
        rollout_ended: is told of each rollout: the application, how it ended, and the last lines of what failed.
        router_runs: returns False once nobody is there who could be told that a copy leaves.
        clock: seconds that don't jump.
    """

    router: RouterSockets | None
    questions: BackgroundQuestions
    watch: Callable[[int, Callable[[], None]], None]
    unwatch: Callable[[int], None]
    stdout: Callable[[bytes], object]
    stderr: Callable[[bytes], object]
    environ: Mapping[str, str]
    directory: str
    rollout_ended: Callable[[str, RolloutEnded, list[str]], None]
    router_runs: Callable[[], bool] = lambda: True
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class RunningCopy:
    """Copy that runs: the plan that it was started by, its process, and what it is announced with."""

    plan: AppPlan
    name: str
    address: CopyAddress
    process: CopyProcess
    pipes: list[NamedLines]
    kept: deque[str]
    began: float
    announcer: Announcer | None = None
    announce_at: float | None = None
    told: bool = False
    figures: NodeFigures | None = None
    rss: int = 0
    is_stuck: bool = False

    def begin_to_announce(self, servers: Sequence[str], now: float) -> None:
        """Announce it from now on."""
        plan = self.plan
        self.announcer = Announcer(
            [
                announcement(
                    server,
                    key=key,
                    address=self.address.text,
                    address_vassal=self.name,
                    balancing_weight=plan.weight,
                    protocol=plan.proto,
                    cores=plan.cores,
                )
                for server in servers
                for key in plan.keys
            ]
        )
        self.announcer.resolve()
        self.announce(now)

    def announce(self, now: float) -> None:
        """Announce it once, and note when that is due again."""
        if self.announcer is not None:
            well = self.announcer.announce()
            self.announce_at = now + (_ANNOUNCE if well else _ANNOUNCE_AGAIN)

    def withdraw(self, *, tell: bool) -> None:
        """Announce it no more; with ``tell`` the router hears of that."""
        if self.announcer is not None:
            if tell:
                self.announcer.leave()
            self.announcer.close()
            self.announcer = self.announce_at = None

    def remove_socket(self) -> None:
        """Remove its UNIX socket, if it has one."""
        if self.address.text.startswith("/"):
            try:
                os.unlink(self.address.text)
            except OSError:
                pass

    def line(self, copy: AppCopy, now: float) -> dict[str, Any]:
        """Return its line of ``uwsgi-router status``."""
        line: dict[str, Any] = {
            "app": self.plan.name,
            "copy": self.name,
            "pid": self.process.pid,
            "address": self.address.text,
            "generation": copy.generation,
            "state": copy.state.value,
            "age": round(now - copy.born, 1),
            "rss": self.rss,
            "why": copy.stale or (copy.trouble if not copy.serves else ""),
        }
        figures = self.figures
        if figures is not None:
            line |= {
                "requests": figures.requests,
                "running": figures.running,
                "streams": figures.streams,
                "tunnels": figures.tunnels,
            }
        return line


def trouble_of(plan: AppPlan, address: str, *, warm: bool) -> str | None:
    """Ask a copy whether it is healthy; return what is wrong, None if nothing is. Blocks.

    Args:
        plan: of the application.
        address: of the copy.
        warm: it is new: it has to speak what it is announced with, and is asked for what warms it up.
    """
    check, proto = Check(plan.health, plan.health_host), None
    if plan.health is None and warm:
        if plan.proto == "http":
            check = Check("/", plan.health_host, any_status=True)
        else:
            proto = plan.proto
    trouble = check.trouble(address, proto)
    for path in plan.warm_up if warm else ():
        trouble = trouble or Check(path, plan.health_host).trouble(address)
    return trouble
