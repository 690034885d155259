"""Stats port of the routers for jails: small documents, made at once."""

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from uwsgi_router.router.admin.stats.document import VERSION, working_directory
from uwsgi_router.router.admin.stats.http import RequestRefused
from uwsgi_router.router.admin.stats.server import DocumentServer
from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.listeners import BoundSocket


class JailStatsServer(DocumentServer):
    """Serves the numbers of a router for jails.

    Args:
        listeners: see :class:`DocumentServer`.
        describe: returns what follows uWSGI's first five keys.
        process: how documents are served and written.
        loop: the event loop.
    """

    def __init__(
        self,
        listeners: Sequence[BoundSocket],
        describe: Callable[[], Mapping[str, Any]],
        process: ProcessConfig,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(listeners, loop=loop, wait_for_http=process.stats_http)
        self._describe = describe
        self._minified = process.stats_minified

    def document(self) -> Iterable[bytes]:
        """Return the whole document."""
        document = {
            "version": VERSION,
            "pid": os.getpid(),
            "uid": os.getuid(),
            "gid": os.getgid(),
            "cwd": working_directory(),
            **self._describe(),
        }
        if self._minified:
            return (json.dumps(document, separators=(",", ":")).encode(),)
        return (json.dumps(document, separators=(",", ":"), indent="\t").encode(),)

    def metrics(self) -> tuple[str, Iterable[bytes]]:
        """Refuse: there is only the document."""
        raise RequestRefused(HTTPStatus.NOT_FOUND, "There is / (the stats document).")
