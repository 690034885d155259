"""Python file of the operator for ``use-code-string``: search, load, reload on change.

Its module is never called as the file is: a ``router.py`` or ``protocol.py`` of the operator's would otherwise take the
place of our packages, or be taken for them.
"""

import importlib.machinery
import importlib.util
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable
from types import ModuleType

from uwsgi_router.router.config.model import CodeString

log = logging.getLogger("uwsgi-router.code")

PREFIX = "_uwsgi_router_code_"
# Between two looks at the file.
_LOOK_EVERY = 1.0

Function = Callable[[bytes], object]


class CodeError(Exception):
    """Error: the function can't be had; ``str()`` is one line that says what is wrong and where."""


class CodeFile:
    """Function in a file.

    What the file imports from beside it (or, for a dotted module, from the working directory) is found after
    everything that is installed.

    Args:
        code: where the function is.

    Attributes:
        function: the function, of the newest version that could be loaded.

    Raises:
        CodeError: if it can't be loaded.
    """

    def __init__(self, code: CodeString) -> None:
        self._code = code
        self._path, self._module = _find(code.file)
        self._stamp: tuple[int, ...] | None = _stamp(self._path)
        self._look_at = 0.0
        self.function = self._load()

    def refresh(self, now: float) -> None:
        """Load the file again if it has changed; a version that can't be loaded is logged and not used.

        Args:
            now: the loop's clock, seconds; the file is looked at once a second at most.
        """
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY
        stamp = _stamp(self._path)
        # While an editor puts a new file in place there may be none.
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.function = self._load()
        except CodeError as exc:
            text = "%s has changed and can't be used, the version before it stays: %s"
            log.error(text, self._path, exc)  # noqa: TRY400 - the line says where
        else:
            log.info("%s has changed and was loaded again", self._path)

    def _load(self) -> Function:
        module = _execute(self._path, self._module)
        function = getattr(module, self._code.function, None)
        where, name = self._code.file, self._code.function
        if function is None:
            raise CodeError(f"{where} has no function {name}")
        if not callable(function):
            raise CodeError(f"{name} in {where} is no function but {type(function).__name__}")
        refusal = refusal_of(function)
        if refusal:
            raise CodeError(f"{name} in {where} {refusal}")
        return function  # type: ignore[no-any-return]


def refusal_of(function: Callable[..., object]) -> str:
    """Return why a function can't be called with a key alone, or "" if it can."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""  # Written in C: it says nothing about its arguments.
    try:
        signature.bind(b"key")
    except TypeError:
        return f"takes {signature}, but it is called with one argument, the key"
    return ""


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _find(file: str) -> tuple[str, str]:
    """Return the path of a file or dotted module, and the name that its module gets."""
    if "/" in file or file.endswith(".py"):
        path = os.path.abspath(file)
        _search(os.path.dirname(path))
        stem = os.path.splitext(os.path.basename(path))[0]
        return path, PREFIX + "".join(c if c.isalnum() else "_" for c in stem)
    cwd = os.getcwd()
    parent, _, last = file.rpartition(".")
    try:
        if not parent:
            # Asked of the path, not of what is imported already: "router" is the operator's here.
            spec = importlib.machinery.PathFinder.find_spec(file, [cwd, *_foreign_path()])
        else:
            _search(cwd)
            spec = importlib.util.find_spec(file)
    except (Exception, SystemExit) as exc:
        raise CodeError(_explain(exc, None)) from exc
    if spec is None or spec.origin is None:
        raise CodeError(f"there is no module {file} in {cwd} or on Python's path{_hint(file)}")
    if not spec.origin.endswith(".py"):
        raise CodeError(f"the module {file} is {spec.origin}: only Python source is taken")
    return spec.origin, (f"{parent}." if parent else "") + PREFIX + last


def _hint(file: str) -> str:
    if os.path.exists(file):
        return f"; for a file give its path: ./{file}"
    return f"; for a file give its path, with .py: {file}.py"


def _foreign_path() -> list[str]:
    """Return Python's path without the place where our own packages lie."""
    ours = os.path.abspath(__file__)
    for _ in ("routing", "router", "uwsgi_router", "the place"):
        ours = os.path.dirname(ours)
    return [entry for entry in sys.path if os.path.abspath(entry) != ours]


def _search(directory: str) -> None:
    """Let the code import what lies there; at the end of the path, so that it hides nothing."""
    if directory not in sys.path:
        sys.path.append(directory)


def _execute(path: str, name: str) -> ModuleType:
    """Run the file as a new module of this name; a failure leaves the earlier one in its place."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise CodeError(f"{path} is no Python source: its name must end in .py")
    if os.path.basename(path) == "__init__.py":
        spec.submodule_search_locations = [os.path.dirname(path)]
    module = importlib.util.module_from_spec(spec)
    earlier = sys.modules.get(name)
    sys.modules[name] = module
    try:
        # Compiled here, because the cache of compiled files can't tell two versions of one second apart.
        with open(path, "rb") as file:
            exec(compile(file.read(), path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except (Exception, SystemExit) as exc:
        if earlier is None:
            del sys.modules[name]
        else:
            sys.modules[name] = earlier
        raise CodeError(_explain(exc, path)) from exc
    return module


def _explain(exc: BaseException, path: str | None) -> str:
    """Return one line with the place in the operator's file."""
    if isinstance(exc, OSError) and exc.filename == path:
        return f"{path}: {exc.strerror}"
    if isinstance(exc, SyntaxError):
        return f"{exc.filename or path}:{exc.lineno}: {exc.msg}"
    frames = traceback.extract_tb(exc.__traceback__)
    ours = [frame for frame in frames if frame.filename == path]
    where = f"{path}:{ours[-1].lineno}: " if ours else f"{path}: " if path else ""
    return f"{where}{type(exc).__name__}: {exc}".replace("\n", " ")
