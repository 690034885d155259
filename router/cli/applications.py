"""Run command for configurations with ``[app NAME]`` sections: their applications, and a router in front of them."""

import os
import sys
from collections.abc import Sequence
from functools import partial

from uwsgi_router.router.app.applications.served import VassalPlace, read_again, served_by
from uwsgi_router.router.app.applications.supervise import supervise
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration


def run_with_applications(arguments: Sequence[str], configuration: Configuration) -> int:
    """Serve until a signal ends it; return the exit status.

    Args:
        arguments: of the command line, which the router reads, too.
        configuration: what they say.
    """
    place = VassalPlace.from_environment(os.environ)
    served, read = served_by(arguments, configuration), partial(read_again, arguments)
    try:
        return supervise(served, os.environ, read, place)
    except StartError as error:
        sys.stderr.write(f"uwsgi-router: {error}\n")
        return 1
