"""``RouterHttp``: the HTTP router, with uwsgiconf's methods and parameters."""

from collections.abc import Mapping, Sequence
from typing import Self

from uwsgi_router.router.api.keywords import names_the_nearest
from uwsgi_router.router.api.requests import RequestRouter


@names_the_nearest
class RouterHttp(RequestRouter):
    """Load balancer for HTTP: takes requests from clients, finds a node by each one's host, and forwards them.

    Every method returns the router, so calls can be chained. A parameter that is ``None`` leaves its option as it is;
    a switch that is ``False`` is taken away. A value that can't be used raises :class:`ParameterError` at once; a
    parameter whose option does nothing yet gives a warning that says what happens instead.

    Args:
        on: the address to listen on, ``host:port`` or the path of a socket; port 0 takes a free one. It is needed
            to run, not to print.
        forward_to: where requests go: a forwarder; or the address of a node, or a list of them, taken in turn. Nodes
            speak uwsgi, unless their addresses (``http://127.0.0.1:8000``) or :meth:`set_backend_params` say otherwise.

    Raises:
        ParameterError: if one of them can't be used.

    Example:
        >>> router = RouterHttp("127.0.0.1:8080", forward_to="127.0.0.1:3032")
        >>> router = router.set_basic_params(keepalive=15).set_manage_params(websockets=True)
        >>> print(router.as_ini(), end="")
        [uwsgi]
        http = 127.0.0.1:8080
        http-to = 127.0.0.1:3032
        http-keepalive = 15
        http-websockets = true
    """

    alias = "http"

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
        keepalive: float | None = None,
        resubscribe_addresses: str | Sequence[str] | None = None,
    ) -> Self:
        """Set what most routers need.

        Args:
            workers: ``http-workers``, of the command; inside a program one process serves everything.
            zerg_server: ``http-zerg``, the socket of a zerg server or pool that gives listening sockets.
            fallback_node: ``http-fallback``, the node to try when all others failed; a list in that order.
            concurrent_events: ``http-events``; accepted, the event loop needs no such limit.
            cheap_mode: ``http-cheap``: accept connections only while at least one node is announced.
            stats_server: ``http-stats``, an address for statistics.
            quiet: ``http-quiet``: do not log failed connects.
            buffer_size: ``http-buffer-size``, bytes read at once (65536).
            keepalive: ``http-keepalive``: a connection serves several requests, and waits so many seconds for the
                next; True or 1: as long as ``timeout_socket``.
            resubscribe_addresses: ``http-resubscribe``, subscription servers of other routers, to which this one is
                announced as a node of each key that has nodes here.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_basic_params",
            workers=("http-workers", workers),
            zerg_server=("http-zerg", zerg_server),
            fallback_node=("http-fallback", fallback_node),
            concurrent_events=("http-events", concurrent_events),
            cheap_mode=("http-cheap", cheap_mode),
            stats_server=("http-stats", stats_server),
            quiet=("http-quiet", quiet),
            buffer_size=("http-buffer-size", buffer_size),
            keepalive=("http-keepalive", keepalive),
            resubscribe_addresses=("http-resubscribe", resubscribe_addresses),
        )

    def set_connections_params(
        self,
        *,
        harakiri: int | None = None,
        timeout_socket: float | None = None,
        retry_delay: float | None = None,
        timeout_headers: float | None = None,
        timeout_backend: float | None = None,
    ) -> Self:
        """Set limits of time.

        Args:
            harakiri: ``http-harakiri``, of the command: seconds until a stuck worker is killed.
            timeout_socket: ``http-timeout``, seconds without a byte in either direction (60).
            retry_delay: ``http-gracetime``, seconds that a configured node is passed over after it failed (30).
            timeout_headers: ``http-headers-timeout``, seconds for a whole head (as ``timeout_socket``).
            timeout_backend: ``http-connect-timeout``, seconds until the next node is tried (5).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_connections_params",
            harakiri=("http-harakiri", harakiri),
            timeout_socket=("http-timeout", timeout_socket),
            retry_delay=("http-gracetime", retry_delay),
            timeout_headers=("http-headers-timeout", timeout_headers),
            timeout_backend=("http-connect-timeout", timeout_backend),
        )

    def set_manage_params(
        self,
        *,
        chunked_input: bool | None = None,
        chunked_output: bool | None = None,
        gzip: bool | None = None,
        websockets: bool | None = None,
        source_method: bool | None = None,
        rtsp: bool | None = None,
        proxy_protocol: bool | str | Sequence[str] | None = None,
    ) -> Self:
        """Set what is done for nodes.

        Args:
            chunked_input: ``http-chunked-input``: chunked bodies are passed on as they come, not read whole.
            chunked_output: ``http-auto-chunked``: with ``keepalive``, chunk answers without a length.
            gzip: ``http-auto-gzip``: compress answers whose node says ``uWSGI-Encoding: gzip``.
            websockets: ``http-websockets``: pass WebSockets to nodes that speak uwsgi, too.
            source_method: ``http-manage-source``: pass on everything that follows a request of method SOURCE.
            rtsp: ``http-manage-rtsp``: understand RTSP/1.0.
            proxy_protocol: ``http-enable-proxy-protocol``: connections begin with a PROXY header; all of them, or
                only those from these networks.

        Raises:
            ParameterError: for a value that can't be used.
        """
        if isinstance(proxy_protocol, Sequence) and not isinstance(proxy_protocol, str):
            proxy_protocol = ",".join(map(str, proxy_protocol)) or False
        return self._set(
            "set_manage_params",
            chunked_input=("http-chunked-input", chunked_input),
            chunked_output=("http-auto-chunked", chunked_output),
            gzip=("http-auto-gzip", gzip),
            websockets=("http-websockets", websockets),
            source_method=("http-manage-source", source_method),
            rtsp=("http-manage-rtsp", rtsp),
            proxy_protocol=("http-enable-proxy-protocol", proxy_protocol),
        )

    # --- ours ---

    def set_request_params(
        self,
        *,
        to_https: str | Sequence[str] | None = None,
        acme_webroot: str | None = None,
        trusted_proxies: str | Sequence[str] | None = None,
        max_head: int | None = None,
        max_fields: int | None = None,
        body_limit: int | None = None,
        body_rate: int | None = None,
        expect_limit: int | None = None,
        modifier1: int | None = None,
        modifier2: int | None = None,
        variables: Mapping[str, str] | None = None,
        server_name_as_host: bool | None = None,
        raw_body: bool | None = None,
    ) -> Self:
        """Set what is taken from clients, and what nodes are told.

        Args:
            to_https: ``http-to-https``, ``ADDRESS[,PORT]`` to listen on and redirect everything to https.
            acme_webroot: ``http-acme-webroot``, a directory of answers to challenges of ACME.
            trusted_proxies: ``http-trusted-proxy``, networks whose X-Forwarded fields are believed, and ``unix``; an
                empty list: nobody (127.0.0.0/8, ::1, unix).
            max_head: ``http-max-head``, bytes (65536).
            max_fields: ``http-max-fields`` (200).
            body_limit: ``http-body-limit``, bytes (1 GiB); 0: no limit.
            body_rate: ``http-body-rate``, bytes a second that a body has to keep up (500); 0: any.
            expect_limit: ``http-manage-expect``, the same limit for clients that ask first (none).
            modifier1: ``http-modifier1``, instead of the nodes' own.
            modifier2: ``http-modifier2``.
            variables: ``http-var``, variables that every request gets.
            server_name_as_host: ``http-server-name-as-http-host``: SERVER_NAME is the client's Host.
            raw_body: ``http-raw-body``: pass on everything that follows a head without a length.

        Raises:
            ParameterError: for a value that can't be used.
        """
        if isinstance(trusted_proxies, Sequence) and not isinstance(trusted_proxies, str):
            # An empty list means nobody, not the default.
            trusted_proxies = list(trusted_proxies) or "none"
        return self._set(
            "set_request_params",
            to_https=("http-to-https", to_https),
            acme_webroot=("http-acme-webroot", acme_webroot),
            trusted_proxies=("http-trusted-proxy", trusted_proxies),
            max_head=("http-max-head", max_head),
            max_fields=("http-max-fields", max_fields),
            body_limit=("http-body-limit", body_limit),
            body_rate=("http-body-rate", body_rate),
            expect_limit=("http-manage-expect", expect_limit),
            modifier1=("http-modifier1", modifier1),
            modifier2=("http-modifier2", modifier2),
            variables=("http-var", _pairs(variables, "=")),
            server_name_as_host=("http-server-name-as-http-host", server_name_as_host),
            raw_body=("http-raw-body", raw_body),
        )

    def set_websocket_params(
        self,
        *,
        timeout: float | None = None,
        check: bool | None = None,
        max_frame: int | None = None,
        max_message: int | None = None,
    ) -> Self:
        """Set limits of WebSockets.

        Args:
            timeout: ``http-websocket-timeout``, seconds of silence that end one (3600).
            check: ``http-websocket-check``: end those that break the protocol's rules.
            max_frame: ``http-websocket-max-frame``, bytes, if they are checked (1 MiB).
            max_message: ``http-websocket-max-message``, bytes, if they are checked (16 MiB).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_websocket_params",
            timeout=("http-websocket-timeout", timeout),
            check=("http-websocket-check", check),
            max_frame=("http-websocket-max-frame", max_frame),
            max_message=("http-websocket-max-message", max_message),
        )

    def set_extra_params(
        self,
        *,
        errors: str | None = None,
        error_pages: Mapping[int, str] | None = None,
        access_log: bool | str | None = None,
        access_log_format: str | None = None,
        response_buffering: int | None = None,
        retry_max: int | None = None,
        fallback_nokey: bool | None = None,
        first_byte_timeout: float | None = None,
        hold: float | None = None,
        hold_max: int | None = None,
        hold_max_bytes: int | None = None,
        max_connections: int | None = None,
        max_connections_per_client: int | None = None,
        post_buffering_max_bytes: int | None = None,
        abort_on_eof: bool | None = None,
        code_limit: float | None = None,
        code_timeout: float | None = None,
        code_reload: bool | None = None,
        mercy: float | None = None,
    ) -> Self:
        """Set what uWSGI does not have.

        Args:
            errors: ``http-errors``: ``http``, or ``close`` for uWSGI's silence (http).
            error_pages: ``http-error-page``, files by status.
            access_log: ``http-access-log``, a file; True: standard output.
            access_log_format: ``http-access-log-format``: ``text`` or ``json`` (text).
            response_buffering: ``http-response-buffering``, bytes of an answer kept for a slow client (0: 256 KiB).
            retry_max: ``http-max-retries``; not given: each live node is tried once.
            fallback_nokey: ``http-fallback-on-no-key``: use the fallback for keys that have no node, too.
            first_byte_timeout: ``http-first-byte-timeout``, seconds until another node is asked, once, for a safe
                request whose answer has not begun (0: never).
            hold: ``http-hold``, seconds that requests wait for a node to announce itself (0).
            hold_max: ``http-hold-max``, how many may wait (1000).
            hold_max_bytes: ``http-hold-max-bytes``, and how many bytes of them (67108864).
            max_connections: ``http-max-connections``, clients' connections at once (10000).
            max_connections_per_client: ``http-max-connections-per-client``, of one address (1000).
            post_buffering_max_bytes: ``http-post-buffering-max-bytes``, memory of all bodies that are read whole
                (64 MiB).
            abort_on_eof: ``http-abort-on-eof``: a half-closed client is a lost one.
            code_limit: ``http-code-limit``, seconds that a function may block the loop unremarked (0.1).
            code_timeout: ``http-code-timeout``, seconds that an async function has (5).
            code_reload: ``http-code-reload``: read a function's file again when it has changed.
            mercy: ``reload-mercy``, seconds that requests have to finish when the router stops (60).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_extra_params",
            errors=("http-errors", errors),
            error_pages=("http-error-page", _pairs(error_pages, ":")),
            access_log=("http-access-log", access_log),
            access_log_format=("http-access-log-format", access_log_format),
            response_buffering=("http-response-buffering", response_buffering),
            retry_max=("http-max-retries", retry_max),
            fallback_nokey=("http-fallback-on-no-key", fallback_nokey),
            first_byte_timeout=("http-first-byte-timeout", first_byte_timeout),
            hold=("http-hold", hold),
            hold_max=("http-hold-max", hold_max),
            hold_max_bytes=("http-hold-max-bytes", hold_max_bytes),
            max_connections=("http-max-connections", max_connections),
            max_connections_per_client=(
                "http-max-connections-per-client",
                max_connections_per_client,
            ),
            post_buffering_max_bytes=("http-post-buffering-max-bytes", post_buffering_max_bytes),
            abort_on_eof=("http-abort-on-eof", abort_on_eof),
            code_limit=("http-code-limit", code_limit),
            code_timeout=("http-code-timeout", code_timeout),
            code_reload=("http-code-reload", code_reload),
            mercy=("reload-mercy", mercy),
        )


def _pairs(given: Mapping[int, str] | Mapping[str, str] | None, mark: str) -> object:
    """Return a mapping as values of an option that repeats; the option's reader refuses everything else."""
    if isinstance(given, Mapping):
        return [f"{name}{mark}{value}" for name, value in given.items()]
    return given
