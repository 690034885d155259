"""Keeper process: has the table of announced nodes, statistics, control and caches for all workers."""

from uwsgi_router.router.app.child import MasterLink
from uwsgi_router.router.app.master.assignment import Assignment


def keep(assignment: Assignment) -> int:
    """Be the keeper until the master says otherwise; return the exit status."""
    MasterLink(assignment).send(failed="several workers are not there yet")
    return 1
