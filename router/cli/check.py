"""Command ``check FILE…``: validates configuration files without starting.

Each file is read on its own, as ``uwsgi-router FILE`` would, with the environment that is there.
"""

import os
import sys
import textwrap
from collections.abc import Sequence

from uwsgi_router.router.config.lines import ConfigurationExit, Problem
from uwsgi_router.router.config.load import Report, examine
from uwsgi_router.router.config.option import Standing

USAGE = "usage: uwsgi-router check FILE.ini[:SECTION]...\n"


def main(args: list[str]) -> int:
    """Check files.

    Args:
        args: the files' names, with ``:SECTION`` where wanted.

    Returns:
        1 if any file has an error, 2 for a wrong call, else 0; warnings alone are no error.
    """
    if not args or any(arg.startswith("-") for arg in args):
        sys.stderr.write(USAGE)
        return 2
    clean = True
    for file in args:
        clean = _check(file) and clean
    return 0 if clean else 1


def _check(file: str) -> bool:
    try:
        report = examine(["--ini", file], os.environ)
    except ConfigurationExit as stop:
        sys.stdout.write(f"{file}: says exit = {stop.code}; nothing after that was read\n")
        return True
    _show("errors", report.problems)
    _show("warnings", report.warnings)
    _show_options(report)
    summary = f"{_count(report.problems, 'error')}, {_count(report.warnings, 'warning')}"
    sys.stdout.write(f"{file}: {summary}\n")
    return not report.problems


def _show(title: str, problems: Sequence[Problem]) -> None:
    if problems:
        sys.stdout.write(f"{title}:\n")
        sys.stdout.writelines(f"  {problem}\n" for problem in problems)


def _show_options(report: Report) -> None:
    if not report.options:
        return
    sys.stdout.write("options:\n")
    for standing in Standing:
        names = dict.fromkeys(
            line.name
            for line, option in report.options
            if option.standing is standing and line.name != "ini"
        )
        if names:
            label = f"  {standing.value}: "
            sys.stdout.write(
                textwrap.fill(
                    ", ".join(names),
                    100,
                    initial_indent=label.ljust(25),
                    subsequent_indent=" " * 25,
                    break_on_hyphens=False,
                )
                + "\n"
            )


def _count(problems: Sequence[Problem], noun: str) -> str:
    return f"{len(problems)} {noun}{'' if len(problems) == 1 else 's'}"
