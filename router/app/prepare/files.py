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
# Bits of a mode, for one class of users.
MAY_READ, _WRITE, MAY_SEARCH = 4, 2, 1
_WARNING = Severity.WARNING


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
        found.append(Problem(places.of(text), text, severity(path)))

    if chdir is not None and not os.path.isdir(chdir):
        said(f"chdir = {chdir}: there is no such directory", chdir)
        return found
    for option, path in _logs(configuration):
        found += [
            Problem(places.of(text), text, how) for text, how in _log(option, path, chdir, who)
        ]
    for option, path in _read(configuration):
        whole = os.path.join(chdir or "", path)
        if not os.path.isdir(whole):
            said(f"{option} = {path}: there is no such directory", whole)
        elif not _may_search(whole, who):
            user = "this user" if who.uid is None else f"the user {who.uid}"
            said(f"{option} = {path}: {user} may not open files in it", whole)
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
    if process.pidfile is not None:
        yield "pidfile", process.pidfile, False
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


def _read(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield options and paths of directories from which files are read once privileges are dropped."""
    for router in configuration.routers:
        if isinstance(router, HttpRouterConfig) and router.acme_webroot is not None:
            yield "http-acme-webroot", router.acme_webroot


def _logs(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield options and paths of log files: opened at the start, and again by USR1, as whom the router has become."""
    process = configuration.process
    if process.logto is not None and ":" not in process.logto:
        yield "logto", process.logto
    for router in configuration.routers:
        if router.access_log:
            yield f"{router.kind}-access-log", router.access_log


def _log(
    option: str, path: str, chdir: str | None, who: ProcessIdentity
) -> Iterator[tuple[str, Severity]]:
    """Yield what is wrong with a log file."""
    whole = os.path.join(chdir or "", path)
    directory = os.path.dirname(whole) or "."
    if not os.path.isdir(directory):
        yield f"{option} = {path}: there is no directory {directory}", severity(directory)
        return
    exists = os.path.exists(whole)
    if exists and not os.path.isfile(whole):
        return
    if changes(who):
        again = "so USR1 can't open it again after a rotation"
        if exists and os.stat(whole).st_uid != 0 and not may(whole, who, _WRITE):
            # One of root's is given to that user.
            yield f"{option} = {path}: the user {who.uid} may not write {whole}, {again}", _WARNING
        elif not _may_write(directory, who):
            text = f"{option} = {path}: the user {who.uid} may not write into {directory}, {again}"
            yield f"{text} unless logrotate makes it: `create 640 USER GROUP`", _WARNING
    elif exists and not os.access(whole, os.W_OK):
        yield f"{option} = {path}: this user may not write {whole}", severity(directory)
    elif not exists and not _may_write(directory, who):
        yield f"{option} = {path}: this user may not write into {directory}", severity(directory)


def severity(directory: str) -> Severity:
    """Return how bad it is that something is missing there: it may be made later."""
    later = os.path.abspath(directory).startswith(_MADE_LATER)
    return Severity.DEPENDS if later else Severity.ERROR


def changes(who: ProcessIdentity) -> bool:
    """Return True if the router becomes a user without root's rights; only root becomes somebody else."""
    return os.geteuid() == 0 and bool(who.uid)


def _may_write(directory: str, who: ProcessIdentity) -> bool:
    """Return True if whom the router becomes may make files there, as far as modes say."""
    if not changes(who):
        return os.access(directory, os.W_OK | os.X_OK)
    return may(directory, who, _WRITE | MAY_SEARCH)


def _may_search(directory: str, who: ProcessIdentity) -> bool:
    """Return True if whom the router becomes may open what is in a directory, as far as modes say."""
    if not changes(who):
        return os.access(directory, os.X_OK)
    return may(directory, who, MAY_SEARCH)


def may(path: str, who: ProcessIdentity, wanted: int) -> bool:
    """Return True if ``who`` has these rights on ``path``, and may get there."""
    path = os.path.abspath(path)
    parent = os.path.dirname(path)
    if parent != path and not may(parent, who, MAY_SEARCH):
        return False
    status = os.stat(path)
    if status.st_uid == who.uid:
        bits = status.st_mode >> 6
    elif status.st_gid in {os.getegid() if who.gid is None else who.gid, *who.groups}:
        bits = status.st_mode >> 3
    else:
        bits = status.st_mode
    return bits & wanted == wanted
