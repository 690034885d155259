"""Check of the configuration for a reload: what a start would do first, for a master that runs already."""

import os
import sys

from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.value import dump
from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.app.process.cores import with_cores
from uwsgi_router.router.app.vassal_sockets import with_vassal_sockets
from uwsgi_router.router.config.lines import ConfigurationExit
from uwsgi_router.router.config.load import examine
from uwsgi_router.router.supervision.channel import Channel
from uwsgi_router.router.supervision.memory_file import write_memory_file


def prepare_reload(assignment: Assignment) -> int:
    """Read and check the configuration, give it to the master as a value, or say what is wrong; return 0.

    What the new processes will import is imported, too: a program that can't be imported is a reason to change nothing.
    """
    channel = Channel.of(assignment.channel)
    try:
        report = prepare(examine(sys.argv[1:], os.environ))
    except ConfigurationExit:
        channel.send({"problem": "the configuration says exit"})
        return 0
    if report.problems:
        first, more = str(report.problems[0]), len(report.problems) - 1
        channel.send({"problem": first + (f" (and {more} more)" if more else "")})
        return 0
    configuration = with_vassal_sockets(with_cores(report.configuration), os.environ)
    # An Emperor below another one has a master, whatever it says.
    if not (configuration.process.master or configuration.emperor.places):
        channel.send({"problem": "no-master needs a restart"})
        return 0
    import uwsgi_router.router.app.jail_process  # noqa: PLC0415
    import uwsgi_router.router.app.worker  # noqa: F401, PLC0415

    channel.send({"prepared": True}, [write_memory_file("configuration", dump(configuration))])
    return 0
