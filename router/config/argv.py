"""Command line and environment, turned into lines as uWSGI orders them: environment, options, then bare files."""

from collections.abc import Mapping, Sequence

from uwsgi_router.router.config import table
from uwsgi_router.router.config.lines import COMMAND_LINE, ENVIRONMENT, Line, Problem
from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.values import OFF_WORDS, ON_WORDS, Argument

PREFIX = "UWSGI_"
OTHER_FORMS = (".xml", ".yaml", ".yml", ".json", ".js", ".sqlite", ".sqlite3", ".db", ".ldap")


def environment(environ: Mapping[str, str]) -> list[Line]:
    """``UWSGI_SOME_OPTION=value`` is ``some-option = value``, known or not."""
    return [
        Line(name.removeprefix(PREFIX).lower().replace("_", "-"), value, ENVIRONMENT)
        for name, value in environ.items()
        if name.startswith(PREFIX) and name != PREFIX
    ]


def command_line(argv: Sequence[str], problems: list[Problem]) -> list[Line]:
    """Read the arguments as GNU getopt does: options and files in any order, ``--`` ends the options.

    Args:
        argv: without the program's name.
        problems: gets usage errors.
    """
    words = list(argv)
    lines: list[Line] = []
    files: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
            files += words
            break
        if word.startswith("--"):
            _long(word[2:], words, lines, problems)
        elif word.startswith("-") and word != "-":
            _letters(word[1:], words, lines, problems)
        else:
            files.append(word)
    return lines + [Line("ini", file, COMMAND_LINE) for file in files if _is_ini(file, problems)]


def unknown(name: str, *, shown: str | None = None) -> str:
    """Return the message for a name that is no option."""
    close = table.nearest(name)
    dashes = "--" if shown is not None and shown.startswith("--") else ""
    hint = f"; did you mean {dashes}{close}?" if close else ""
    return f"unknown option {shown or name}{hint}"


def _long(text: str, words: list[str], lines: list[Line], problems: list[Problem]) -> None:
    name, equals, value = text.partition("=")
    option = table.find(name)
    if option is None:
        problems.append(Problem(COMMAND_LINE, unknown(name, shown=f"--{name}")))
        # What follows is most likely its value, and no second mistake.
        if not equals and words and not words[0].startswith("-") and not _looks_like_file(words[0]):
            words.pop(0)
        return
    if not equals:
        value = _next(option, f"--{name}", words, problems)
    lines.append(Line(name, value, COMMAND_LINE))


def _letters(text: str, words: list[str], lines: list[Line], problems: list[Problem]) -> None:
    while text:
        letter, text = text[0], text[1:]
        option = table.letters().get(letter)
        if option is None:
            problems.append(Problem(COMMAND_LINE, f"unknown option -{letter}"))
            return
        value = ""
        if option.kind.argument is not Argument.NONE and text:
            value, text = text, ""
        elif not text:
            value = _next(option, f"-{letter}", words, problems)
        lines.append(Line(option.name, value, COMMAND_LINE))


def _next(option: Option, shown: str, words: list[str], problems: list[Problem]) -> str:
    argument = option.kind.argument
    if argument is Argument.REQUIRED:
        if words:
            return words.pop(0)
        problems.append(Problem(COMMAND_LINE, f"{shown} needs a value ({option.kind.shown})"))
    if argument is Argument.WORD and words and words[0].lower() in OFF_WORDS | ON_WORDS:
        return words.pop(0)
    return ""


def _looks_like_file(word: str) -> bool:
    return ".ini" in word


def _is_ini(file: str, problems: list[Problem]) -> bool:
    path, _, section = file.rpartition(":")
    if file.endswith(".ini") or (section and path.endswith(".ini")):
        return True
    form = next((suffix for suffix in OTHER_FORMS if file.endswith(suffix)), None)
    if form is None:
        message = f"unexpected argument {file!r}: expected options and FILE.ini[:SECTION]"
    else:
        message = f"{file}: {form[1:]} files are not read yet: write it as an ini file"
    problems.append(Problem(COMMAND_LINE, message))
    return False
