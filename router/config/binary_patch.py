"""Binary patches: a program that a file has run in the place of uWSGI becomes an application (uWSGI: core/uwsgi.c)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from uwsgi_router.router.config.app import AppConfig
from uwsgi_router.router.config.lines import Problem
from uwsgi_router.router.config.process import ProcessConfig

_SHELL: Final = "/bin/sh"
# As app_values.NAME has it.
_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST: Final = 32


@dataclass(frozen=True, slots=True)
class BinaryPatch:
    """Program in the place of uWSGI.

    Attributes:
        command: it, and its arguments.
        uid: that it runs as; None: ours.
        gid: likewise.
        cwd: its working directory; None: ours.
        env: added to its environment.
    """

    command: tuple[str, ...]
    uid: str | None
    gid: str | None
    cwd: str | None
    env: tuple[tuple[str, str], ...]


def of_process(process: ProcessConfig, argv: Sequence[str]) -> BinaryPatch | None:
    """Return the patch of a configuration; None: there is none. Of several the one counts that uWSGI would execute.

    Args:
        process: has the options.
        argv: our arguments, which a program without ``-arg`` gets.
    """
    candidates = (
        (process.privileged_patch, False, True),
        (process.privileged_patch_line, True, True),
        (process.patch, False, False),
        (process.patch_line, True, False),
    )
    for given, is_line, privileged in candidates:
        if given:
            return BinaryPatch(
                (_SHELL, "-c", given) if is_line else (given, *argv),
                None if privileged else process.uid,
                None if privileged else process.gid,
                process.chdir,
                tuple(process.env.items()),
            )
    return None


def applied(
    patch: BinaryPatch, apps: Sequence[AppConfig], name: str, problems: list[Problem]
) -> tuple[AppConfig, ...]:
    """Return the applications, of which the one without a command has the patch; without any a new one.

    Args:
        patch: the program.
        apps: of the sections.
        name: of the file: name and host of a new one.
        problems: gets what is wrong.
    """
    bare = [app for app in apps if not app.command]
    if len(bare) > 1:
        names = " and ".join(f"[app {app.name}]" for app in bare)
        problems.append(Problem("", f"{names} have no command, and there is one binary patch"))
    if not apps:
        made = _FORBIDDEN.sub("-", name).strip("-_")[:_LONGEST] or "app"
        return (_patched(AppConfig(name=made, hosts=(name,) if name else (), replicas=1), patch),)
    if not bare:
        text = "the binary patch has no effect, as each [app] section has a command"
        problems.append(Problem("", text))
    return tuple(app if app.command else _patched(app, patch) for app in apps)


def _patched(app: AppConfig, patch: BinaryPatch) -> AppConfig:
    return replace(
        app,
        command=patch.command,
        uid=app.uid or patch.uid,
        gid=app.gid or patch.gid,
        cwd=app.cwd or patch.cwd,
        env=(*patch.env, *app.env),
    )
