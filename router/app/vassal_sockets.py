"""Sockets of an instance's routers for the vassals of its Emperor: found by an environment variable, named by nobody.

A private directory has a subscription socket for each table, and a control socket unless the configuration names one.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Final

from uwsgi_router.router.app.process.identity import ProcessIdentity, identity
from uwsgi_router.router.config.crosschecks import PRECEDENCE
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration, RouterConfig

#: Variable with the paths: the control socket ("" if it is not for vassals), then those for announces, with colons
#: between. Options begin with UWSGI_.
VARIABLE: Final = "_UWSGI_VASSAL_SOCKETS"
_CONTROL: Final = "control"
_ANNOUNCE: Final = "announce"
_EMPEROR: Final = "emperor"
# Seconds that a request waits for the vassal that it has started, if no option says how long.
_HOLD: Final = 30.0


@dataclass(frozen=True, slots=True)
class VassalSockets:
    """Sockets for vassals.

    Attributes:
        control: path of the control socket; None: it is not for vassals.
        announce: paths of the subscription sockets, at least one.
    """

    control: str | None
    announce: tuple[str, ...]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "VassalSockets | None":
        """Return what the variable says; None: there are none."""
        control, *announce = environ.get(VARIABLE, "").split(":")
        return cls(control or None, tuple(announce)) if announce else None

    def __str__(self) -> str:
        return ":".join((self.control or "", *self.announce))

    @property
    def directory(self) -> str:
        """Return the private directory."""
        return os.path.dirname(self.announce[0])

    def as_seen_by(self, user: int) -> "VassalSockets":
        """Return them without the control socket if that is not for this user: there all nodes can be drained."""
        try:
            owner = os.stat(self.directory).st_uid
        except OSError:
            owner = -1
        return self if user in (0, owner) else replace(self, control=None)


def make_vassal_sockets(
    configuration: Configuration, environ: MutableMapping[str, str], pid: int
) -> None:
    """Make the private directory, and name its sockets in the environment, if the configuration needs them.

    Args:
        configuration: of the instance.
        environ: of the master, its children and vassals.
        pid: the master's.

    Raises:
        StartError: there is no place for it.
    """
    if not configuration.emperor.places:
        # What a master above us has said is for vassals of its own Emperor.
        environ.pop(VARIABLE, None)
        return
    count = len(set(_tables(configuration)) - {None})
    if not count:
        # An Emperor without routers hands on what it was given.
        return
    user = identity(configuration.process, configuration.routers)
    try:
        directory = _made(environ, pid, user)
    except OSError as exc:
        text = f"there is no directory for sockets: {exc.strerror}: {exc.filename}"
        raise StartError(text) from exc
    names = [_ANNOUNCE if not one else f"{_ANNOUNCE}.{one + 1}" for one in range(count)]
    announce = tuple(os.path.join(directory, name) for name in names)
    control = _control(configuration, directory, user)
    environ[VARIABLE] = str(VassalSockets(control, announce))


def with_vassal_sockets(configuration: Configuration, environ: Mapping[str, str]) -> Configuration:
    """Return the configuration with the sockets that the environment names, if it has an Emperor."""
    sockets = VassalSockets.read(environ)
    if sockets is None or not configuration.emperor.places:
        return configuration
    hold = _HOLD if _has_sleepers(configuration) else 0.0
    routers = tuple(
        one
        if table is None or table >= len(sockets.announce)
        else replace(
            one,
            subscription_servers=(*one.subscription_servers, sockets.announce[table]),
            hold=one.hold or hold,
        )
        for one, table in zip(configuration.routers, _tables(configuration), strict=True)
    )
    process = configuration.process
    own = os.path.join(sockets.directory, _CONTROL)
    if process.control_socket is None and sockets.control == own:
        uid = identity(process, configuration.routers).uid
        owner = None if uid is None else str(uid)
        process = replace(process, control_socket=own, chown_control_socket=owner)
    return replace(configuration, routers=routers, process=process)


def remove_vassal_sockets(environ: Mapping[str, str], pid: int) -> None:
    """Remove the directory, if the master with this id has made it."""
    sockets = VassalSockets.read(environ)
    if sockets is not None and os.path.basename(sockets.directory).startswith(_prefix(pid)):
        shutil.rmtree(sockets.directory, ignore_errors=True)


def open_to_all(environ: Mapping[str, str]) -> None:
    """Let vassals that run as other users announce themselves; does nothing where there are no sockets (yet)."""
    sockets = VassalSockets.read(environ)
    for path in () if sockets is None else sockets.announce:
        try:
            os.chmod(path, 0o666)  # noqa: S103 - only vassals know the name of its directory
        except OSError:
            continue


def on_demand_directory(configuration: Configuration, environ: Mapping[str, str]) -> str | None:
    """Return the directory with the keys of on-demand vassals; None: there are none."""
    sockets = VassalSockets.read(environ)
    return None if sockets is None or not _has_sleepers(configuration) else sockets.directory


def _has_sleepers(configuration: Configuration) -> bool:
    emperor = configuration.emperor
    names = (emperor.on_demand_extension, emperor.on_demand_directory, emperor.on_demand_exec)
    return bool(emperor.places) and any(name is not None for name in names)


def emperors_socket(configuration: Configuration, environ: Mapping[str, str]) -> str | None:
    """Return the path of the control socket of the Emperor beside our routers; None: there is none."""
    sockets = VassalSockets.read(environ)
    if sockets is None or not configuration.emperor.places:
        return None
    return os.path.join(sockets.directory, _EMPEROR)


def _prefix(pid: int) -> str:
    return f"uwsgi-router-{pid}-"


def _made(environ: Mapping[str, str], pid: int, user: ProcessIdentity) -> str:
    parents = [environ.get("XDG_RUNTIME_DIR"), "/run" if os.geteuid() == 0 else None]
    # A path of a UNIX socket has up to 107 bytes.
    usable = [one for one in parents if one and len(one) < 50 and os.access(one, os.W_OK | os.X_OK)]
    made = tempfile.mkdtemp(prefix=_prefix(pid), dir=usable[0] if usable else None)
    os.chmod(made, 0o711)  # noqa: S103 - entered, not listed
    if user.uid is not None or user.gid is not None:
        os.chown(made, -1 if user.uid is None else user.uid, -1 if user.gid is None else user.gid)
    return made


def _control(configuration: Configuration, directory: str, user: ProcessIdentity) -> str | None:
    """Return the control socket for vassals: the one that the configuration has, or one of our own."""
    process = configuration.process
    if process.control_socket is None:
        return os.path.join(directory, _CONTROL)
    if user.uid is None or process.chown_control_socket is not None:
        return os.path.abspath(process.control_socket)
    # It is root's, and vassals run as somebody else.
    return None


def _tables(configuration: Configuration) -> Iterator[int | None]:
    """Yield the number of each router's table, from 0; None: it finds its nodes in another way, and that stays so.

    Routers with a subscription server in common have one table; those without any server have one together.
    """
    groups: list[set[str]] = []
    keys: list[set[str] | None] = []
    for router in configuration.routers:
        if not _takes_announces(router):
            keys.append(None)
            continue
        own = set(router.subscription_servers) or {""}
        for group in [one for one in groups if one & own]:
            own |= group
            groups.remove(group)
        groups.append(own)
        keys.append(own)
    for key in keys:
        found = (i for i, group in enumerate(groups) if key is not None and key & group)
        yield next(found, None)


def _takes_announces(router: RouterConfig) -> bool:
    """Return True for a router that has a table already, or no way to find nodes at all."""
    chosen = [field for field, _ in PRECEDENCE if getattr(router, field) not in (None, ())]
    return bool(router.subscription_servers) or not chosen
