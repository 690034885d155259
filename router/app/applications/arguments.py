"""Arguments and file of the router before applications: defaults, private sockets, keys that are expected."""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from uwsgi_router.router.app.applications.plans import hosts_of
from uwsgi_router.router.app.process.own_program import own_program
from uwsgi_router.router.config.app import AppConfig
from uwsgi_router.subscriptions.application.running_copy import RouterSockets

#: Of the copies of an application the one with the fewest running requests is chosen.
ALGORITHM: Final = "least"
# Seconds of a whole stop that copies have behind the router.
_FOR_COPIES: Final = 5.0

#: What people expect who have never seen uWSGI; all of it can be given otherwise.
DEFAULTS: Final = (
    ("http-keepalive", "60"),
    ("http-hold", "10"),
    ("http-websockets", "true"),
    # So that a Close can be sent between frames.
    ("http-websocket-check", "true"),
    ("http-access-log", ""),
    ("http-request-id", "true"),
    ("subscription-algo", ALGORITHM),
    ("subscription-slow-start", "10"),
)


def command(arguments: Sequence[str], directory: str) -> list[str]:
    """Return the command line of the router.

    Args:
        arguments: what the user gave for it.
        directory: the private one, with the file.
    """
    defaults = [f"--{name}={value}" if value else f"--{name}" for name, value in DEFAULTS]
    return [*own_program(), "--no-apps", *defaults, *arguments, file_of(directory)]


def file_of(directory: str) -> str:
    """Return the path of the router's file; read last, it counts."""
    return os.path.join(directory, "router.ini")


def sockets_of(directory: str) -> RouterSockets:
    """Return the router's sockets for the supervisor."""
    announce, control = (os.path.join(directory, name) for name in ("announce", "control"))
    return RouterSockets((announce,), control)


def write_file(
    directory: str,
    configs: Sequence[AppConfig],
    kinds: Collection[str],
    *,
    listen: Sequence[str],
    stop_timeout: float | None,
) -> bool:
    """Write the router's file; return False if it says the same already.

    Args:
        directory: the private one.
        configs: the applications; of two with the same name all hosts are expected.
        kinds: routers that the user's own configuration has: ``http``, ``fastrouter``.
        listen: addresses for HTTP.
        stop_timeout: seconds for a whole stop; None: as reload-mercy has it.
    """
    sockets = sockets_of(directory)
    keys, rest = hosts_of(configs)
    lines = ["[uwsgi]", f"control-socket = {sockets.control}"]
    (announce,) = sockets.announce
    lines.append(f"pidfile = {os.path.join(directory, 'router.pid')}")
    lines += [f"http = {address}" for address in listen]
    lines += [f"subscription-expect-key = {key}" for key in keys]
    for kind in sorted({*kinds, *(("http",) if listen else ())}):
        lines.append(f"{kind}-subscription-server = {announce}")
        if rest is not None:
            lines.append(f"{kind}-subscription-fallback-key = {rest}")
    if stop_timeout is not None:
        lines.append(f"reload-mercy = {max(0.0, stop_timeout - _FOR_COPIES):g}")
    text, path = ("\n".join(lines) + "\n").encode(errors="surrogateescape"), file_of(directory)
    try:
        with open(path, "rb") as file:
            if file.read() == text:
                return False
    except FileNotFoundError:
        pass
    # The router may read it just now.
    with open(f"{path}.new", "wb") as file:
        file.write(text)
    os.replace(f"{path}.new", path)
    return True


def environment(environ: Mapping[str, str], *, own: bool) -> dict[str, str]:
    """Return the router's environment.

    Args:
        environ: ours.
        own: ``UWSGI_*`` variables are meant for it; otherwise they may be the copies'.
    """
    return {name: value for name, value in environ.items() if own or not name.startswith("UWSGI_")}
