"""Feeds: connections between the process that has the table of announced nodes and those that have copies."""

import os
import socket
from collections.abc import Iterable

from uwsgi_router.router.app.master.generation import ChildProcess, Generation


def _pair() -> tuple[int, int]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    return one.detach(), other.detach()


def connect(owner: ChildProcess, worker: ChildProcess) -> None:
    """Have a worker fed by the owner of the table, from now on."""
    one, other = _pair()
    worker.tell(one, do="feed")
    owner.tell(other, do="attach", **_who(worker))
    os.close(one)
    os.close(other)


def started(generation: Generation, child: ChildProcess, *, again: bool) -> None:
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


def hand_over(
    before: Generation | None, draining: Iterable[Generation], owner: ChildProcess
) -> None:
    """Have the owner of a new generation take the table of the one before.

    Args:
        before: serves now.
        draining: those before that, whose workers were fed by its owner.
        owner: of the new generation.
    """
    old = None if before is None else before.owner
    if old is None or not old.program.pid:
        owner.tell(do="take")
    else:
        _hand_over(old, owner)
    if before is not None:
        # Their owner tells them nothing any more.
        reconnect(before, draining, owner)


def _hand_over(old: ChildProcess, owner: ChildProcess) -> None:
    one, other = _pair()
    old.tell(one, do="hand-over")
    owner.tell(other, do="take", **_who(old))
    os.close(one)
    os.close(other)


def reconnect(
    before: Generation, draining: Iterable[Generation], owner: ChildProcess | None
) -> None:
    """Have all workers that there were fed by another owner.

    Args:
        before: a generation; its only worker, if it is that, has the table itself, or has handed it over.
        draining: generations before that.
        owner: feeds them from now on.
    """
    if owner is None:
        return
    workers = [*(before.workers if before.slots > 1 else ())]
    workers += [worker for generation in draining for worker in generation.workers]
    for worker in workers:
        if worker.program.pid:
            connect(owner, worker)


def _who(worker: ChildProcess) -> dict[str, int]:
    return {
        "number": worker.number,
        "generation": worker.generation,
        "pid": worker.program.pid,
    }
