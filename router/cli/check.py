"""``uwsgi-router check FILE...``: every mistake of a configuration, and the class of each option, without starting.

Each file is read on its own, as ``uwsgi-router FILE`` would, with the environment that is there; what follows ``--`` is
a command line. Start and check judge by the same code (``router/app/prepare/``); ``--load`` also
loads what ``use-code-string`` names.
"""

import argparse
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.cli import commands
from uwsgi_router.router.config.lines import ConfigurationExit, Problem, Severity
from uwsgi_router.router.config.load import Report, examine
from uwsgi_router.router.config.option import Standing
from uwsgi_router.subscriptions.client.arguments import split_at_dashes

USAGE = "uwsgi-router check [--strict] [--json] [--load] FILE.ini[:SECTION]... | -- OPTIONS..."


def main(args: list[str]) -> int:
    """Check files, or a command line.

    Args:
        args: the files' names, with ``:SECTION`` where wanted; or a command line behind ``--``.

    Returns:
        1 if any has an error (or, with ``--strict``, a warning), 2 for a wrong call, else 0.
    """
    own, line = split_at_dashes(args)
    parser = arguments()
    try:
        asked = parser.parse_args(own)
        if bool(asked.files) == (line is not None):
            parser.error("give files, or a command line behind --")
    except SystemExit as stop:
        return int(stop.code or 0)
    called = [(file, ["--ini", file]) for file in asked.files] or [("command line", line or [])]
    results = [_look(name, words, load=asked.load) for name, words in called]
    if asked.json:
        import json  # noqa: PLC0415 - few ask for it

        sys.stdout.write(json.dumps([_document(*one) for one in results], indent=2) + "\n")
    else:
        for one in results:
            sys.stdout.writelines(_text(*one))
    clean = all(_passes(report, strict=asked.strict) for _name, report, _code in results)
    return 0 if clean else 1


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line, up to the ``--``."""
    parser = commands.parser(
        "check",
        "Find every mistake of a configuration, without starting.",
        "Exit status: 0 if there is no error, 1 if there is one (or a warning, with --strict), 2 for wrong use.",
        (
            "uwsgi-router check /etc/uwsgi-router.ini",
            "uwsgi-router check --strict -- --http :8080 --http-to 127.0.0.1:8000",
        ),
    )
    parser.usage = USAGE
    parser.add_argument("--strict", action="store_true", help="take warnings for errors")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--load", action="store_true", help="load code of use-code-string, in a process of its own"
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE.ini[:SECTION]", help="files, or a command line behind --"
    )
    return parser


def _look(name: str, words: Sequence[str], *, load: bool) -> tuple[str, Report | None, int]:
    """Return a name, the report, and the code of ``exit = CODE`` if there is no report because of it."""
    try:
        return name, prepare(examine(words, os.environ), load_code=load), 0
    except ConfigurationExit as stop:
        return name, None, stop.code


def _passes(report: Report | None, *, strict: bool) -> bool:
    if report is None:
        return True
    if strict:
        return not (report.problems or report.warnings)
    return not _of(report, Severity.ERROR)


def _of(report: Report, severity: Severity) -> list[Problem]:
    return [one for one in (*report.problems, *report.warnings) if one.severity is severity]


def _text(name: str, report: Report | None, code: int) -> Iterator[str]:
    if report is None:
        yield f"{name}: says exit = {code}; nothing after that was read\n"
        return
    for title, severity in (
        ("errors", Severity.ERROR),
        ("depends on where it runs", Severity.DEPENDS),
        ("warnings", Severity.WARNING),
    ):
        problems = _of(report, severity)
        if problems:
            yield f"{title}:\n"
            yield from (f"  {problem}\n" for problem in problems)
    yield from _options(report)
    counts = [
        _count(len(_of(report, Severity.ERROR)), "error"),
        _count(len(_of(report, Severity.WARNING)), "warning"),
    ]
    depends = len(_of(report, Severity.DEPENDS))
    if depends:
        counts.append(f"{depends} that depend{'s' if depends == 1 else ''} on where it runs")
    yield f"{name}: {', '.join(counts)}\n"


def _options(report: Report) -> Iterator[str]:
    if report.options:
        yield "options:\n"
    for standing in Standing:
        names = _names(report, standing)
        if names:
            label = f"  {standing.value}: "
            text = textwrap.fill(
                ", ".join(names),
                100,
                initial_indent=label.ljust(25),
                subsequent_indent=" " * 25,
                break_on_hyphens=False,
            )
            yield f"{text}\n"


def _names(report: Report, standing: Standing) -> list[str]:
    found = dict.fromkeys(
        line.name
        for line, option in report.options
        if option.standing is standing and line.name != "ini"
    )
    return list(found)


def _document(name: str, report: Report | None, code: int) -> dict[str, Any]:
    if report is None:
        return {"name": name, "exit": code, "problems": [], "options": {}}
    problems = [
        {"severity": one.severity.name.lower(), "where": one.where, "message": one.message}
        for one in (*report.problems, *report.warnings)
    ]
    options = {standing.value: _names(report, standing) for standing in Standing}
    return {"name": name, "problems": problems, "options": options}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
