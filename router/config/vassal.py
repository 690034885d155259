"""Options of a program that is the vassal of an Emperor, and of what a vassal runs in the place of uWSGI."""

from dataclasses import dataclass
from typing import Final

from uwsgi_router.router.config.option import option, switch
from uwsgi_router.router.config.values import TEXT, seconds

PROCESS: Final = "process"


@dataclass(frozen=True, slots=True)
class VassalOptions:
    """Options of a vassal; part of those of the process."""

    privileged_patch: str | None = option(
        "privileged-binary-patch",
        TEXT,
        "Run this program, with our arguments, as a copy behind a router: an [app] without a command.",
        default=None,
        group=PROCESS,
    )
    privileged_patch_line: str | None = option(
        "privileged-binary-patch-arg",
        TEXT,
        "Likewise this command, with /bin/sh.",
        default=None,
        group=PROCESS,
    )
    patch: str | None = option(
        "unprivileged-binary-patch",
        TEXT,
        "Likewise this program, as uid and gid.",
        default=None,
        group=PROCESS,
    )
    patch_line: str | None = option(
        "unprivileged-binary-patch-arg",
        TEXT,
        "Likewise this command, with /bin/sh, as uid and gid.",
        default=None,
        group=PROCESS,
    )
    idle: float = option(
        "idle",
        seconds(zero=0.0),
        "Of a vassal's [app] sections: nobody asks for anything when there was no request for so long.",
        default=0.0,
        group=PROCESS,
        zero="never",
    )
    die_on_idle: bool = switch(
        "die-on-idle",
        "Then ask the Emperor to be stopped until a request, or a connection to its socket, comes.",
        group=PROCESS,
    )
    heartbeat: float = option(
        "heartbeat",
        seconds(zero=0.0),
        "As a vassal, tell the Emperor so often that the processes turn.",
        default=0.0,
        group=PROCESS,
        zero="never",
    )
