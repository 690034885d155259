"""Options: one table of all that uWSGI knows, command line and ini dialect, and what becomes of each setting.

:func:`load` is the way in; nothing else in the program reads an option.
"""

from router.options.lines import ConfigurationError, ConfigurationExit, Problem
from router.options.load import Report, examine, load

__all__ = [
    "ConfigurationError",
    "ConfigurationExit",
    "Problem",
    "Report",
    "examine",
    "load",
]
