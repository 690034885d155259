"""Files of a configuration: directories that are missing, and those that the user of the router can't write."""

import os
from collections.abc import Iterator

from uwsgi_router.protocol.address import UnixAddress
from uwsgi_router.router.app.prepare.addresses import listeners
from uwsgi_router.router.app.process.identity import ProcessIdentity
from uwsgi_router.router.config.lines import Problem, Severity
from uwsgi_router.router.config.model import Configuration, HttpRouterConfig
from uwsgi_router.router.config.places import Places

# What another unit, or the boot, makes: it may be there by the time of the start.
_MADE_LATER = ("/run/", "/var/run/")


def file_problems(
    configuration: Configuration, who: ProcessIdentity, places: Places
) -> list[Problem]:
    """Return what is wrong with the files and directories of a configuration.

    Args:
        configuration: read already.
        who: the router becomes once everything is bound.
        places: of its options.
    """
    process = configuration.process
    chdir = process.chdir
    found: list[Problem] = []

    def said(text: str, path: str) -> None:
        later = os.path.abspath(path).startswith(_MADE_LATER)
        severity = Severity.DEPENDS if later else Severity.ERROR
        found.append(Problem(places.of(text), text, severity))

    if chdir is not None and not os.path.isdir(chdir):
        said(f"chdir = {chdir}: there is no such directory", chdir)
        return found
    for option, path, later in _written(configuration):
        whole = os.path.join(chdir or "", path)
        directory = whole if option.endswith("-dir") else os.path.dirname(whole) or "."
        if not os.path.isdir(directory):
            said(f"{option} = {path}: there is no directory {directory}", directory)
        elif later and not _may_write(directory, who):
            user = "this user" if who.uid is None else f"the user {who.uid}"
            said(f"{option} = {path}: {user} may not write into {directory}", directory)
    return found


def _written(configuration: Configuration) -> Iterator[tuple[str, str, bool]]:
    """Yield options and paths of what is written, and whether that is once privileges are dropped."""
    process, subscription = configuration.process, configuration.subscription
    if process.logto is not None and ":" not in process.logto:
        yield "logto", process.logto, False
    if process.pidfile is not None:
        yield "pidfile", process.pidfile, False
    for router in configuration.routers:
        if isinstance(router, HttpRouterConfig) and router.access_log:
            yield "http-access-log", router.access_log, False
    for listener in listeners(configuration):
        address = listener.address
        if isinstance(address, UnixAddress) and not address.is_abstract:
            yield listener.option, os.fsdecode(address.path), False
    if process.safe_pidfile is not None:
        yield "safe-pidfile", process.safe_pidfile, True
    if subscription.state is not None:
        yield "subscription-state", subscription.state, True
    for router in configuration.routers:
        if router.post_buffering_dir is not None:
            yield f"{router.kind}-post-buffering-dir", router.post_buffering_dir, True


def _may_write(directory: str, who: ProcessIdentity) -> bool:
    """Return True if whom the router becomes may make files there, as far as the mode says."""
    if os.geteuid() != 0 or who.uid is None:
        # Only root becomes somebody else.
        return os.access(directory, os.W_OK | os.X_OK)
    if who.uid == 0:
        return True
    status = os.stat(directory)
    if status.st_uid == who.uid:
        bits = status.st_mode >> 6
    elif status.st_gid in {os.getegid() if who.gid is None else who.gid, *who.groups}:
        bits = status.st_mode >> 3
    else:
        bits = status.st_mode
    return bits & 3 == 3
