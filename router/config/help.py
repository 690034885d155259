"""Help texts: one screen, one option, what has a word, every option; made from the table of options."""

import textwrap
from collections.abc import Iterator

from uwsgi_router.router.config import table, unsupported
from uwsgi_router.router.config.option import Option, Standing

WIDTH = 100
INDENT = 34
_NARROW = 60

# What most configurations need, in the order in which one writes it.
_OFTEN = (
    "http",
    "http-to",
    "http-subscription-server",
    "http-keepalive",
    "http-websockets",
    "fastrouter",
    "fastrouter-subscription-server",
    "http-stats",
    "http-access-log",
    "uid",
)
_USAGE = """\
usage: uwsgi-router [options] [FILE.ini[:SECTION]]...
       uwsgi-router COMMAND ...

Routers:
  check FILE... | -- OPTIONS...       validate a configuration without starting
  demo                                run both routers with two applications
Nodes, the application servers (KEY is the host that they serve):
  subscribe [options] -- PROGRAM...   run a program, announce it once it serves
  status [KEY] [--json] [--watch]     show the nodes of a running router
  drain NODE | enable NODE            take a node out of service, or back
  weight NODE N                       set a node's share of the requests
Tools:
  get ADDRESS|URL [PATH]              send one request, over uwsgi or HTTP
  pty ADDRESS [-- COMMAND...]         connect this terminal to a forkpty router
  tuntap-device DEVICE SOCKET         connect a TUN device to a tuntap router
  keys new DOMAIN                     make keys for signed announces
  completion bash|zsh|fish            print a script that completes all this

Often used options:
"""
_REST = """
Examples:
  uwsgi-router --http :8080 --http-to 127.0.0.1:8000 --http-backend-http
  uwsgi-router /etc/uwsgi-router.ini

Options are uWSGI's; in files without dashes, one per line, below [uwsgi]. More:
  uwsgi-router help WORD     options whose name or text has this word
  uwsgi-router --help-all    every option
Exit codes: 0 all went well, 1 it did not, 2 a command line that makes no sense.
"""


def overview(width: int = WIDTH) -> str:
    """Return the help of one screen: commands, the options that most need, where the rest is.

    Args:
        width: of the terminal, characters.
    """
    width = max(_NARROW, min(width, WIDTH))
    lines = []
    for name in _OFTEN:
        option = table.names()[name]
        first = f"  --{name} {option.kind.shown}".rstrip()
        if len(first) >= INDENT:
            lines.append(first)
            first = ""
        short = textwrap.shorten(option.help, width - INDENT, placeholder="…")
        lines.append(first.ljust(INDENT) + short)
    return _USAGE + "\n".join(lines) + "\n" + _REST


def everything(width: int = WIDTH) -> str:
    """Return the help on every option.

    Args:
        width: of the terminal, characters.
    """
    width = max(_NARROW, min(width, WIDTH))
    text = (
        "Options are uWSGI's, in files without the dashes, one per line, below [uwsgi]. UWSGI_SOME_OPTION in the"
        " environment is --some-option. A name in parentheses is another name of the same option, a value in"
        " parentheses the default."
    )
    parts = [textwrap.fill(text, width) + "\n"]
    groups: dict[str, list[Option]] = {}
    for option in table.spelled_out():
        groups.setdefault(option.group, []).append(option)
    parts += [
        "\n".join([f"{group}:", *(_entry(option, width) for option in options), ""])
        for group, options in groups.items()
    ]
    parts.append("Other options of uWSGI's (help OPTION tells about one of them):\n")
    parts += [
        "\n".join([f"{title}:", *_topics(standing, width), ""]) for standing, title in _HEADINGS
    ]
    return "\n".join(parts)


def matching(word: str, width: int = WIDTH) -> str | None:
    """Return the options whose name, or text, has a word; None if there are none.

    Args:
        word: as somebody looks for it.
        width: of the terminal, characters.
    """
    width, wanted = max(_NARROW, min(width, WIDTH)), word.lower().lstrip("-")
    found = [
        option
        for option in table.spelled_out()
        if any(wanted in name for name in option.names) or wanted in option.help.lower()
    ]
    others = [
        name
        for name, option in table.names().items()
        if wanted in name and option.standing is not Standing.WORKS and option not in found
    ]
    lines = [_entry(option, width) for option in found]
    if others:
        text = f"Not here, or nothing to do: {', '.join(others)}"
        lines.append(textwrap.fill(text, width, break_on_hyphens=False))
    return "\n".join(lines) + "\n" if lines else None


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


def _entry(option: Option, width: int) -> str:
    text = option.help
    if option.standing is not Standing.WORKS:
        text = f"{text} [{described(option)}]"
    wrapped = textwrap.wrap(text, width - INDENT)
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


def _topics(standing: Standing, width: int) -> Iterator[str]:
    for topic in unsupported.topics():
        if topic.standing is standing:
            count = len(topic.options)
            refused = "refused: " if topic.refused else ""
            text = f"{topic.title} ({count}): {refused}{topic.reason}"
            yield textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    ")
