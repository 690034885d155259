"""Kinds of vassals: which program runs a file, from what the file says; mixtures are refused with how to split them."""

import contextlib
import enum
import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from uwsgi_router.protocol.key import normal_key
from uwsgi_router.router.config import table
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.ini import read_text
from uwsgi_router.router.config.lines import ConfigurationExit, Line
from uwsgi_router.router.config.option import Option, Standing
from uwsgi_router.router.config.script import Script
from uwsgi_router.router.config.values import Argument, is_on
from uwsgi_router.router.emperor.vassal_file import VassalFile, VassalRefused

# Parts of the configuration that make this program do something.
_ROUTERS: Final = frozenset(
    {"fastrouter", "http", "any-http", "rawrouter", "sslrouter", "tuntap", "emperor"}
)
# Of the part "tuntap" what a vassal has inside its jail; the rest is a router's.
_OF_DEVICES: Final = frozenset({"devices", "device_rules", "use_credentials"})
_PATCHES: Final = frozenset({"privileged_patch", "privileged_patch_line", "patch", "patch_line"})
_MOST_SHOWN: Final = 3
# What is read of one vassal's file and all that it includes.
_MOST_FILES: Final = 200
_MOST_CHARACTERS: Final = 1024 * 1024
_MOST_LINES: Final = 50_000
_LONGEST_VALUE: Final = 16 * 1024


class _BoundedReader:
    """Reader of files for the Emperor: whoever may write a vassal's file must not be able to hold it up."""

    def __init__(self) -> None:
        self._files = self._characters = self._lines = 0

    def read(self, path: str) -> str:
        """Return the text of a regular file.

        Raises:
            OSError: it can't be read, or there were too many.
        """
        self._files += 1
        if self._files > _MOST_FILES:
            raise OSError(errno.EFBIG, "too much is included")
        text = read_text(path, regular=True, most=_MOST_CHARACTERS - self._characters)
        self._characters += len(text)
        self._lines += text.count("\n")
        if self._lines > _MOST_LINES:
            raise OSError(errno.EFBIG, "too many lines")
        return text


class VassalKind(enum.Enum):
    """Kind of a vassal: the program that runs its file."""

    UWSGI = "uwsgi"
    """The real uWSGI: the file says what it knows, or nothing that tells."""
    ROUTER = "router"
    """This program: the file has routers only."""
    APPLICATIONS = "applications"
    """This program: the file has ``[app NAME]`` sections, or a program in the place of uWSGI."""


@dataclass(slots=True)
class _Signs:
    """Signs of a kind: settings, each by its option's name with where it was written.

    Those of ``jail``, terminals and network devices inside, decide only where nothing else does: uWSGI's plugins have
    them, too, and another vassal would have namespaces of its own.
    """

    routers: dict[str, str] = field(default_factory=dict)
    jail: dict[str, str] = field(default_factory=dict)
    server: dict[str, str] = field(default_factory=dict)
    patches: dict[str, str] = field(default_factory=dict)
    apps: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.routers or self.server or self.patches or self.apps)


def kind_of(
    file: VassalFile, config: EmperorConfig, environ: Mapping[str, str] = os.environ
) -> VassalKind:
    """Return the kind of a file; what is wrong in it is left to the program that runs it.

    Files that all vassals read (``vassals-include`` and the like) decide only about a file that says nothing itself.

    Args:
        file: of the vassal.
        config: of the Emperor.
        environ: of the vassal: conditions may ask for it.

    Raises:
        VassalRefused: it is for two programs.
    """
    if not file.path.endswith(".ini") or (config.magic_exec and os.access(file.path, os.X_OK)):
        return VassalKind.UWSGI
    settings = [Line("set", setting, "") for setting in config.vassal_settings]
    try:
        with _inside(file.directory):
            signs = _signs_of([*settings, Line("ini", file.path, "")], environ)
            if not signs:
                signs = _signs_of(_all_lines(file, config), environ)
    except OSError:
        # The directory is gone, or closed to us. Its program says so, in words.
        return VassalKind.UWSGI
    return _kind(signs)


@contextlib.contextmanager
def _inside(directory: str) -> Iterator[None]:
    """Be in the directory of a vassal: what its file includes is looked for there.

    Raises:
        OSError: it can't be entered.
    """
    # Our own one may have been removed: it has no name then.
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(directory)
        try:
            yield
        finally:
            os.fchdir(before)
    finally:
        os.close(before)


def _all_lines(file: VassalFile, config: EmperorConfig) -> Iterator[Line]:
    for path in (*config.vassals_inherit_before, *config.vassals_include_before):
        yield Line("include", path, "")
    yield from (Line("set", setting, "") for setting in config.vassal_settings)
    yield Line("ini", file.path, "")
    for path in (*config.vassals_inherit, *config.vassals_include):
        yield Line("include", path, "")


def keys_of(
    file: VassalFile, config: EmperorConfig, environ: Mapping[str, str] = os.environ
) -> frozenset[bytes]:
    """Return the keys that a vassal will announce, as far as its file says them plainly; parameters as above.

    These are the hosts of ``[app NAME]`` sections, or what they are without any, and the keys of ``subscribe-to``,
    ``subscribe`` and ``subscribe2``.
    """
    if not file.path.endswith(".ini"):
        return frozenset()
    found: set[str] = set()
    with _inside(file.directory):
        script = _script_of(_all_lines(file, config), environ)
        for name, lines in script.applications.items():
            hosts = [script.expand(line) for line in lines if line.name == "host"]
            found |= set(hosts or [name])
        patched = False
        for line in script.lines:
            option = None if line.placeholder else table.find(line.name)
            if line.name in ("subscribe-to", "subscribe"):
                found.add(_announced_key(script.expand(line)))
            elif line.name == "subscribe2":
                pairs = (part.partition("=") for part in script.expand(line).split(","))
                found |= {value for name, _, value in pairs if name.strip() == "key"}
            patched = patched or (option is not None and option.field in _PATCHES)
        if patched and not script.applications:
            found.add(script.first_name)
    return frozenset(normal_key(os.fsencode(key)) for key in found if key and key[0] != "@")


def _announced_key(text: str) -> str:
    """Return the key of ``SERVER:KEY`` or ``SERVER:KEY,MODIFIER1``; "" if it says none."""
    return text.rpartition(":")[2].partition(",")[0]


def _script_of(lines: Iterable[Line], environ: Mapping[str, str]) -> Script:
    script = Script(environ, _BoundedReader().read, longest=_LONGEST_VALUE, cheap=True)
    try:
        script.run(list(lines))
    except ConfigurationExit:
        pass
    return script


def _signs_of(lines: Iterable[Line], environ: Mapping[str, str]) -> _Signs:
    script = _script_of(lines, environ)
    signs = _Signs(apps=list(script.applications))
    for line in script.lines:
        option = None if line.placeholder else table.find(line.name)
        if option is None or not _asks(line, option):
            continue
        if option.standing is Standing.APPLICATION:
            signs.server.setdefault(line.name, line.where)
        elif option.part == "forkpty" or (option.part == "tuntap" and option.field in _OF_DEVICES):
            signs.jail.setdefault(line.name, line.where)
        elif option.standing is Standing.WORKS and option.part in _ROUTERS:
            # Which uWSGI runs an Emperor's vassals is for the Emperor alone.
            if option.name != "binary-path":
                signs.routers.setdefault(line.name, line.where)
        elif option.field in _PATCHES:
            signs.patches.setdefault(line.name, line.where)
    return signs


def _asks(line: Line, option: Option) -> bool:
    """Return False for a switch that is off."""
    return option.kind.argument is not Argument.NONE or is_on(line.value)


def _kind(signs: _Signs) -> VassalKind:
    if signs.server and signs.apps:
        raise VassalRefused(
            f"uWSGI would run {_listed(signs.server)}, and this program [app {signs.apps[0]}]:"
            f" leave the [app] sections in a file of their own, without the others"
        )
    if signs.server and signs.routers:
        raise VassalRefused(
            f"this program would run {_listed(signs.routers)}, a router, and uWSGI {_listed(signs.server)}: write two"
            f" files, the router's with {_first(signs.routers)} and the others that begin so, and the application's"
            f" with all that is left and socket = PATH; the router finds it by {_prefix(signs.routers)}-to = PATH"
        )
    if signs.apps or (signs.patches and not signs.server):
        return VassalKind.APPLICATIONS
    if signs.routers or (signs.jail and not signs.server):
        return VassalKind.ROUTER
    return VassalKind.UWSGI


def _listed(settings: Mapping[str, str]) -> str:
    shown = [f"{name} ({where})" for name, where in settings.items()][:_MOST_SHOWN]
    more = len(settings) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _first(settings: Mapping[str, str]) -> str:
    return next(iter(settings))


def _prefix(settings: Mapping[str, str]) -> str:
    name = _first(settings)
    return "fastrouter" if name.startswith("fastrouter") else "http"


def program_of(
    kind: VassalKind,
    config: EmperorConfig,
    launch_argv: Sequence[str],
    environ: Mapping[str, str] = os.environ,
) -> tuple[str, ...]:
    """Return the program of a kind: the beginning of its command line.

    Args:
        kind: of the file.
        config: of the Emperor.
        launch_argv: this program, as it was started, without arguments.
        environ: its PATH counts.

    Raises:
        VassalRefused: there is no uWSGI.
    """
    if kind is not VassalKind.UWSGI:
        return tuple(launch_argv)
    if config.binary_path is not None:
        return (config.binary_path,)
    found = shutil.which("uwsgi", path=environ.get("PATH", os.defpath))
    if found is None:
        if config.wrapper or config.wrapper_overrides or config.wrapper_fallbacks:
            # What these execute may need none.
            return ("uwsgi",)
        raise VassalRefused(
            "it is for uWSGI, and there is no uwsgi in PATH: install it (pip install uwsgi), or name it with"
            " binary-path"
        )
    return (found,)
