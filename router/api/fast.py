"""``RouterFast``: the fastrouter, with uwsgiconf's methods and parameters (routers-core sheet 4.3)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Self

from router.api.errors import ParameterError
from router.api.forwarders import (
    Forwarder,
    ForwarderCache,
    ForwarderCode,
    ForwarderPath,
    ForwarderSocket,
    ForwarderSubscriptionServer,
)
from router.api.service import Service
from router.api.settings import Settings, checked
from router.config import Configuration

ALIAS: Final = "fastrouter"


class RouterFast(Service):
    """A load balancer for uwsgi: takes requests from web servers, finds a node by each one's key, and forwards them.

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

    class forwarders:  # noqa: N801 - uwsgiconf's name
        """The forwarders by uwsgiconf's short names: ``RouterFast.forwarders.path("/run/sites/")``."""

        cache = ForwarderCache
        code = ForwarderCode
        path = ForwarderPath
        socket = ForwarderSocket
        subscription_server = ForwarderSubscriptionServer

    def __init__(
        self,
        on: str | Sequence[str] | None = None,
        *,
        forward_to: str | Sequence[str] | Forwarder | None = None,
    ) -> None:
        super().__init__()
        self._settings = Settings()
        self._function: Callable[[bytes], object] | None = None
        self._function_name = ""
        self._settings.put("RouterFast", "on", ALIAS, on)
        if not isinstance(forward_to, Forwarder):
            self._settings.put("RouterFast", "forward_to", f"{ALIAS}-to", forward_to)
        elif isinstance(forward_to, ForwarderCode) and forward_to.function is not None:
            self._function = forward_to.function
            self._function_name = forward_to.value
        else:
            name = f"{ALIAS}-{forward_to.name}"
            self._settings.put("RouterFast", "forward_to", name, forward_to.value)

    def __repr__(self) -> str:
        on = ", ".join(line.value for line in self._settings.lines() if line.name == ALIAS)
        return f"<RouterFast on={on or None} {'running' if self.addresses else 'not running'}>"

    def _set(self, method: str, **given: tuple[str, object]) -> Self:
        """Set options, by parameter: the option and its value."""
        for parameter, (option, value) in given.items():
            call = f"RouterFast.{method}"
            self._settings.put(call, parameter, option, value)
        return self

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
            workers: ``fastrouter-workers``; not yet: one process serves everything.
            zerg_server: ``fastrouter-zerg``; not yet.
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
            harakiri: ``fastrouter-harakiri``; not yet.
            timeout_socket: ``fastrouter-timeout``, seconds without a byte in either direction (60).
            retry_delay: ``fastrouter-gracetime``, seconds that a configured node rests after it failed (30).
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

    def set_postbuffering_params(
        self, size: int | None = None, store_dir: str | None = None
    ) -> Self:
        """Read bodies whole before a node is connected.

        Args:
            size: ``fastrouter-post-buffering``: up to so many bytes in memory, larger ones in a file; 0: stream.
            store_dir: ``fastrouter-post-buffering-dir``, the directory of these files (TMPDIR, or /tmp).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_postbuffering_params",
            size=("fastrouter-post-buffering", size),
            store_dir=("fastrouter-post-buffering-dir", store_dir),
        )

    def set_owner_params(self, uid: str | int | None = None, gid: str | int | None = None) -> Self:
        """Name the user and group for the command that reads :meth:`as_ini`.

        A router that runs in a program does not change the program's user: starting it warns of that.

        Args:
            uid: ``fastrouter-uid``, a name or number.
            gid: ``fastrouter-gid``, a name or number.
        """
        return self._set(
            "set_owner_params", uid=("fastrouter-uid", uid), gid=("fastrouter-gid", gid)
        )

    # --- ours ---

    def set_extra_params(
        self,
        *,
        connect_timeout: float | None = None,
        errors: str | None = None,
        hold: float | None = None,
        hold_max: int | None = None,
        hold_max_bytes: int | None = None,
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
            hold: ``fastrouter-hold``, seconds that requests wait for a node to announce itself (0).
            hold_max: ``fastrouter-hold-max``, how many may wait (1000).
            hold_max_bytes: ``fastrouter-hold-max-bytes``, and how many bytes of them (67108864).
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
            hold=("fastrouter-hold", hold),
            hold_max=("fastrouter-hold-max", hold_max),
            hold_max_bytes=("fastrouter-hold-max-bytes", hold_max_bytes),
            keep_modifiers=("fastrouter-keep-modifiers", keep_modifiers),
            abort_on_eof=("fastrouter-abort-on-eof", abort_on_eof),
            code_limit=("fastrouter-code-limit", code_limit),
            code_timeout=("fastrouter-code-timeout", code_timeout),
            code_reload=("fastrouter-code-reload", code_reload),
            mercy=("reload-mercy", mercy),
        )

    def set_subscription_params(
        self,
        *,
        tolerance: float | None = None,
        balancing_algo: str | None = None,
        key_dot_split: bool | None = None,
        mountpoints_depth: int | None = None,
        fallback_key: str | None = None,
        max_keys: int | None = None,
        max_nodes: int | None = None,
    ) -> Self:
        """Set how announced nodes are kept and chosen.

        Args:
            tolerance: ``subscription-tolerance``, seconds of silence after which a node is dropped (17).
            balancing_algo: ``subscription-algo``: wrr, lrc, wlrc or iphash (wrr).
            key_dot_split: ``subscription-dotsplit``: ``.example.com`` stands for ``www.example.com`` as well.
            mountpoints_depth: ``subscription-mountpoint``, path segments that belong to the key (0).
            fallback_key: ``fastrouter-subscription-fallback-key``, looked up when the request's key has no node.
            max_keys: ``subscription-max-keys``, limit of the table (10000).
            max_nodes: ``subscription-max-nodes``, limit for each key (1000).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_subscription_params",
            tolerance=("subscription-tolerance", tolerance),
            balancing_algo=("subscription-algo", balancing_algo),
            key_dot_split=("subscription-dotsplit", key_dot_split),
            mountpoints_depth=("subscription-mountpoint", mountpoints_depth),
            fallback_key=("fastrouter-subscription-fallback-key", fallback_key),
            max_keys=("subscription-max-keys", max_keys),
            max_nodes=("subscription-max-nodes", max_nodes),
        )

    def set_option(self, name: str, *values: str | float) -> Self:
        """Set any other option of the options page, instead of what it was set to before.

        Args:
            name: as in an ini file: ``listen``, ``cache2``, ``chmod-socket``.
            values: one, or several for an option that repeats; none for a switch.

        Raises:
            ParameterError: for an option that does not exist, does not concern a router, or has other values.
        """
        if not name.isascii() or name != name.strip() or not name:
            raise ParameterError("RouterFast.set_option", "name", name, "there is no such option")
        return self._set("set_option", **{name: (name, list(values) or True)})

    # --- what it means ---

    @property
    def configuration(self) -> Configuration:
        """What these parameters mean, as the typed configuration that the command has, too.

        Raises:
            ParameterError: if there is no address to listen on.
        """
        configuration = self._settings.configuration("RouterFast")
        if self._function is not None and configuration.routers:
            router = replace(configuration.routers[0], use_code_string=self._function)
            configuration = replace(configuration, routers=(router,))
        return checked(configuration, "RouterFast")

    def as_ini(self) -> str:
        """Return the text of the ini file that means the same to the command uwsgi-router.

        A function that was given as an object can't be written there: a comment says so.
        """
        comments = []
        if self._function is not None:
            comments.append(
                f"{ALIAS}-use-code-string: {self._function_name} is an object of a program; for a file name it "
                "as 0:FILE:FUNCTION"
            )
        return self._settings.as_ini(comments)
