"""``uwsgi-router completion SHELL``: a script that completes commands and options in bash, zsh or fish.

The scripts are made from the table of options and from the argument parsers of the commands.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.command_table import COMMANDS
from uwsgi_router.router.cli.flags import CommandWords, Flag, of_command, of_routers

_NAME: Final = "uwsgi-router"
_FIRST: Final = {
    **{name: command.summary for name, command in COMMANDS.items()},
    "help": "tell about an option, or list those that have a word",
    "version": "print the version",
}
_HELP: Final = (
    Flag(("--help",), "", "the most needed options, on one screen"),
    Flag(("--help-all",), "", "every option"),
    Flag(("--version",), "", "print the version"),
)


def main(args: list[str]) -> int:
    """Print the script; return the exit status."""
    shell = arguments().parse_args(args).shell
    sys.stdout.write(_SCRIPTS[shell]())
    return 0


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "completion",
        "Print a script that completes commands and options.",
        "The script belongs into the shell's directory of completions, or is read when the shell starts.",
        (
            f"{_NAME} completion bash > /etc/bash_completion.d/{_NAME}",
            f"{_NAME} completion zsh > /usr/local/share/zsh/site-functions/_{_NAME}",
            f"{_NAME} completion fish > ~/.config/fish/completions/{_NAME}.fish",
            f'eval "$({_NAME} completion bash)"',
        ),
    )
    parser.add_argument("shell", choices=tuple(_SCRIPTS), help="the shell that reads it")
    return parser


def _words() -> dict[str, CommandWords]:
    """Return what may follow each command."""
    found = {name: of_command(command) for name, command in COMMANDS.items()}
    options = tuple(flag.names[0].lstrip("-") for flag in of_routers())
    found["help"] = CommandWords((), options)
    return found


def bash() -> str:
    """Return the script for bash."""
    by_command, by_value = [], []
    for name, words in _words().items():
        names = " ".join(name for flag in words.flags for name in flag.names)
        by_command.append(f"    {name}) options='{names}' operands='{' '.join(words.operands)}' ;;")
        by_value += [
            f"    {name}:{one}) COMPREPLY=($(compgen -W '{' '.join(flag.choices)}' -- \"$word\")); return ;;"
            for flag in words.flags
            if flag.choices
            for one in flag.names
        ]
    value_cases, command_cases = "\n".join(by_value), "\n".join(by_command)
    every = " ".join(flag.names[0] for flag in (*_HELP, *of_routers()))
    return f"""\
# bash completion for {_NAME}; made by `{_NAME} completion bash`
_uwsgi_router() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} options= operands= i
    COMPREPLY=()
    case $command:${{COMP_WORDS[COMP_CWORD-1]}} in
{value_cases}
    esac
    [ "$COMP_CWORD" -gt 1 ] || command= operands='{" ".join(_FIRST)}'
    for ((i = 2; i < COMP_CWORD; i++)); do
        # A command line of routers may follow: uwsgi-router check -- --http :8080
        [ "${{COMP_WORDS[i]}}" != -- ] || {{ [ "$command" = check ] || return; command=; }}
    done
    case $command in
{command_cases}
    *) options='{every}' ;;
    esac
    # If nothing is found, names of files are (complete -o default).
    case $word in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) COMPREPLY=($(compgen -W "$operands" -- "$word")) ;;
    esac
}}
complete -o default -F _uwsgi_router {_NAME}
"""


def zsh() -> str:
    """Return the script for zsh."""
    cases = []
    for name, words in _words().items():
        cases.append(f"  {name})\n    options=(\n{_described(words.flags)}    )")
        cases.append(f"    operands=({' '.join(words.operands)}) ;;")
    listed = "".join(f"    {_quoted(f'{name}:{text}')}\n" for name, text in _FIRST.items())
    by_value = "\n".join(
        f"  {name}:{one}) compadd -- {' '.join(flag.choices)}; return ;;"
        for name, words in _words().items()
        for flag in words.flags
        if flag.choices
        for one in flag.names
    )
    return f"""\
#compdef {_NAME}
# zsh completion for {_NAME}; made by `{_NAME} completion zsh`
_uwsgi_router() {{
  local -a options operands first
  local command=$words[2]
  if (( CURRENT == 2 )); then
    command=
    first=(
{listed}    )
  fi
  case $command:$words[CURRENT-1] in
{by_value}
  esac
  # A command line of routers may follow: uwsgi-router check -- --http :8080
  if (( ${{words[(I)--]}} > 2 && ${{words[(I)--]}} < CURRENT )); then
    [[ $command == check ]] || {{ _normal; return }}
    command=
  fi
  case $command in
{chr(10).join(cases)}
  *)
    options=(
{_described((*_HELP, *of_routers()))}    ) ;;
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o option options
    return
  fi
  (( $#first )) && _describe command first
  (( $#operands )) && compadd -- $operands
  _files
}}
if [ "$funcstack[1]" = _uwsgi_router ]; then
  _uwsgi_router "$@"
else
  compdef _uwsgi_router {_NAME}
fi
"""


def _described(flags: Iterable[Flag]) -> str:
    return "".join(
        f"      {_quoted(f'{name}:{_short(flag.help)}')}\n" for flag in flags for name in flag.names
    )


def fish() -> str:
    """Return the script for fish."""
    lines = [f"# fish completion for {_NAME}; made by `{_NAME} completion fish`"]
    lines += [
        f"complete -c {_NAME} -n __fish_use_subcommand -a {name} -d {_quoted(text, fish=True)}"
        for name, text in _FIRST.items()
    ]
    for name, words in _words().items():
        where = f"-n '__fish_seen_subcommand_from {name}'"
        lines += _fish_options(words.flags, where)
        if words.operands:
            lines.append(f"complete -c {_NAME} {where} -a '{' '.join(words.operands)}'")
    none = f"-n 'not __fish_seen_subcommand_from {' '.join(_FIRST)}'"
    lines += _fish_options((*_HELP, *of_routers()), none)
    # A command line of routers may follow: uwsgi-router check -- --http :8080; behind the dashes fish knows no options.
    check = "-n '__fish_seen_subcommand_from check; and contains -- -- (commandline -opc)'"
    every = " ".join(flag.names[0] for flag in of_routers())
    lines.append(f"complete -c {_NAME} {check} -a '{every}'")
    return "\n".join(lines) + "\n"


def _fish_options(flags: Iterable[Flag], where: str) -> Iterator[str]:
    for flag in flags:
        names = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names
        )
        value = ""
        if flag.choices:
            value = f" -x -a '{' '.join(flag.choices)}'"
        elif flag.value:
            value = " -r"
        text = _quoted(_short(flag.help), fish=True)
        yield f"complete -c {_NAME} {where} {names}{value} -d {text}"


def _short(text: str) -> str:
    """Return the first sentence of a help text, or its first part up to a semicolon or a colon."""
    for end in re.finditer(r"[.;:](?: |$)", text):
        first = text[: end.start()]
        if first.count("(") == first.count(")"):
            return first
    return text


def _quoted(text: str, *, fish: bool = False) -> str:
    """Return a text in single quotes, as the shell reads it."""
    quote = "\\'" if fish else "'\\''"
    if fish:
        text = text.replace("\\", "\\\\")
    return "'" + text.replace("'", quote) + "'"


_SCRIPTS: Final = {"bash": bash, "zsh": zsh, "fish": fish}
