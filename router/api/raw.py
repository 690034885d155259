"""``RouterRaw``: the raw router, with uwsgiconf's methods and parameters, and what it shares with the SSL router."""

from collections.abc import Sequence
from typing import Self

from uwsgi_router.router.api.base import Router
from uwsgi_router.router.api.keywords import names_the_nearest


@names_the_nearest
class RelayRouter(Router):
    """Router that passes on bytes of any protocol; use :class:`RouterRaw` or :class:`RouterSsl`."""

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
    ) -> Self:
        """Set what most routers need.

        Args:
            workers: ``…-workers``, of the command; inside a program one process serves everything.
            zerg_server: ``…-zerg``, the socket of a zerg server or pool that gives listening sockets.
            fallback_node: ``…-fallback``, the node to try when all others failed; a list in that order.
            concurrent_events: ``…-events``; accepted, the event loop needs no such limit.
            cheap_mode: ``…-cheap``: accept connections only while at least one node is announced.
            stats_server: ``…-stats``, an address for statistics.
            quiet: ``…-quiet``: do not log failed connects.
            buffer_size: ``…-buffer-size``, bytes read at once (262144).

        Raises:
            ParameterError: for a value that can't be used.
        """
        alias = self.alias
        return self._set(
            "set_basic_params",
            workers=(f"{alias}-workers", workers),
            zerg_server=(f"{alias}-zerg", zerg_server),
            fallback_node=(f"{alias}-fallback", fallback_node),
            concurrent_events=(f"{alias}-events", concurrent_events),
            cheap_mode=(f"{alias}-cheap", cheap_mode),
            stats_server=(f"{alias}-stats", stats_server),
            quiet=(f"{alias}-quiet", quiet),
            buffer_size=(f"{alias}-buffer-size", buffer_size),
        )

    # --- ours ---

    def set_extra_params(
        self,
        *,
        connect_timeout: float | None = None,
        client_timeout: float | None = None,
        backend_timeout: float | None = None,
        tcp_keepalive: int | None = None,
        send_proxy: str | int | None = None,
        proxy_protocol: bool | str | Sequence[str] | None = None,
        fallback_nokey: bool | None = None,
        hold: float | None = None,
        hold_max: int | None = None,
        hold_max_bytes: int | None = None,
        max_connections: int | None = None,
        max_connections_per_client: int | None = None,
        access_log: bool | str | None = None,
        access_log_format: str | None = None,
        code_limit: float | None = None,
        code_timeout: float | None = None,
        code_reload: bool | None = None,
        mercy: float | None = None,
    ) -> Self:
        """Set what uWSGI does not have.

        Args:
            connect_timeout: ``…-connect-timeout``, seconds until the next node is tried (5).
            client_timeout: ``…-client-timeout``, seconds without a byte of the client's (0: any number).
            backend_timeout: ``…-backend-timeout``, seconds without a byte of the node's (0: any number).
            tcp_keepalive: ``…-tcp-keepalive``, seconds of silence until the kernel probes a peer (300).
            send_proxy: ``…-send-proxy``: 1 or 2, the version of the PROXY header for nodes.
            proxy_protocol: ``…-enable-proxy-protocol``: connections begin with a PROXY header; all of them, or
                only those from these networks.
            fallback_nokey: ``…-fallback-on-no-key``: use the fallback for keys that have no node, too.
            hold: ``…-hold``, seconds that connections wait for a node to announce itself (0).
            hold_max: ``…-hold-max``, how many may wait (1000).
            hold_max_bytes: ``…-hold-max-bytes``, and how many bytes of them (67108864).
            max_connections: ``…-max-connections``, clients' connections at once (10000).
            max_connections_per_client: ``…-max-connections-per-client``, of one address (0: any number).
            access_log: ``…-access-log``, a file in which every connection is logged; True: standard output.
            access_log_format: ``…-access-log-format``: ``text`` or ``json``.
            code_limit: ``…-code-limit``, seconds that a function may block the loop unremarked (0.1).
            code_timeout: ``…-code-timeout``, seconds that an async function has (5).
            code_reload: ``…-code-reload``: read a function's file again when it has changed.
            mercy: ``reload-mercy``, seconds that connections have to end when the router stops (60).

        Raises:
            ParameterError: for a value that can't be used.
        """
        if isinstance(proxy_protocol, Sequence) and not isinstance(proxy_protocol, str):
            proxy_protocol = ",".join(map(str, proxy_protocol)) or False
        alias = self.alias
        return self._set(
            "set_extra_params",
            connect_timeout=(f"{alias}-connect-timeout", connect_timeout),
            client_timeout=(f"{alias}-client-timeout", client_timeout),
            backend_timeout=(f"{alias}-backend-timeout", backend_timeout),
            tcp_keepalive=(f"{alias}-tcp-keepalive", tcp_keepalive),
            send_proxy=(f"{alias}-send-proxy", send_proxy),
            proxy_protocol=(f"{alias}-enable-proxy-protocol", proxy_protocol),
            fallback_nokey=(f"{alias}-fallback-on-no-key", fallback_nokey),
            hold=(f"{alias}-hold", hold),
            hold_max=(f"{alias}-hold-max", hold_max),
            hold_max_bytes=(f"{alias}-hold-max-bytes", hold_max_bytes),
            max_connections=(f"{alias}-max-connections", max_connections),
            max_connections_per_client=(
                f"{alias}-max-connections-per-client",
                max_connections_per_client,
            ),
            access_log=(f"{alias}-access-log", access_log),
            access_log_format=(f"{alias}-access-log-format", access_log_format),
            code_limit=(f"{alias}-code-limit", code_limit),
            code_timeout=(f"{alias}-code-timeout", code_timeout),
            code_reload=(f"{alias}-code-reload", code_reload),
            mercy=("reload-mercy", mercy),
        )


@names_the_nearest
class RouterRaw(RelayRouter):
    """Load balancer for connections of any protocol: each goes to a node of its listener's address, byte for byte.

    Every method returns the router, so calls can be chained. A parameter that is ``None`` leaves its option as it is;
    a switch that is ``False`` is taken away. A value that can't be used raises :class:`ParameterError` at once; a
    parameter whose option does nothing yet gives a warning that says what happens instead.

    Args:
        on: the address to listen on, ``host:port`` or the path of a socket; port 0 takes a free one. It is needed
            to run, not to print. As it is written it is the key of all connections.
        forward_to: where connections go: a forwarder; or the address of a node, or a list of them, taken in turn.

    Raises:
        ParameterError: if one of them can't be used.

    Example:
        >>> router = RouterRaw("127.0.0.1:6380", forward_to=["127.0.0.1:6379", "/run/redis/redis.sock"])
        >>> print(router.set_connections_params(timeout_socket=0).as_ini(), end="")
        [uwsgi]
        rawrouter = 127.0.0.1:6380
        rawrouter-to = 127.0.0.1:6379
        rawrouter-to = /run/redis/redis.sock
        rawrouter-timeout = 0
    """

    alias = "rawrouter"

    # --- uwsgiconf's methods ---

    def set_connections_params(
        self,
        harakiri: int | None = None,
        timeout_socket: float | None = None,
        retry_delay: float | None = None,
        retry_max: int | None = None,
        use_xclient: bool | None = None,
    ) -> Self:
        """Set limits of time and number, and what nodes are told.

        Args:
            harakiri: ``rawrouter-harakiri``, of the command: seconds until a stuck worker is killed.
            timeout_socket: ``rawrouter-timeout``, seconds without a byte in either direction; 0: any number (60).
            retry_delay: ``rawrouter-gracetime``, seconds that a configured node is passed over after it failed (30).
            retry_max: ``rawrouter-max-retries``; not given: each live node is tried once.
            use_xclient: ``rawrouter-xclient``: nodes are SMTP servers that are told the client's address.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_connections_params",
            harakiri=("rawrouter-harakiri", harakiri),
            timeout_socket=("rawrouter-timeout", timeout_socket),
            retry_delay=("rawrouter-gracetime", retry_delay),
            retry_max=("rawrouter-max-retries", retry_max),
            use_xclient=("rawrouter-xclient", use_xclient),
        )

    # --- ours ---

    def set_relay_params(self, *, pipes: int | None = None, use_sni: bool | None = None) -> Self:
        """Set how bytes pass, and how their node is found.

        Args:
            pipes: ``rawrouter-pipes``, how many directions at once pass inside the kernel once they are bulk (32).
            use_sni: ``rawrouter-sni``: the key is the name that a TLS client asks for; its bytes stay encrypted.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_relay_params",
            pipes=("rawrouter-pipes", pipes),
            use_sni=("rawrouter-sni", use_sni),
        )
