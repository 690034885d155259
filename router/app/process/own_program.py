"""Command of this program, for children of it that are started anew."""

import os
import sys
from typing import Final

_PACKAGE: Final = __name__.partition(".")[0]


def own_program() -> list[str]:
    """Return the command line of this program, without arguments.

    Python is not to look for modules in the working directory: an application's ``secrets.py`` there must not stand for
    Python's own. Only a checkout that is not installed is found nowhere else.
    """
    package = os.path.dirname(os.path.abspath(str(sys.modules[_PACKAGE].__file__)))
    in_checkout = os.path.dirname(package) == os.getcwd()
    return [sys.executable, *([] if in_checkout else ["-P"]), "-m", _PACKAGE]
