"""Options: one table of all that uWSGI knows, command line and ini dialect, and what becomes of each setting.

:func:`load` is the way in; nothing else in the program reads an option.
"""

from uwsgi_router.router.config.lines import ConfigurationError, ConfigurationExit, Problem
from uwsgi_router.router.config.load import Report, examine, load

__all__ = [
    "ConfigurationError",
    "ConfigurationExit",
    "Problem",
    "Report",
    "examine",
    "load",
]
