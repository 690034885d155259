"""Build hook for wheels: compiles the hot path with mypyc, if ``UWSGI_ROUTER_COMPILE=1`` asks for it.

The same .py files, as C extensions that mypyc makes; they stay in the wheel beside their extensions, for tracebacks.
Without the variable nothing here does anything, and nothing more than hatchling is needed.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "uwsgi_router"
_ASKED = os.environ.get("UWSGI_ROUTER_COMPILE", "") not in {"", "0"}


class CompileHook(BuildHookInterface):
    """Build hook that adds extensions to a wheel; an editable one stays as it is."""

    def dependencies(self) -> list[str]:
        """Return what has to be there to build."""
        return self.config["requires"] if _ASKED else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name what came of it."""
        if not _ASKED or version == "editable":
            return
        # Kept until the build ends: the wheel is written after this.
        self._directory = tempfile.TemporaryDirectory(prefix="uwsgi-router-")
        for path in compiled(self.root, self.config["modules"], Path(self._directory.name)):
            build_data["force_include"][str(path)] = str(
                path.relative_to(Path(self._directory.name, "lib"))
            )
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what is in the wheel by now."""
        if _ASKED and version != "editable":
            self._directory.cleanup()


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
        distribution = Distribution({"name": "uwsgi-router", "ext_modules": extensions})
        build = distribution.get_command_obj("build_ext")
        build.build_lib = str(directory / "lib")
        build.build_temp = str(directory / "o")
        build.ensure_finalized()
        build.run()
    finally:
        os.chdir(before)
    return sorted((directory / "lib").rglob("*.so"))
