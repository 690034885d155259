"""Run command for configurations with ``[app NAME]`` sections: a router in front of their applications."""

import os
import sys
from collections.abc import Sequence

from uwsgi_router.router.app.applications.supervise import ServedApplications, supervise
from uwsgi_router.router.config.app import ServeConfig
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration

# Seconds that copies have to end after the router's last request.
_FOR_COPIES = 10.0


def run_with_applications(arguments: Sequence[str], configuration: Configuration) -> int:
    """Serve until a signal ends it; return the exit status.

    Args:
        arguments: of the command line, which the router reads, too.
        configuration: what they say.
    """
    process = configuration.process
    kinds = [router.kind for router in configuration.routers]
    served = ServedApplications(
        applications=configuration.applications,
        process=process,
        router=arguments,
        kinds=kinds,
        listen=() if kinds else ServeConfig().http,
        stop_timeout=process.reload_mercy + _FOR_COPIES,
        control_socket=process.control_socket,
        pidfile=process.pidfile,
        from_files=True,
    )
    try:
        return supervise(served, os.environ)
    except StartError as error:
        sys.stderr.write(f"uwsgi-router: {error}\n")
        return 1
