"""``RouterForkPty`` and ``RouterTunTap``: the routers for jails, with uwsgiconf's methods and parameters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.api.lifecycle import Lifecycle
from uwsgi_router.router.api.settings import Settings
from uwsgi_router.router.app.jail import Jail
from uwsgi_router.router.app.jails import build_jails
from uwsgi_router.router.config import crosschecks
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BoundSocket, bind_shared


class JailRouter(Lifecycle):
    """Router for jails: can be started, stopped, and started again, on the event loop of a program."""

    def __init__(self) -> None:
        self._called = type(self).__name__
        self._settings = Settings()
        self._many: dict[str, list[str]] = {}
        self._jails: list[Jail] = []
        self._shared: list[BoundSocket] = []

    def _set(self, method: str, **given: tuple[str, object]) -> Self:
        """Set options, by parameter: the option and its value."""
        for parameter, (option, value) in given.items():
            self._settings.put(f"{self._called}.{method}", parameter, option, value)
        return self

    def _add(self, method: str, parameter: str, option: str, words: Sequence[str | None]) -> Self:
        """Set an option once more, to these words."""
        value = " ".join(word for word in words if word is not None)
        # Read alone, so that a mistake names only itself.
        call = f"{self._called}.{method}"
        Settings().put(call, parameter, option, value)
        values = self._many.setdefault(option, [])
        values.append(value)
        self._settings.put(call, parameter, option, values)
        return self

    def set_option(self, name: str, *values: str | float) -> Self:
        """Set any other option of the options page, instead of what it was set to before.

        Args:
            name: as in an ini file: ``listen``, ``chmod-socket``.
            values: one, or several for an option that repeats; none for a switch.

        Raises:
            ParameterError: for an option that does not exist, or has other values.
        """
        return self._set("set_option", **{name: (name, list(values) or True)})

    # --- what it means ---

    @property
    def configuration(self) -> Configuration:
        """Configuration that these parameters mean, typed, as the command has it.

        Raises:
            ParameterError: if they can't be used together.
        """
        configuration = self._settings.configuration(self._called)
        for problem in (
            *crosschecks.absent(configuration),
            *crosschecks.missing(configuration),
        ):
            raise ParameterError(self._called, "configuration", None, problem)
        return replace(configuration, warnings=tuple(crosschecks.oddities(configuration)))

    def as_ini(self) -> str:
        """Return the text of the ini file that means the same to the command uwsgi-router."""
        return self._settings.as_ini()

    # --- its life ---

    async def start(self) -> None:
        """Begin to serve; returns once clients can connect.

        Raises:
            ParameterError: if something is missing, such as an address to listen on.
            StartError: if an address can't be listened on, or a device can't be had.
            RuntimeError: if it runs already.
        """
        if self._jails:
            raise RuntimeError("the router runs already")
        configuration, inherited = self.configuration, Inherited()
        jails = build_jails(configuration)
        try:
            self._shared = bind_shared(configuration.process, inherited)
            for jail in jails:
                jail.bind(inherited, self._shared)
            for jail in jails:
                await jail.start()
        except BaseException:
            self._close(jails)
            raise
        self._jails = jails

    async def stop(self) -> None:
        """Stop listening, and end what runs; does nothing if it does not run."""
        jails, self._jails = self._jails, []
        try:
            for jail in jails:
                await jail.stop()
        finally:
            self._close(jails)

    def _close(self, jails: Sequence[Jail]) -> None:
        for jail in jails:
            jail.close_sockets()
        for bound in self._shared:
            bound.close()
        self._shared = []


class RouterForkPty(JailRouter):
    """Terminals: each client of a socket gets a program on a pseudo-terminal of its own.

    Args:
        on: the path of a socket to listen on; ``host:port`` needs ``set_option("forkptyrouter-allow-tcp")``.
        undeferred: clients send packets, as ``uwsgi-router pty`` and uWSGI's ``pty-uconnect`` do, which also tell the
            size of the window; uwsgiconf's name for ``forkptyurouter``.

    Raises:
        ParameterError: if one of them can't be used.

    Example:
        >>> router = RouterForkPty("/run/pty.sock", undeferred=True)
        >>> print(router.set_basic_params(run_command="/bin/bash").as_ini(), end="")
        [uwsgi]
        forkptyurouter = /run/pty.sock
        forkptyrouter-command = /bin/bash
    """

    alias = "forkptyrouter"

    def __init__(self, on: str | Sequence[str] | None = None, *, undeferred: bool = False) -> None:
        super().__init__()
        name = "forkptyurouter" if undeferred else "forkptyrouter"
        self._settings.put(self._called, "on", name, on)

    def set_basic_params(
        self,
        *,
        workers: int | None = None,
        zerg_server: str | None = None,
        fallback_node: str | None = None,
        concurrent_events: int | None = None,
        cheap_mode: bool | None = None,
        stats_server: str | None = None,
        run_command: str | None = None,
    ) -> Self:
        """Set what most routers need.

        Args:
            workers: ``forkptyrouter-workers``; not yet: one process serves everything.
            zerg_server: ``forkptyrouter-zerg``; not yet.
            fallback_node: ``forkptyrouter-fallback``; accepted, a terminal has no nodes.
            concurrent_events: ``forkptyrouter-events``; accepted, the event loop needs no such limit.
            cheap_mode: ``forkptyrouter-cheap``; accepted, a terminal has no nodes.
            stats_server: ``forkptyrouter-stats``, an address for statistics.
            run_command: ``forkptyrouter-command``, a path, or with a blank in it a line for ``/bin/sh``.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_basic_params",
            workers=("forkptyrouter-workers", workers),
            zerg_server=("forkptyrouter-zerg", zerg_server),
            fallback_node=("forkptyrouter-fallback", fallback_node),
            concurrent_events=("forkptyrouter-events", concurrent_events),
            cheap_mode=("forkptyrouter-cheap", cheap_mode),
            stats_server=("forkptyrouter-stats", stats_server),
            run_command=("forkptyrouter-command", run_command),
        )

    def set_connections_params(
        self, *, harakiri: int | None = None, timeout_socket: float | None = None
    ) -> Self:
        """Set times of connections.

        Args:
            harakiri: ``forkptyrouter-harakiri``; not yet.
            timeout_socket: ``forkptyrouter-timeout``, seconds without a byte in either direction (60).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_connections_params",
            harakiri=("forkptyrouter-harakiri", harakiri),
            timeout_socket=("forkptyrouter-timeout", timeout_socket),
        )

    def set_window_params(self, cols: int | None = None, rows: int | None = None) -> Self:
        """Set the size of windows, until clients tell theirs.

        Args:
            cols: ``forkptyrouter-cols`` (80).
            rows: ``forkptyrouter-rows`` (24).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_window_params",
            cols=("forkptyrouter-cols", cols),
            rows=("forkptyrouter-rows", rows),
        )


class RouterTunTap(JailRouter):
    """Networks over UNIX sockets: moves IP packets between a TUN device and the devices of vassals.

    Args:
        on: the path of the socket that devices connect to; None: no router, only devices.
        device: name of the TUN device (uwsgidev).
        stats_server: an address for statistics.
        gateway: an IPv4 address and UDP port that take packets of other routers; needs ``stats_server``.

    Raises:
        ParameterError: if one of them can't be used.

    Example:
        >>> router = RouterTunTap("/run/tuntap.sock", device="emp0")
        >>> router = router.add_firewall_rule(direction="out", action="deny", src="10.0.0.0/8", dst="10.0.0.0/8")
        >>> print(router.as_ini(), end="")
        [uwsgi]
        tuntap-router = emp0 /run/tuntap.sock
        tuntap-router-firewall-out = deny 10.0.0.0/8 10.0.0.0/8
    """

    alias = "tuntap"

    def __init__(
        self,
        on: str | None = None,
        *,
        device: str | None = None,
        stats_server: str | None = None,
        gateway: str | None = None,
    ) -> None:
        super().__init__()
        if gateway is not None and stats_server is None:
            # The third word would be taken for the statistics' address.
            raise ParameterError(self._called, "gateway", gateway, "expected a stats_server, too")
        if on is not None:
            self._add(
                "__init__", "on", "tuntap-router", (device or "uwsgidev", on, stats_server, gateway)
            )

    def set_basic_params(
        self, *, use_credentials: bool | str | None = None, stats_server: str | None = None
    ) -> Self:
        """Set what most routers need.

        Args:
            use_credentials: ``tuntap-use-credentials``: connections begin with their credentials.
            stats_server: ``tuntap-router-stats``, an address for statistics.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_basic_params",
            use_credentials=("tuntap-use-credentials", use_credentials),
            stats_server=("tuntap-router-stats", stats_server),
        )

    def register_route(self, src: str, dst: str, *, gateway: str) -> Self:
        """Send packets between two networks to the gateway of another router: ``tuntap-router-route``.

        Args:
            src: network of the source.
            dst: network of the destination.
            gateway: IPv4 address and UDP port.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._add("register_route", "src", "tuntap-router-route", (src, dst, gateway))

    def device_connect(self, socket: str, *, device_name: str) -> Self:
        """Have a TUN device, and connect it to a router: ``tuntap-device``.

        Args:
            socket: of the router.
            device_name: of the device.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._add("device_connect", "socket", "tuntap-device", (device_name, socket))

    def device_add_rule(
        self, *, direction: str, action: str, src: str, dst: str, target: str | None = None
    ) -> Self:
        """Have the devices tell their router a rule about their packets: ``tuntap-device-rule``.

        Args:
            direction: ``in`` or ``out``.
            action: ``allow``, ``deny`` or ``gateway``.
            src: network of the source.
            dst: network of the destination.
            target: of ``gateway``: IPv4 address and UDP port.

        Raises:
            ParameterError: for a value that can't be used.
        """
        words = (direction, src, dst, action, target)
        return self._add("device_add_rule", "direction", "tuntap-device-rule", words)

    def add_firewall_rule(
        self, *, direction: str, action: str, src: str | None = None, dst: str | None = None
    ) -> Self:
        """Add a rule to the firewall: ``tuntap-router-firewall-in`` or ``tuntap-router-firewall-out``.

        Args:
            direction: ``in``, to vassals, or ``out``.
            action: ``allow`` or ``deny``.
            src: network of the source; None: any, and so the destination.
            dst: network of the destination.

        Raises:
            ParameterError: for a value that can't be used.
        """
        option = f"tuntap-router-firewall-{direction.lower()}"
        return self._add("add_firewall_rule", "direction", option, (action, src, dst))
