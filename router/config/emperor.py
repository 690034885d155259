"""Configuration of the Emperor: where its vassals' files are, how vassals are started, watched and stopped."""

from dataclasses import dataclass
from typing import Final

from uwsgi_router.router.config import values
from uwsgi_router.router.config.capability_values import CAPABILITIES_KIND
from uwsgi_router.router.config.emperor_values import NAMESPACES_KIND, PLACE, SETTING, SUFFIX
from uwsgi_router.router.config.hook_values import COMMAND, HOOK, MOUNT, PROGRAM, UMOUNT, Hook
from uwsgi_router.router.config.option import option, switch
from uwsgi_router.router.config.values import FILE, SECONDS, TEXT, integer

EMPEROR: Final = "Emperor"
_MOST_MS: Final = 24 * 3600 * 1000
_PLACES: Final = ("places",)


@dataclass(frozen=True, slots=True)
class EmperorConfig:
    """The Emperor; there is one if it has places."""

    places: tuple[str, ...] = option(
        "emperor",
        PLACE,
        "Run a vassal for each configuration file in this directory, or that this pattern matches.",
        default=(),
        repeatable=True,
    )
    frequency: float = option(
        "emperor-freq",
        SECONDS,
        "Look for changed files so often at least.",
        default=3.0,
        needs=_PLACES,
    )
    required_heartbeat: float = option(
        "emperor-required-heartbeat",
        SECONDS,
        "Reload a vassal that sent heartbeats and then none for so long, and kill it after as long again.",
        default=30.0,
        needs=_PLACES,
    )
    curse_tolerance: float = option(
        "emperor-curse-tolerance",
        SECONDS,
        "Kill a vassal that has not ended so long after it was to, or after it closed its pipe.",
        default=30.0,
        needs=_PLACES,
    )
    throttle: int = option(
        "emperor-throttle",
        integer("MS", 0, _MOST_MS),
        "Delay of the next start, in milliseconds, that each failure of a vassal that never served adds.",
        default=1000,
        needs=_PLACES,
    )
    max_throttle: int = option(
        "emperor-max-throttle",
        integer("MS", 0, _MOST_MS),
        "Longest delay of a start, in milliseconds.",
        default=180_000,
        needs=_PLACES,
    )
    no_blacklist: bool = switch(
        "emperor-no-blacklist", "Delay no start of a vassal that failed.", needs=_PLACES
    )
    nofollow: bool = switch(
        "emperor-nofollow",
        "A link counts as changed when it is touched itself, not the file that it names.",
        needs=_PLACES,
    )
    tyrant: bool = switch(
        "emperor-tyrant",
        "Run each vassal as the owner and group of its file; root's are refused.",
        needs=_PLACES,
    )
    tyrant_nofollow: bool = switch(
        "emperor-tyrant-nofollow",
        "With emperor-tyrant, take the owner of a link instead of that of the file that it names.",
        needs=("tyrant",),
    )
    stats: tuple[str, ...] = option(
        "emperor-stats",
        values.STATS,
        "Serve the Emperor's statistics here, as JSON.",
        default=(),
        aliases=("emperor-stats-server",),
        repeatable=True,
        needs=_PLACES,
    )
    pidfile: str | None = option(
        "emperor-pidfile",
        FILE,
        "Write the process id of the Emperor here.",
        default=None,
        needs=_PLACES,
    )
    procname: str | None = option(
        "emperor-procname",
        TEXT,
        "Name of the Emperor's process in ps.",
        default=None,
        needs=_PLACES,
    )
    early: bool = switch(
        "early-emperor",
        "Keep the Emperor's privileges: uid and gid are the routers' only.",
        needs=_PLACES,
    )
    magic_exec: bool = switch(
        "emperor-magic-exec",
        "An executable file is run by its vassal, and what it prints is the configuration.",
        needs=_PLACES,
    )
    extra_extensions: tuple[str, ...] = option(
        "emperor-extra-extension",
        SUFFIX,
        "Files with this ending are vassals too, read with --config.",
        default=(),
        aliases=("emperor-extra-ext",),
        repeatable=True,
        needs=_PLACES,
    )
    on_demand_extension: str | None = option(
        "emperor-on-demand-extension",
        SUFFIX,
        "If there is a file with this behind a vassal's name, it names a socket that starts the vassal.",
        default=None,
        aliases=("emperor-on-demand-ext",),
        needs=_PLACES,
    )
    on_demand_directory: str | None = option(
        "emperor-on-demand-directory",
        values.DIRECTORY,
        "Start each vassal by its first connection to NAME.socket in this directory.",
        default=None,
        aliases=("emperor-on-demand-dir",),
        needs=_PLACES,
    )
    on_demand_exec: str | None = option(
        "emperor-on-demand-exec",
        TEXT,
        "A command for /bin/sh that gets a vassal's name and prints a socket that starts it, or nothing.",
        default=None,
        needs=_PLACES,
    )
    use_clone: tuple[str, ...] = option(
        "emperor-use-clone",
        NAMESPACES_KIND,
        "Start each vassal in namespaces of its own: ipc, uts, fs, pid, net, user.",
        default=(),
        needs=_PLACES,
    )
    capabilities: tuple[str, ...] = option(
        "emperor-cap",
        CAPABILITIES_KIND,
        "Capabilities that vassals may have at most; setpcap is always one of them.",
        default=(),
        aliases=("vassals-cap", "vassal-cap"),
        needs=_PLACES,
    )
    wrapper: str | None = option(
        "emperor-wrapper",
        FILE,
        "Execute this instead of the vassal's program, with the same arguments.",
        default=None,
        needs=_PLACES,
    )
    wrapper_overrides: tuple[str, ...] = option(
        "emperor-wrapper-override",
        FILE,
        "Try to execute this first.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    wrapper_fallbacks: tuple[str, ...] = option(
        "emperor-wrapper-fallback",
        FILE,
        "Execute this if nothing else can be.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    binary_path: str | None = option(
        "binary-path",
        FILE,
        "The uWSGI that runs vassals with applications.",
        default=None,
        shown="uwsgi in PATH",
    )
    graceful_shutdown: bool = switch(
        "emperor-graceful-shutdown",
        "Stop vassals once their running requests are done, instead of at once.",
        needs=_PLACES,
    )
    vassals_inherit_before: tuple[str, ...] = option(
        "vassals-inherit-before",
        FILE,
        "Give each vassal this file's settings, before its own.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    vassals_include_before: tuple[str, ...] = option(
        "vassals-include-before",
        FILE,
        "Read this file at once, before each vassal's own.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    vassals_inherit: tuple[str, ...] = option(
        "vassals-inherit",
        FILE,
        "Give each vassal this file's settings, behind its own.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    vassals_include: tuple[str, ...] = option(
        "vassals-include",
        FILE,
        "Read this file at once, behind each vassal's own.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    vassal_settings: tuple[str, ...] = option(
        "vassal-set",
        SETTING,
        "Define a placeholder, or set an option, for each vassal.",
        default=(),
        aliases=("vassals-set",),
        repeatable=True,
        needs=_PLACES,
    )
    start_hook: str | None = option(
        "vassals-start-hook",
        PROGRAM,
        "Run this program with a vassal's name, in its process, before the vassal is executed.",
        default=None,
        needs=_PLACES,
    )
    stop_hook: str | None = option(
        "vassals-stop-hook",
        PROGRAM,
        "Run this program with a vassal's name when it is gone.",
        default=None,
        needs=_PLACES,
    )
    hook_emperor_start: tuple[Hook, ...] = option(
        "hook-emperor-start",
        HOOK,
        "Do this before the first vassal is started: ACTION:ARGUMENTS.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    hook_as_emperor: tuple[Hook, ...] = option(
        "hook-as-emperor",
        HOOK,
        "Do this in the Emperor whenever it has started a vassal.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    hook_as_vassal: tuple[Hook, ...] = option(
        "hook-as-vassal",
        HOOK,
        "Do this in each vassal's process before the vassal is executed.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    mount_as_emperor: tuple[Hook, ...] = option(
        "mount-as-emperor",
        MOUNT,
        "Mount this in the Emperor whenever it has started a vassal.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    mount_as_vassal: tuple[Hook, ...] = option(
        "mount-as-vassal",
        MOUNT,
        "Mount this in each vassal's process.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    umount_as_emperor: tuple[Hook, ...] = option(
        "umount-as-emperor",
        UMOUNT,
        "Unmount this in the Emperor whenever it has started a vassal.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    umount_as_vassal: tuple[Hook, ...] = option(
        "umount-as-vassal",
        UMOUNT,
        "Unmount this in each vassal's process.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    exec_as_emperor: tuple[Hook, ...] = option(
        "exec-as-emperor",
        COMMAND,
        "Run this command with /bin/sh whenever a vassal was started.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    exec_as_vassal: tuple[Hook, ...] = option(
        "exec-as-vassal",
        COMMAND,
        "Run this command with /bin/sh in each vassal's process; if it fails, the vassal does.",
        default=(),
        repeatable=True,
        needs=_PLACES,
    )
    list_monitors: bool = switch(
        "imperial-monitor-list",
        "Print which sorts of places an Emperor can watch, and end.",
        aliases=("imperial-monitors-list",),
    )
