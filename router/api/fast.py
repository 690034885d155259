"""``RouterFast``: the fastrouter, with uwsgiconf's methods and parameters."""

from collections.abc import Sequence
from typing import Self

from uwsgi_router.router.api.keywords import names_the_nearest
from uwsgi_router.router.api.requests import RequestRouter


@names_the_nearest
class RouterFast(RequestRouter):
    """Load balancer for uwsgi: takes requests from web servers, finds a node by each one's key, and forwards them.

    Every method returns the router, so calls can be chained. A parameter that is ``None`` leaves its option as it is;
    a switch that is ``False`` is taken away. A value that can't be used raises :class:`ParameterError` at once; a
    parameter whose option does nothing yet gives a warning that says what happens instead.

    Args:
        on: the address to listen on, ``host:port`` or the path of a socket; port 0 takes a free one. It is needed
            to run, not to print.
        forward_to: where requests go: a forwarder; or the address of a node, or a list of them, taken in turn.

    Raises:
        ParameterError: if one of them can't be used.

    Example:
        >>> router = RouterFast("127.0.0.1:3031", forward_to=["127.0.0.1:3032", "127.0.0.1:3033"])
        >>> print(router.set_basic_params(fallback_node="127.0.0.1:3034").as_ini(), end="")
        [uwsgi]
        fastrouter = 127.0.0.1:3031
        fastrouter-to = 127.0.0.1:3032
        fastrouter-to = 127.0.0.1:3033
        fastrouter-fallback = 127.0.0.1:3034
    """

    alias = "fastrouter"

    # --- uwsgiconf's methods ---

    def set_basic_params(
        self,
        *,
        workers: int | None = None,
        zerg_server: str | None = None,
        fallback_node: str | Sequence[str] | None = None,
        concurrent_events: int | None = None,
        cheap_mode: bool | None = None,
        stats_server: str | Sequence[str] | None = None,
        quiet: bool | None = None,
        buffer_size: int | None = None,
        fallback_nokey: bool | None = None,
        subscription_key: str | None = None,
        emperor_command_socket: str | None = None,
    ) -> Self:
        """Set what most routers need.

        Args:
            workers: ``fastrouter-workers``, of the command; inside a program one process serves everything.
            zerg_server: ``fastrouter-zerg``, the socket of a zerg server or pool that gives listening sockets.
            fallback_node: ``fastrouter-fallback``, the node to try when all others failed; a list in that order.
            concurrent_events: ``fastrouter-events``; accepted, the event loop needs no such limit.
            cheap_mode: ``fastrouter-cheap``: accept connections only while at least one node is announced.
            stats_server: ``fastrouter-stats``, an address for statistics.
            quiet: ``fastrouter-quiet``: do not log failed connects.
            buffer_size: ``fastrouter-buffer-size``, bytes read at once (65536).
            fallback_nokey: ``fastrouter-fallback-on-no-key``: use the fallback for keys that have no node, too.
            subscription_key: ``fastrouter-force-key``: every request has this key.
            emperor_command_socket: ``fastrouter-emperor-socket``; not yet.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_basic_params",
            workers=("fastrouter-workers", workers),
            zerg_server=("fastrouter-zerg", zerg_server),
            fallback_node=("fastrouter-fallback", fallback_node),
            concurrent_events=("fastrouter-events", concurrent_events),
            cheap_mode=("fastrouter-cheap", cheap_mode),
            stats_server=("fastrouter-stats", stats_server),
            quiet=("fastrouter-quiet", quiet),
            buffer_size=("fastrouter-buffer-size", buffer_size),
            fallback_nokey=("fastrouter-fallback-on-no-key", fallback_nokey),
            subscription_key=("fastrouter-force-key", subscription_key),
            emperor_command_socket=("fastrouter-emperor-socket", emperor_command_socket),
        )

    def set_resubscription_params(
        self, addresses: str | Sequence[str] | None = None, bind_to: str | None = None
    ) -> Self:
        """Announce this router to others, as a node of each key that has nodes here.

        Args:
            addresses: ``fastrouter-resubscribe``, a subscription server or a list of them.
            bind_to: ``fastrouter-resubscribe-bind``, the address to announce it from.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_resubscription_params",
            addresses=("fastrouter-resubscribe", addresses),
            bind_to=("fastrouter-resubscribe-bind", bind_to),
        )

    def set_connections_params(
        self,
        harakiri: int | None = None,
        timeout_socket: float | None = None,
        retry_delay: float | None = None,
        retry_max: int | None = None,
        defer: int | None = None,
    ) -> Self:
        """Set limits of time and number.

        Args:
            harakiri: ``fastrouter-harakiri``, of the command: seconds until a stuck worker is killed.
            timeout_socket: ``fastrouter-timeout``, seconds without a byte in either direction (60).
            retry_delay: ``fastrouter-gracetime``, seconds that a configured node is passed over after it failed (30).
            retry_max: ``fastrouter-max-retries``; not given: each live node is tried once.
            defer: ``fastrouter-defer-connect-timeout``; not yet.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_connections_params",
            harakiri=("fastrouter-harakiri", harakiri),
            timeout_socket=("fastrouter-timeout", timeout_socket),
            retry_delay=("fastrouter-gracetime", retry_delay),
            retry_max=("fastrouter-max-retries", retry_max),
            defer=("fastrouter-defer-connect-timeout", defer),
        )

    # --- ours ---

    def set_extra_params(
        self,
        *,
        connect_timeout: float | None = None,
        errors: str | None = None,
        first_byte_timeout: float | None = None,
        hold: float | None = None,
        hold_max: int | None = None,
        hold_max_bytes: int | None = None,
        max_connections: int | None = None,
        max_connections_per_client: int | None = None,
        post_buffering_max_bytes: int | None = None,
        keep_modifiers: bool | None = None,
        abort_on_eof: bool | None = None,
        code_limit: float | None = None,
        code_timeout: float | None = None,
        code_reload: bool | None = None,
        mercy: float | None = None,
    ) -> Self:
        """Set what uWSGI does not have.

        Args:
            connect_timeout: ``fastrouter-connect-timeout``, seconds until the next node is tried (5).
            errors: ``fastrouter-errors``: ``close``, or ``http`` to answer 502, 503 or 504 when no node can.
            first_byte_timeout: ``fastrouter-first-byte-timeout``, seconds until another node is asked, once, for a safe
                request whose answer has not begun (0: never).
            hold: ``fastrouter-hold``, seconds that requests wait for a node to announce itself (0).
            hold_max: ``fastrouter-hold-max``, how many may wait (1000).
            hold_max_bytes: ``fastrouter-hold-max-bytes``, and how many bytes of them (67108864).
            max_connections: ``fastrouter-max-connections``, clients' connections at once (10000).
            max_connections_per_client: ``fastrouter-max-connections-per-client``, of one address (0: any number).
            post_buffering_max_bytes: ``fastrouter-post-buffering-max-bytes``, memory of all bodies that are read whole
                (64 MiB).
            keep_modifiers: ``fastrouter-keep-modifiers``: forward the web server's modifiers.
            abort_on_eof: ``fastrouter-abort-on-eof``: a half-closed client is a lost one.
            code_limit: ``fastrouter-code-limit``, seconds that a function may block the loop unremarked (0.1).
            code_timeout: ``fastrouter-code-timeout``, seconds that an async function has (5).
            code_reload: ``fastrouter-code-reload``: read a function's file again when it has changed.
            mercy: ``reload-mercy``, seconds that requests have to finish when the router stops (60).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_extra_params",
            connect_timeout=("fastrouter-connect-timeout", connect_timeout),
            errors=("fastrouter-errors", errors),
            first_byte_timeout=("fastrouter-first-byte-timeout", first_byte_timeout),
            hold=("fastrouter-hold", hold),
            hold_max=("fastrouter-hold-max", hold_max),
            hold_max_bytes=("fastrouter-hold-max-bytes", hold_max_bytes),
            max_connections=("fastrouter-max-connections", max_connections),
            max_connections_per_client=(
                "fastrouter-max-connections-per-client",
                max_connections_per_client,
            ),
            post_buffering_max_bytes=(
                "fastrouter-post-buffering-max-bytes",
                post_buffering_max_bytes,
            ),
            keep_modifiers=("fastrouter-keep-modifiers", keep_modifiers),
            abort_on_eof=("fastrouter-abort-on-eof", abort_on_eof),
            code_limit=("fastrouter-code-limit", code_limit),
            code_timeout=("fastrouter-code-timeout", code_timeout),
            code_reload=("fastrouter-code-reload", code_reload),
            mercy=("reload-mercy", mercy),
        )
