"""Writes configuration files and loads them, as the command would."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from uwsgi_router.router.config.lines import Problem
from uwsgi_router.router.config.load import Report, examine
from uwsgi_router.router.config.model import Configuration, RouterConfig

ENVIRONMENT = {"HOME": "/home/operator", "PATH": "/bin"}


class ConfigurationError(Exception):
    """Error: a configuration can't be used.

    Attributes:
        problems: everything that is wrong, in the order of lines.
        usage: the command line itself is wrong.
    """

    def __init__(self, report: Report) -> None:
        super().__init__("\n".join(map(str, report.problems)))
        self.problems: tuple[Problem, ...] = report.problems
        self.usage = report.usage


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Configuration:
    """Configuration of a command line that is in order."""
    report = examine(argv, environ)
    if report.problems:
        raise ConfigurationError(report)
    return report.configuration


class Files:
    """A directory with configuration files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, text: str, name: str = "router.ini") -> str:
        """Write a file and return its path."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return os.fspath(path)

    def examine(self, text: str, environ: Mapping[str, str] | None = None) -> Report:
        """What is to be said about a file with this text below ``[uwsgi]``."""
        return examine(
            [self.write(f"[uwsgi]\n{text}")], ENVIRONMENT if environ is None else environ
        )

    def load(self, text: str, environ: Mapping[str, str] | None = None) -> Configuration:
        """Load a file with this text below ``[uwsgi]``."""
        return load([self.write(f"[uwsgi]\n{text}")], ENVIRONMENT if environ is None else environ)

    def router(self, text: str) -> RouterConfig:
        """The router that a fastrouter with these lines gives."""
        (router,) = self.load(f"fastrouter = 127.0.0.1:3031\n{text}").routers
        return router

    def prints(self, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
        """What the ``print`` lines print."""
        return list(self.examine(text, environ).configuration.prints)

    def errors(self, text: str) -> list[str]:
        """What is wrong, with the file's name as ``router.ini``."""
        report = self.examine(text)
        return [self.shorten(problem) for problem in report.problems]

    def warnings(self, text: str) -> list[str]:
        """What is warned of, likewise."""
        report = self.examine(text)
        assert not report.problems, report.problems
        return [self.shorten(problem) for problem in report.warnings]

    def wrong(self, text: str) -> list[str]:
        """What is wrong, without the places."""
        return [self.shorten(problem.message) for problem in self.examine(text).problems]

    def odd(self, text: str) -> list[str]:
        """What is warned of, without the places."""
        report = self.examine(text)
        assert not report.problems, report.problems
        return [self.shorten(problem.message) for problem in report.warnings]

    def shorten(self, text: object) -> str:
        """Leave the directory out of a message."""
        return str(text).replace(f"{self.directory}/", "")


def command_line(*argv: str) -> Configuration:
    """Load a command line without environment."""
    return load(argv, {})


def usage_errors(*argv: str) -> list[str]:
    """What is wrong with a command line as such."""
    report = examine(argv, {})
    assert report.usage
    return [str(problem) for problem in report.problems]
