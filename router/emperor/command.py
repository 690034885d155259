"""Command and environment of a vassal (uWSGI: core/emperor.c, ``uwsgi_emperor_spawn_vassal``)."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.emperor import OWN_NETWORK
from uwsgi_router.router.config import magic
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.hook_values import Hook
from uwsgi_router.router.emperor.vassal_file import VassalFile

_PREFIX: Final = "UWSGI_VASSAL_"
_MAGIC: Final = re.compile(r"%([%A-Za-z])")
_LOADERS: Final = (
    (".xml", "--xml"),
    (".ini", "--ini"),
    (".yml", "--yaml"),
    (".yaml", "--yaml"),
    (".js", "--json"),
    (".json", "--json"),
)
#: Variables that are about the Emperor itself: its parent's pipes, its service manager, its reloads.
_OF_THE_EMPEROR: Final = frozenset(
    {
        "UWSGI_RELOADS",
        "UWSGI_EMPEROR_FD",
        "UWSGI_EMPEROR_FD_CONFIG",
        "UWSGI_EMPEROR_PROXY",
        "UWSGI_BROODLORD_NUM",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "LISTEN_PID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
    }
)
_OURS: Final = "_UWSGI_ROUTER_"


@dataclass(frozen=True, slots=True)
class VassalLaunch:
    """All that a new process of a vassal is made of.

    Attributes:
        name: of the vassal.
        argvs: commands that are tried in order: programs, looked up in PATH, with their arguments.
        environ: whole, but for the number of the pipe.
        directory: that it starts in.
        owner: user and group that it changes to, and has no further groups; None: it stays what the Emperor is.
        namespaces: that it has of its own, by the words of ``emperor-use-clone``.
        capabilities: that it may have at most, by name; None: no limit.
        start_hook: program that is run before everything else, with the vassal's name; its failure is only logged.
        hooks: done before it is executed; if one fails, the vassal does.
        open_files: soft limit of descriptors; None: the Emperor's.
    """

    name: str
    argvs: Sequence[Sequence[str]]
    environ: Mapping[str, str]
    directory: str
    owner: tuple[int, int] | None = None
    namespaces: frozenset[str] = frozenset()
    capabilities: frozenset[str] | None = None
    start_hook: str | None = None
    hooks: Sequence[Hook] = ()
    open_files: int | None = None


def launch_of(
    file: VassalFile,
    config: EmperorConfig,
    environ: Mapping[str, str],
    program: Sequence[str],
    *,
    open_files: int | None = None,
) -> VassalLaunch:
    """Return what a new process of a vassal is made of.

    Args:
        file: its configuration.
        config: the Emperor's.
        environ: the Emperor's, as it was at its start.
        program: what runs it: the program, and arguments in front of the vassal's.
        open_files: soft limit of descriptors at the Emperor's start, if that has raised its own.
    """
    arguments = arguments_of(file, config)
    wrapper = [config.wrapper] if config.wrapper is not None else list(program)
    own_network = {OWN_NETWORK: "1"} if "net" in config.use_clone else {}
    argvs = [
        *([override, *arguments] for override in config.wrapper_overrides),
        [*wrapper, *arguments],
        *([fallback, *arguments] for fallback in config.wrapper_fallbacks),
    ]
    return VassalLaunch(
        file.name,
        argvs,
        environment_of(file, environ, program[0]) | own_network,
        file.directory,
        (file.uid, file.gid) if config.tyrant else None,
        frozenset(config.use_clone),
        frozenset(config.capabilities) if config.capabilities else None,
        config.start_hook,
        hooks_of_vassal(config),
        open_files,
    )


def hooks_of_vassal(config: EmperorConfig) -> tuple[Hook, ...]:
    """Return what is done in a vassal's process, in uWSGI's order."""
    return (
        *config.hook_as_vassal,
        *config.mount_as_vassal,
        *config.umount_as_vassal,
        *config.exec_as_vassal,
    )


# --- arguments ---


def arguments_of(file: VassalFile, config: EmperorConfig) -> list[str]:
    """Return the arguments of a vassal's program, in uWSGI's order."""
    found: list[str] = []
    for option, values in (
        ("--inherit", config.vassals_inherit_before),
        ("--include", config.vassals_include_before),
        ("--set", config.vassal_settings),
    ):
        found += _repeated(option, values)
    found += [loader_of(file.name, config.extra_extensions), _configuration(file, config)]
    found += _repeated("--inherit", config.vassals_inherit)
    found += _repeated("--include", config.vassals_include)
    return found


def loader_of(name: str, extra: Sequence[str]) -> str:
    """Return the option that reads a vassal's configuration.

    Args:
        name: of the vassal.
        extra: endings that ``emperor-extra-extension`` names; they win.
    """
    if any(name.endswith(one) for one in extra):
        return "--config"
    return next((option for ending, option in _LOADERS if name.endswith(ending)), "--inherit")


def runs_itself(file: VassalFile, config: EmperorConfig) -> bool:
    """Return True if a configuration is a program, and what it prints counts (``emperor-magic-exec``)."""
    return config.magic_exec and os.access(file.path, os.R_OK | os.X_OK)


def _configuration(file: VassalFile, config: EmperorConfig) -> str:
    # uWSGI gives what follows to a shell, which would look for a bare name in PATH.
    return f"exec://{shlex.quote(file.path)}" if runs_itself(file, config) else file.name


def _repeated(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


# --- environment ---


def environment_of(file: VassalFile, environ: Mapping[str, str], program: str) -> dict[str, str]:
    """Return the environment of a vassal.

    ``UWSGI_VASSAL_NAME=value`` of the Emperor's is the vassal's ``UWSGI_NAME=value``. In such a value uWSGI's magic
    variables stand for the vassal's file; ``%%`` is a percent sign, and what is no magic variable stays.

    Args:
        file: its configuration.
        environ: the Emperor's.
        program: that would run it without a wrapper, which finds it in ``UWSGI_ORIGINAL_PROC_NAME``.
    """
    found = {
        name: value
        for name, value in environ.items()
        if not (name in _OF_THE_EMPEROR or name.startswith((_PREFIX, _OURS)))
    }
    given = [
        (name.removeprefix(_PREFIX), value)
        for name, value in environ.items()
        if name.startswith(_PREFIX) and name != _PREFIX
    ]
    if given:
        variables = _magic_of(file)
        for name, value in given:
            if f"UWSGI_{name}" not in _OF_THE_EMPEROR:
                found[f"UWSGI_{name}"] = _MAGIC.sub(
                    lambda match: variables.get(match[1], match[0]), value
                )
    found["UWSGI_VASSALS_DIR"] = file.directory
    found["UWSGI_ORIGINAL_PROC_NAME"] = program
    return found


def _magic_of(file: VassalFile) -> dict[str, str]:
    of_file = magic.of_file(file.path, "")
    of_file["o"] = file.name
    capitals = {letter.upper(): of_file[letter] for letter in "opsdencx"}
    return {**magic.of_process(), **of_file, **capitals, "v": file.directory}
