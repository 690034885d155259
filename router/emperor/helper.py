"""Helper processes of the Emperor: forked, without its descriptors, and dead when it is."""

import gc
import os
import resource
import signal
from collections.abc import Collection

from uwsgi_router.router.emperor import kernel
from uwsgi_router.router.supervision.process import unblock_signals


def close_all_but(kept: Collection[int]) -> None:
    """Close all descriptors but the standard ones and these, in a child process that ends or executes a program.

    Objects of the parent's have these numbers still: they are not collected any more, as others may have them then.
    """
    gc.disable()
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, max(first, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))


def become_helper(kept: Collection[int]) -> None:
    """Turn a child process into a helper, which dies with the Emperor.

    Args:
        kept: descriptors that it needs beside the standard ones.
    """
    close_all_but(kept)
    kernel.set_parent_death_signal(signal.SIGKILL)
    unblock_signals()
