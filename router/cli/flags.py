"""Options of the program and of its commands, as the completion scripts and the manual page list them."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from uwsgi_router.router.cli.command_table import Command
from uwsgi_router.router.config import table
from uwsgi_router.router.config.option import Standing


@dataclass(frozen=True, slots=True)
class Flag:
    """One option.

    Attributes:
        names: with their dashes, the usual one first.
        value: the value as shown; empty if it takes none.
        help: one sentence or more.
        choices: the values that there are, if they can be told.
    """

    names: tuple[str, ...]
    value: str
    help: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandWords:
    """Words that may follow the name of a command.

    Attributes:
        flags: its options.
        operands: the first words that are neither options nor free text.
    """

    flags: tuple[Flag, ...]
    operands: tuple[str, ...]


def of_routers() -> tuple[Flag, ...]:
    """Return the options that run routers and work here, in the order of the help."""
    return tuple(
        Flag((f"--{option.name}",), option.kind.shown, option.help)
        for option in table.spelled_out()
        if option.standing is Standing.WORKS
    )


def of_command(command: Command) -> CommandWords:
    """Return what may follow the name of a command."""
    flags: dict[tuple[str, ...], Flag] = {}
    operands: list[str] = []
    for parser in _parsers(command.arguments(), operands):
        for action in actions_of(parser):
            if action.option_strings:
                # The usual name is the long one, which argparse has last.
                names = tuple(reversed(action.option_strings))
                flags.setdefault(names, _flag(names, action))
            elif action.choices and not isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                operands += map(str, action.choices)
    return CommandWords(tuple(flags.values()), tuple(operands))


def _flag(names: tuple[str, ...], action: argparse.Action) -> Flag:
    choices = tuple(map(str, action.choices or ()))
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or "|".join(choices) or names[0].lstrip("-").upper())
    return Flag(names, value, action.help or "", choices)


def _parsers(
    parser: argparse.ArgumentParser, words: list[str]
) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of its subcommands, whose names are appended to ``words``."""
    yield parser
    for action in actions_of(parser):
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            words += action.choices
            for inner in action.choices.values():
                yield from _parsers(inner, words)


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the options and operands that were added to a parser, in order."""
    # argparse has no public list of what was added; shtab and argcomplete read this one, too.
    return parser._actions  # noqa: SLF001
