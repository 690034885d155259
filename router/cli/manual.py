"""Manual page ``uwsgi-router(1)``: ``python -m uwsgi_router.router.cli.manual > docs/uwsgi-router.1``.

Made from the table of options and from the argument parsers of the commands; ``make docs`` writes it, wheels
install it.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from typing import Final

from uwsgi_router.router.cli.command_table import COMMANDS
from uwsgi_router.router.cli.flags import actions_of, of_command
from uwsgi_router.router.config import table
from uwsgi_router.router.config.option import Option, Standing

_HEAD: Final = """\
.\\" Made by `python -m uwsgi_router.router.cli.manual`; do not edit.
.TH UWSGI-ROUTER 1 "" uwsgi-router
.SH NAME
uwsgi-router \\- reverse proxy for uwsgi, HTTP and WebSockets with nodes that announce themselves
.SH SYNOPSIS
.B uwsgi-router
.RI [ options ]
.RI [ FILE.ini [: SECTION ]]...
.br
.B uwsgi-router
.I COMMAND
\\&...
.SH DESCRIPTION
Runs uWSGI's fastrouter and HTTP router, with uWSGI's options, ini files and subscription protocol.
Nodes are given by options, or announce themselves over UDP.
Options are written as
.BI \\-\\-name\\~ value
on the command line, as
.BI name\\~=\\~ value
below [uwsgi] in files, and as
.BI UWSGI_NAME= value
in the environment.
"""
_TAIL: Final = """\
.SH EXIT STATUS
0 if all went well, 1 if it did not, 2 for a command line that makes no sense.
.SH SIGNALS
.TP
.B INT, TERM, QUIT
end the routers; running requests have
.B reload\\-mercy
seconds.
.TP
.B USR1
opens log files again.
.SH EXAMPLES
.nf
uwsgi\\-router \\-\\-http :8080 \\-\\-http\\-to 127.0.0.1:8000 \\-\\-http\\-backend\\-http
uwsgi\\-router /etc/uwsgi\\-router.ini
uwsgi\\-router check /etc/uwsgi\\-router.ini
.fi
.SH SEE ALSO
.BR uwsgi (1),
.BR nginx (8)
"""


def manual() -> str:
    """Return the whole page, in roff's man macros."""
    return "".join([_HEAD, *_commands(), *_options(), _TAIL])


def _commands() -> Iterator[str]:
    yield ".SH COMMANDS\n"
    for name, command in COMMANDS.items():
        parser = command.arguments()
        yield f".SS {_text(name)}\n.B {_text(_usage(parser))}\n.PP\n"
        yield _paragraph(parser.description or "")
        for operand in _operands(parser):
            yield f".TP\n\\fI{_text(_shown(operand))}\\fR\n{_text(operand.help or '')}\n"
        for flag in of_command(command).flags:
            names = ", ".join(flag.names)
            help_text = flag.help % {"prog": parser.prog}
            yield f".TP\n\\fB{_text(names)}\\fR \\fI{_text(flag.value)}\\fR\n{_text(help_text)}\n"
        epilog = (parser.epilog or "") % {"prog": parser.prog}
        for paragraph in filter(None, epilog.strip().split("\n\n")):
            yield f".PP\n{_paragraph(paragraph)}"


def _usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage on one line; argparse's own differs from one version of Python to the next."""
    if parser.usage is not None:
        return parser.usage % {"prog": parser.prog}
    for action in actions_of(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return " | ".join(map(_usage, action.choices.values()))
    words = [f"[{_shown(one)}]" if one.nargs == "?" else _shown(one) for one in _operands(parser)]
    return " ".join([parser.prog, "[options]", *words])


def _operands(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        one
        for one in actions_of(parser)
        if not (one.option_strings or isinstance(one, argparse._SubParsersAction))  # noqa: SLF001
    ]


def _shown(operand: argparse.Action) -> str:
    return str(operand.metavar or "|".join(operand.choices or ()) or operand.dest.upper())


def _paragraph(text: str) -> str:
    """Return a paragraph, filled; one with indented lines as it is."""
    if "\n  " in text or text.startswith("  "):
        return f".nf\n{_text(text)}\n.fi\n"
    return f"{_text(' '.join(text.split()))}\n"


def _options() -> Iterator[str]:
    groups: dict[str, list[Option]] = {}
    for option in table.spelled_out():
        if option.standing is Standing.WORKS:
            groups.setdefault(option.group, []).append(option)
    yield ".SH OPTIONS\n"
    yield "Names in parentheses are other names of the same option, values in parentheses defaults.\n"
    for group, options in groups.items():
        yield f".SS {_text(group[0].upper() + group[1:])}\n"
        for option in options:
            letter = f"\\-{option.short}, " if option.short else ""
            also = f" ({', '.join(option.aliases)})" if option.aliases else ""
            yield f".TP\n{letter}\\fB\\-\\-{_text(option.name)}\\fR \\fI{_text(option.kind.shown)}\\fR{_text(also)}\n"
            yield f"{_text(option.help)}\n"


def _text(text: str) -> str:
    """Return a text as roff prints it: hyphens as typed, no line that begins like a request, ASCII."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"[^\n -~]", lambda found: f"\\[u{ord(found[0]):04X}]", text)
    return re.sub(r"^(?=[.'])", "\\\\&", text, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.stdout.write(manual())
