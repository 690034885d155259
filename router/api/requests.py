"""Router base class of the Python API for routers that read requests: bodies, owner, nodes that speak HTTP."""

from typing import Self

from uwsgi_router.router.api.base import Router
from uwsgi_router.router.api.keywords import names_the_nearest


@names_the_nearest
class RequestRouter(Router):
    """Router that reads requests; use :class:`RouterFast` or :class:`RouterHttp`."""

    def set_owner_params(self, uid: str | int | None = None, gid: str | int | None = None) -> Self:
        """Name the user and group for the command that reads :meth:`as_ini`.

        A router that runs in a program does not change the program's user: starting it warns of that.

        Args:
            uid: ``fastrouter-uid`` or ``http-uid``, a name or number.
            gid: ``fastrouter-gid`` or ``http-gid``, a name or number.
        """
        return self._set(
            "set_owner_params", uid=(f"{self.alias}-uid", uid), gid=(f"{self.alias}-gid", gid)
        )

    def set_postbuffering_params(
        self, size: int | None = None, store_dir: str | None = None
    ) -> Self:
        """Read bodies whole before a node is connected.

        Args:
            size: ``fastrouter-post-buffering`` or ``http-post-buffering``: up to so many bytes in memory, larger ones
                in a file; 0: stream.
            store_dir: ``fastrouter-post-buffering-dir`` or ``http-post-buffering-dir``, the directory of these files
                (TMPDIR, or /tmp).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_postbuffering_params",
            size=(f"{self.alias}-post-buffering", size),
            store_dir=(f"{self.alias}-post-buffering-dir", store_dir),
        )

    # --- ours ---

    def set_backend_params(
        self,
        *,
        http: bool | None = None,
        connections: int | None = None,
        keepalive: float | None = None,
        queue: int | None = None,
        queue_timeout: float | None = None,
    ) -> Self:
        """Set how nodes that speak HTTP are spoken to; announced nodes say themselves what they speak.

        Args:
            http: ``fastrouter-backend-http`` or ``http-backend-http``: all other nodes speak HTTP/1.1, not uwsgi.
            connections: ``…-backend-connections``, how many one node gets at once (the cores that it announced).
            keepalive: ``…-backend-keepalive``, seconds that an idle one is kept, unless the node says so (1.5).
            queue: ``…-backend-queue``, requests that may wait for one (1000).
            queue_timeout: ``…-backend-queue-timeout``, seconds that each may wait (5).

        Raises:
            ParameterError: for a value that can't be used.
        """
        prefix = f"{self.alias}-backend"
        return self._set(
            "set_backend_params",
            http=(f"{prefix}-http", http),
            connections=(f"{prefix}-connections", connections),
            keepalive=(f"{prefix}-keepalive", keepalive),
            queue=(f"{prefix}-queue", queue),
            queue_timeout=(f"{prefix}-queue-timeout", queue_timeout),
        )
