"""Keeper process: has the table of announced nodes, statistics, control and caches for all workers."""

import sys

from uwsgi_router.router.app.child import MasterLink
from uwsgi_router.router.app.feeding.feeding import Role
from uwsgi_router.router.app.feeding.roles import keeper_configuration
from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.worker import ignore_keyboard, run
from uwsgi_router.router.config.errors import StartError


def keep(assignment: Assignment) -> int:
    """Be the keeper until the master says otherwise; return the exit status."""
    link = MasterLink(assignment)
    ignore_keyboard()
    try:
        run(link, keeper_configuration(link.configuration), Role.KEEPER, "router-keeper")
    except StartError as error:
        if not link.send(failed=str(error)):
            sys.stderr.write(f"uwsgi-router: {error}\n")
        return 1
    return 0
