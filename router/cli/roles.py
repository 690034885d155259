"""Roles of processes: the master, and what its children are."""

import json
import os
import sys
from collections.abc import Sequence

from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.launch import CHILD, STATE, Launch, taken_descriptor
from uwsgi_router.router.app.master.master import Master
from uwsgi_router.router.app.master.sockets import MasterSockets
from uwsgi_router.router.app.master.surroundings import Surroundings
from uwsgi_router.router.app.process.cores import with_cores
from uwsgi_router.router.app.vassal_sockets import (
    make_vassal_sockets,
    remove_vassal_sockets,
    with_vassal_sockets,
)
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.supervision.memory_file import read_memory_file


def lead(arguments: Sequence[str], configuration: Configuration) -> int:
    """Be the master of a configuration; return the exit status.

    Args:
        arguments: of the command.
        configuration: checked already.

    Raises:
        StartError: if it can't start, with the one line for the operator.
    """
    pid = os.getpid()
    surroundings = Surroundings.from_environment(os.environ, pid)
    inherited = Inherited.from_environment(os.environ, pid)
    make_vassal_sockets(configuration, os.environ, pid)
    try:
        master = Master(
            Launch.of_this_process(arguments), MasterSockets(inherited.sockets), surroundings
        )
        return master.run(with_vassal_sockets(with_cores(configuration), os.environ))
    finally:
        remove_vassal_sockets(os.environ, pid)


def resume(arguments: Sequence[str]) -> int:
    """Be the master that has executed itself; return the exit status.

    Args:
        arguments: of the command.
    """
    descriptor = taken_descriptor(STATE)
    assert descriptor is not None
    state = json.loads(read_memory_file(descriptor))
    os.close(descriptor)
    if state["pid"] != os.getpid():
        sys.stderr.write(f"uwsgi-router: {STATE} is for process {state['pid']}\n")
        return 2
    try:
        return Master.resumed(Launch.of_this_process(arguments), state).go_on(state)
    finally:
        remove_vassal_sockets(os.environ, os.getpid())


def play() -> int:
    """Be what the master has assigned; return the exit status."""
    descriptor = taken_descriptor(CHILD)
    if descriptor is None:
        sys.stderr.write(f"uwsgi-router: {CHILD} is for processes of uwsgi-router only\n")
        return 2
    assignment = Assignment.read(descriptor)
    os.close(descriptor)
    try:
        return _ROLES[assignment.role](assignment)
    except StartError as error:
        sys.stderr.write(f"uwsgi-router: {error}\n")
        return 1


def _worker(assignment: Assignment) -> int:
    from uwsgi_router.router.app.worker import work  # noqa: PLC0415 - the master needs no event loop

    return work(assignment)


def _jail(assignment: Assignment) -> int:
    from uwsgi_router.router.app.jail_process import guard  # noqa: PLC0415 - likewise

    return guard(assignment)


def _emperor(assignment: Assignment) -> int:
    from uwsgi_router.router.app.emperor_process import reign  # noqa: PLC0415 - likewise

    return reign(assignment)


def _keeper(assignment: Assignment) -> int:
    from uwsgi_router.router.app.keeper import keep  # noqa: PLC0415 - likewise

    return keep(assignment)


def _prepare(assignment: Assignment) -> int:
    from uwsgi_router.router.cli.preparing import prepare_reload  # noqa: PLC0415 - likewise

    return prepare_reload(assignment)


_ROLES = {
    "worker": _worker,
    "keeper": _keeper,
    "jail": _jail,
    "emperor": _emperor,
    "prepare": _prepare,
}
