"""Feeds: connections between the process that has the table of announced nodes and those that have copies."""

import os
import socket

from uwsgi_router.router.app.master.generation import Child, Generation


def _pair() -> tuple[int, int]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    return one.detach(), other.detach()


def connect(owner: Child, worker: Child) -> None:
    """Have a worker fed by the owner of the table, from now on."""
    one, other = _pair()
    worker.tell(one, do="feed")
    owner.tell(other, do="attach", **_who(worker))
    os.close(one)
    os.close(other)


def started(generation: Generation, child: Child, *, again: bool) -> None:
    """Connect a process that has just been started.

    Args:
        generation: that it belongs to.
        child: the process.
        again: it replaces one that has died.
    """
    owner = generation.owner
    if owner is None or generation.slots < 2:
        return
    if child is owner:
        for worker in generation.workers:
            if worker.program.pid:
                connect(owner, worker)
        owner.tell(do="recover", asked=again)
    elif child.role == "worker" and owner.program.pid:
        connect(owner, child)


def hand_over(before: Generation | None, owner: Child) -> None:
    """Have the owner of a new generation take the table of the one before."""
    old = None if before is None else before.owner
    if old is None or not old.program.pid:
        owner.tell(do="take")
        return
    one, other = _pair()
    old.tell(one, do="hand-over")
    owner.tell(other, do="take", **_who(old))
    os.close(one)
    os.close(other)


def reconnect(draining: Generation, generation: Generation) -> None:
    """Have the workers of a generation that goes fed by the new owner; an only worker is, as it has handed over."""
    if draining.slots > 1 and generation.owner is not None:
        for worker in draining.workers:
            if worker.program.pid:
                connect(generation.owner, worker)


def _who(worker: Child) -> dict[str, int]:
    return {
        "number": worker.number,
        "generation": worker.generation,
        "pid": worker.program.pid,
    }
