"""Argument parser of the commands: an unknown option names the nearest."""

import argparse
from collections.abc import Sequence
from typing import Final, NoReturn

_UNKNOWN: Final = "unrecognized arguments: "


class CommandParser(argparse.ArgumentParser):
    """Argument parser whose error for an unknown option says which one was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Print a message with the usage, and exit with 2."""
        if message.startswith(_UNKNOWN):
            # Imported here: who makes no mistake need not wait for it.
            import difflib  # noqa: PLC0415

            words = message.removeprefix(_UNKNOWN).split()
            wrong = next((word for word in words if word.startswith("-")), "").partition("=")[0]
            known = [name for action in self._actions for name in action.option_strings]
            close = difflib.get_close_matches(wrong, known, n=1)
            if close:
                message += f"; did you mean {close[0]}?"
        super().error(message)


def split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Split at the first ``--``; what follows is for a program, whatever it looks like. None: there is no ``--``."""
    if "--" not in arguments:
        return list(arguments), None
    at = list(arguments).index("--")
    return list(arguments[:at]), list(arguments[at + 1 :])
