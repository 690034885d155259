"""The configuration language itself: files, placeholders, conditions, loops.

``script`` acts on these options; they set nothing.

Source: the real program, observed; uWSGI's manual on configuration and on configuration logic.
"""

from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.values import (
    ANY,
    ANY_ASSIGNMENT,
    ANY_FILE,
    ANY_OPTIONAL,
    ANY_SWITCH,
    Kind,
)

GROUP = "configuration"

INCLUDES = frozenset({"ini", "include", "inherit"})
PLACEHOLDERS = frozenset({"set-placeholder", "set-ph"})
ENDS = frozenset({"endif", "end-if", "endfor", "end-for"})


def _word(name: str, kind: Kind, help_: str, *aliases: str, short: str = "") -> Option:
    return Option(
        name=name,
        kind=kind,
        help=help_,
        group=GROUP,
        aliases=aliases,
        short=short,
        repeatable=True,
    )


OPTIONS: tuple[Option, ...] = (
    _word(
        "ini",
        Kind("FILE[:SECTION]", str),
        "Read this file; :SECTION is one of the file read last.",
    ),
    _word("include", Kind("FILE[:SECTION]", str), "Read this file here.", "inherit"),
    _word("set-placeholder", ANY_ASSIGNMENT, "Give the placeholder %(NAME) a value.", "set-ph"),
    _word("set", ANY_ASSIGNMENT, "The same, or set an option.", short="S"),
    _word("print", ANY, "Print this line at start.", "iprint"),
    _word("exit", ANY_OPTIONAL, "Stop here, with this exit code."),
    _word("for", ANY, "Repeat each line up to endfor for these words, as %(_)."),
    _word("for-glob", ANY, "The same for the files that match."),
    _word("for-times", ANY, "The same for 1 to N."),
    _word("for-readline", ANY_FILE, "The same for the lines of a file."),
    _word("endfor", ANY_OPTIONAL, "End of a loop.", "end-for"),
    _word("if-env", ANY, "Use the lines up to endif if this variable is set.", "ifenv"),
    _word("if-not-env", ANY, "The same if it is not set."),
    _word("if-opt", ANY, "The same if this option (or NAME=VALUE) was given before."),
    _word("if-not-opt", ANY, "The same if it was not."),
    _word("if-exists", ANY_FILE, "The same if this path exists.", "ifexists"),
    _word("if-not-exists", ANY_FILE, "The same if it does not."),
    _word("if-file", ANY_FILE, "The same if this is a file."),
    _word("if-not-file", ANY_FILE, "The same if it is not."),
    _word("if-dir", ANY, "The same if this is a directory.", "ifdir", "if-directory"),
    _word("if-not-dir", ANY, "The same if it is not."),
    _word("if-hostname", ANY, "The same if this is the machine's name."),
    _word("if-not-hostname", ANY, "The same if it is not."),
    _word("if-hostname-match", ANY, "The same if this regular expression fits the machine's name."),
    _word("if-not-hostname-match", ANY, "The same if it does not."),
    _word("if-plugin", ANY, "The same if this is a router that is built in.", "ifplugin"),
    _word("if-not-plugin", ANY, "The same if it is not."),
    _word("if-reload", ANY_SWITCH, "The same after a reload, that is, never."),
    _word("if-not-reload", ANY_SWITCH, "The same at the first start, that is, always."),
    _word("endif", ANY_OPTIONAL, "End of a condition.", "end-if"),
)
