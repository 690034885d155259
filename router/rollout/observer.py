"""Observer of a rollout: reads statistics, files, control sockets and processes, and returns what is so."""

import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from uwsgi_router.protocol.control import Question
from uwsgi_router.protocol.text import show
from uwsgi_router.router.config.ini import read_text
from uwsgi_router.router.rollout.settings import RolloutSettings
from uwsgi_router.router.rollout.stats_client import StatsClient, StatsError
from uwsgi_router.router.rollout.views import (
    Moment,
    RouterView,
    StrangeStats,
    emperor_view,
    router_view,
)
from uwsgi_router.subscriptions.client.control import CannotAsk, Control

_APPLICATIONS: Final = re.compile(
    r"^\s*(?:\[app\s+[^\]]+\]|(?:un)?privileged-binary-patch(?:-arg)?\s*=)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class VassalSource:
    """File of a vassal, as it lies there.

    Attributes:
        name: without the suffix.
        base: name of the file.
        path: of it, absolute.
        link: it is a symbolic link.
        there: it, or what the link points to, exists.
        ours: we may change its times.
        link_mtime: whole seconds; of the link itself.
        mtime: whole seconds; of what it points to.
        applications: it has [app] sections or a binary patch, which our Emperor's vassals roll out by themselves.
    """

    name: str
    base: str
    path: str
    link: bool = False
    there: bool = True
    ours: bool = True
    link_mtime: int = 0
    mtime: int = 0
    applications: bool = False


@dataclass(frozen=True, slots=True)
class SeenControl:
    """Control socket of a router.

    Attributes:
        path: of it.
        pid: of the process that opened it.
        nodes: (key, address) of those that it tells of.
        trouble: why it can't be asked; "".
    """

    path: str
    pid: int = 0
    nodes: frozenset[tuple[str, str]] = frozenset()
    trouble: str = ""


class Observer:
    """Observer of an Emperor and routers.

    Args:
        settings: of the rollout.
        wall: returns seconds since 1970.

    Raises:
        StatsError: an address is none.
    """

    def __init__(self, settings: RolloutSettings, wall: Callable[[], float]) -> None:
        self._settings = settings
        self._wall = wall
        self._emperor = StatsClient(settings.emperor_stats)
        self._routers = [StatsClient(address) for address in settings.router_stats]

    def moment(self) -> Moment:
        """Return what is so.

        Raises:
            StatsError: somebody does not tell.
        """
        try:
            emperor = emperor_view(self._emperor.read())
        except StrangeStats as exc:
            raise StatsError(f"{show(self._emperor.address)}: {exc}") from exc
        routers = [self._router(client) for client in self._routers]
        return Moment(emperor, tuple(routers), self._wall())

    def _router(self, client: StatsClient) -> RouterView:
        try:
            view = router_view(client.address, client.read())
        except StrangeStats as exc:
            raise StatsError(f"{show(client.address)}: {exc}") from exc
        return view if view.ours else self._aged(view)

    def _aged(self, view: RouterView) -> RouterView:
        """Return a router of uWSGI, which marks nodes that went silent only when somebody asks for their key."""
        # Its times are whole seconds.
        oldest = self._wall() - self._settings.tolerance - 1
        return replace(
            view,
            nodes=tuple(
                replace(node, alive=node.alive and node.last_check >= oldest) for node in view.nodes
            ),
        )


def sources(directory: str, suffix: str) -> list[VassalSource]:
    """Return the files of a directory whose names have this end, in order.

    Raises:
        OSError: it can't be read.
    """
    found = []
    for base in sorted(os.listdir(directory)):
        if not base.endswith(suffix):
            continue
        path = os.path.join(os.path.abspath(directory), base)
        try:
            of_link = os.lstat(path)
        except OSError:
            # It has just been removed.
            continue
        try:
            target = os.stat(path)
        except OSError:
            target = None
        regular = target is None or stat.S_ISREG(target.st_mode)
        if not regular:
            continue
        found.append(
            VassalSource(
                name=base.removesuffix(suffix) or base,
                base=base,
                path=path,
                link=stat.S_ISLNK(of_link.st_mode),
                there=target is not None,
                ours=os.geteuid() in {0, of_link.st_uid},
                link_mtime=int(of_link.st_mtime),
                mtime=0 if target is None else int(target.st_mtime),
                applications=target is not None and _has_applications(path),
            )
        )
    return found


def _has_applications(path: str) -> bool:
    try:
        # No pipe of a tenant's may hold us up.
        return _APPLICATIONS.search(read_text(path, regular=True)) is not None
    except OSError:
        return False


def seen_controls(paths: Sequence[str]) -> list[SeenControl]:
    """Return what control sockets tell."""
    return [_seen_control(path) for path in paths]


def _seen_control(path: str) -> SeenControl:
    try:
        with Control(path) as control:
            nodes = frozenset(
                (line["node"]["key"], line["node"]["node"])
                for line in control.ask(Question("status"))
                if "node" in line
            )
            return SeenControl(path, control.peer, nodes)
    except CannotAsk as exc:
        return SeenControl(path, trouble=str(exc))


def emperor_log(controls: Sequence[str], vassal: str) -> list[str]:
    """Return the last lines of a vassal of our Emperor; none if none of these control sockets, or theirs, knows it.

    Args:
        controls: of routers, which tell where their Emperor's is.
        vassal: its id.
    """
    question = Question("vassals", vassal=vassal, order="log")
    left = list(controls)
    for path in left:
        try:
            with Control(path) as control:
                answer = list(control.ask(question))
        except CannotAsk:
            continue
        lines = [line["line"] for line in answer if "line" in line]
        if lines:
            return lines
        # At most one step further.
        if path in controls:
            left += [line["emperor"] for line in answer if "emperor" in line]
    return []


def parent_of(pid: int) -> int:
    """Return the parent of a process, 0 if that can't be seen."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # Behind the name in parentheses: state, parent.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
