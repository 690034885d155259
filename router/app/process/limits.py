"""System limits on clients: open files, listen backlog."""

import logging
import resource

log = logging.getLogger("uwsgi-router.process")


def raise_descriptor_limit() -> int:
    """Raise the limit of open files to the hard one, which needs no privileges; return it.

    A request takes two descriptors, and the default soft limit of 1024 is not made for a proxy.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as exc:
        # A hard limit above the sysctl fs.nr_open can't be used.
        log.warning("open files: the limit stays at %d, it could not be raised: %s", soft, exc)
        return soft
    log.info("open files: limit raised from %d to %d", soft, hard)
    return hard


def warn_of_short_backlog(listen: int, somaxconn: str = "/proc/sys/net/core/somaxconn") -> None:
    """Log if the kernel silently cuts the backlog (uWSGI refuses to start then)."""
    try:
        with open(somaxconn, encoding="ascii") as file:
            limit = int(file.read())
    except (OSError, ValueError):
        return
    if listen > limit:
        log.warning("listen = %d, but the sysctl net.core.somaxconn allows %d", listen, limit)
