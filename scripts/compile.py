"""Build hook for wheels: compiles the hot path with mypyc where a C compiler and Python's headers are.

The same .py files, as C extensions that mypyc makes; they stay in the wheel beside their extensions, for tracebacks.
``UWSGI_ROUTER_COMPILE=1`` makes a build fail that can't compile; with ``0`` nothing is compiled, and nothing more than
hatchling is needed. An editable install stays plain.
"""

import os
import shlex
import shutil
import sysconfig
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "uwsgi_router"
VARIABLE = "UWSGI_ROUTER_COMPILE"


class CompileHook(BuildHookInterface):
    """Build hook that adds extensions to a wheel; an editable one stays as it is."""

    def dependencies(self) -> list[str]:
        """Return what has to be there to build."""
        return self.config["requires"] if wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name what came of it."""
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        if version == "editable" or not wanted():
            return
        if asked() and missing():
            raise RuntimeError(f"{VARIABLE}=1, and {missing()} is not there")
        # Kept until the build ends: the wheel is written after this.
        self._directory = tempfile.TemporaryDirectory(prefix="uwsgi-router-")
        try:
            found = compiled(self.root, self.config["modules"], Path(self._directory.name))
        except Exception as error:
            if asked() is None:
                # Better slow than not at all.
                self.app.display_warning(f"not compiled, the wheel is plain Python: {error}")
                return
            raise
        for path in found:
            build_data["force_include"][str(path)] = str(
                path.relative_to(Path(self._directory.name, "lib"))
            )
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what is in the wheel by now."""
        if self._directory is not None:
            self._directory.cleanup()


def asked() -> bool | None:
    """Return what the environment asks for; None: compile if that is possible."""
    text = os.environ.get(VARIABLE, "")
    return None if not text else text != "0"


def wanted() -> bool:
    """Return True if this build compiles, or tries to."""
    choice = asked()
    return choice if choice is not None else not missing()


def missing() -> str:
    """Return what it would take to compile and is not there; an empty text if nothing is missing."""
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if shutil.which(shlex.split(compiler)[0]) is None:
        return f"the C compiler {compiler}"
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    return "" if os.path.exists(header) else header


def compiled(root: str, patterns: list[str], directory: Path) -> list[Path]:
    """Return the extensions that were made, in the tree of the packages under ``directory``.

    Args:
        root: of the source tree.
        patterns: of the modules to compile, relative to the package.
        directory: empty.

    Raises:
        ValueError: if a pattern finds no file.
    """
    # Only here: installed if asked for.
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    class ParallelBuild(build_ext):
        """Compiles extensions, and the units of each, at the same time, on all processors."""

        def build_extensions(self) -> None:
            self.compiler.compile = in_parallel(self.compiler.compile)
            super().build_extensions()

    modules = []
    for pattern in patterns:
        found = sorted(
            path for path in Path(root, PACKAGE).glob(pattern) if path.name != "__init__.py"
        )
        if not found:
            raise ValueError(f"{pattern}, named in pyproject.toml as to be compiled, finds no file")
        modules += [str(path.relative_to(root)) for path in found]
    before = os.getcwd()
    os.chdir(root)
    try:
        extensions = mypycify(
            # What is only imported need not be installed: the wheel's requirements are none of the build's.
            ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports", *modules],
            group_name="uwsgi_router",
            opt_level="2",
            debug_level="0",
            # Smaller units: a third of the time, and the same code (docs/benchmarks/profile.md).
            multi_file=True,
            target_dir=str(directory / "c"),
        )
        for extension in extensions:
            # CFLAGS of the environment take the interpreter's place, and with them what leaves out assertions in its
            # headers: a sixth more instructions for a request.
            extension.extra_compile_args.append("-DNDEBUG")
        distribution = Distribution({"name": "uwsgi-router", "ext_modules": extensions})
        build = ParallelBuild(distribution)
        build.build_lib = str(directory / "lib")
        build.build_temp = str(directory / "o")
        # A module's own extension is a few lines, of which the headers take all the time.
        build.parallel = os.cpu_count()
        build.ensure_finalized()
        build.run()
    finally:
        os.chdir(before)
    return sorted((directory / "lib").rglob("*.so"))


def in_parallel(compile_units: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Return a ``compile`` of a distutils compiler that has several units in work."""

    def compile_all(sources: list[str], *args: Any, **options: Any) -> list[str]:
        def one(source: str) -> list[str]:
            return compile_units([source], *args, **options)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return [name for names in pool.map(one, sources) for name in names]

    return compile_all
