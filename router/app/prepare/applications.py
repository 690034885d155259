"""Applications and the routers before them: whether what a copy works on at once can be shared out among processes."""

from collections.abc import Iterable, Iterator, Mapping

from uwsgi_router.router.app.applications.plans import cores_of_copy
from uwsgi_router.router.app.process.cores import with_cores
from uwsgi_router.router.config.app import AppConfig
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.subscriptions.shared_registry import COUNTED


def unshared_cores(
    configuration: Configuration, applications: Iterable[AppConfig], environ: Mapping[str, str]
) -> Iterator[str]:
    """Yield a line for each router whose processes have no part of a copy each: it would be refused for ever.

    Args:
        configuration: of the routers.
        applications: before which they stand.
        environ: of the copies, before anything is added.
    """
    for router in with_cores(configuration).routers:
        if router.backend_connections is not None:
            continue
        for one in applications:
            cores = cores_of_copy(one, environ)
            if one.proto in COUNTED and 0 < cores < router.workers:
                yield (
                    f"{router.kind}-processes = {router.workers}: they share what a copy of {one.name} works on at"
                    f" once, and that is {cores} (cores): give the command as many workers or threads as there are"
                    f" processes, write {router.kind}-processes = {cores}, or say how many connections a copy may"
                    f" have, {router.kind}-backend-connections = {router.workers}"
                )
