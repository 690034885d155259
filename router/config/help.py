"""The text of ``--help``, made from the option table."""

import textwrap
from collections.abc import Iterator

from uwsgi_router.router.config import table, unsupported
from uwsgi_router.router.config.option import Option, Standing

WIDTH = 100
INDENT = 34

USAGE = """\
usage: uwsgi-router [options] [FILE.ini[:SECTION]]...     run routers
       uwsgi-router check FILE...                         say what is wrong with files, and what each option does
       uwsgi-router get ADDRESS [PATH] [-H HOST] [-v]     send one request over the uwsgi protocol
       uwsgi-router keys new DOMAIN [--dir DIR]           make keys for signed announces
       uwsgi-router subscribe [options] -- PROGRAM...     run a program, and announce it to routers once it serves
       uwsgi-router status [KEY] [--json] [--watch]       show the announced nodes of a running router
       uwsgi-router drain NODE [--timeout SECONDS]        let a node have no new requests, and wait for those it has
       uwsgi-router enable NODE                           take that back
       uwsgi-router weight NODE N                         set a node's share of the requests
       uwsgi-router demo                                  run a fastrouter with two small applications
       uwsgi-router --help [OPTION] | --version

Options are uWSGI's, in files without the dashes, one per line, below [uwsgi]. UWSGI_SOME_OPTION in the environment is
--some-option. A name in parentheses is another name of the same option, a value in parentheses the default.
"""


def overview() -> str:
    """Return the whole help."""
    parts = [USAGE]
    groups: dict[str, list[Option]] = {}
    for option in table.spelled_out():
        groups.setdefault(option.group, []).append(option)
    parts += [
        "\n".join([f"{group}:", *(_entry(option) for option in options), ""])
        for group, options in groups.items()
    ]
    parts.append("Other options of uWSGI's (--help OPTION tells about one of them):\n")
    parts += ["\n".join([f"{title}:", *_topics(standing), ""]) for standing, title in _HEADINGS]
    return "\n".join(parts)


def about(name: str) -> str | None:
    """Return what there is to say about one option, or None if there is no such option.

    Args:
        name: with or without leading dashes.
    """
    name = name.lstrip("-")
    option = table.find(name) or (table.letters().get(name) if len(name) == 1 else None)
    if option is None:
        return None
    lines = [_signature(option).strip()]
    if option.help:
        lines.append(option.help)
    lines.append(f"{described(option)}.")
    return "\n".join(lines) + "\n"


def described(option: Option) -> str:
    """Return the option's class, and what follows from it."""
    if option.standing is Standing.WORKS:
        return "works"
    outcome = {
        Standing.BY_DESIGN: "accepted",
        Standing.APPLICATION: "refused",
        Standing.NOT_YET: "refused" if option.refused else "accepted with a warning",
    }[option.standing]
    return f"{option.standing.value}, {outcome}: {option.instead}"


_HEADINGS = (
    (Standing.BY_DESIGN, "true by design, accepted"),
    (Standing.NOT_YET, "not yet, accepted with a warning or refused"),
    (Standing.APPLICATION, "application server's, refused"),
)


def _entry(option: Option) -> str:
    text = option.help
    if option.standing is not Standing.WORKS:
        text = f"{text} [{described(option)}]"
    wrapped = textwrap.wrap(text, WIDTH - INDENT)
    first = _signature(option)
    if len(first) >= INDENT - 1:
        wrapped.insert(0, "")
    lines = [first.ljust(INDENT) + wrapped[0], *(" " * INDENT + line for line in wrapped[1:])]
    return "\n".join(line.rstrip() for line in lines)


def _signature(option: Option) -> str:
    letter = f"-{option.short}, " if option.short else ""
    value = f" {option.kind.shown}" if option.kind.shown else ""
    also = f" ({', '.join(option.aliases)})" if option.aliases else ""
    return f"  {letter}--{option.name}{value}{also}"


def _topics(standing: Standing) -> Iterator[str]:
    for topic in unsupported.topics():
        if topic.standing is standing:
            count = len(topic.options)
            refused = "refused: " if topic.refused else ""
            text = f"{topic.title} ({count}): {refused}{topic.reason}"
            yield textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
