"""Cores: what is measured has one of its own, and what loads it the others."""

import os
from contextlib import ExitStack
from pathlib import Path

from bench.measure import tree


def keep_off(stack: ExitStack) -> int | None:
    """Leave a core to what is measured: this process and those that it starts use the others, until ``stack`` ends.

    Returns:
        The core; None if there is only one.
    """
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        return None
    measured = min(cores)
    stack.callback(os.sched_setaffinity, 0, cores)
    os.sched_setaffinity(0, cores - {measured})
    return measured


def measure_on(core: int | None, root: int) -> None:
    """Have a process and its descendants use this core only, all threads of theirs; None: any."""
    if core is None:
        return
    for pid in tree(root):
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {core})
        except OSError:  # it ended meanwhile
            continue
