"""Checks of an Emperor before the start: its places."""

import os

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.lines import Severity
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.emperor.monitors.monitor import PlaceMissing
from uwsgi_router.router.emperor.monitors.registry import open_monitor


def emperor_problems(configuration: Configuration) -> list[tuple[str, Severity]]:
    """Return a line for each place that no monitor can watch."""
    found = []
    directory = os.path.join(os.getcwd(), configuration.process.chdir or "")
    for place in configuration.emperor.places:
        try:
            open_monitor(place, configuration.emperor, directory)
        except PlaceMissing as error:
            found.append((str(error), Severity.DEPENDS))
        except StartError as error:
            found.append((str(error), Severity.ERROR))
    return found
