"""Router base class of the Python API: common parameters, and their options."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Self

from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.api.forwarders import (
    Forwarder,
    ForwarderCache,
    ForwarderCode,
    ForwarderPath,
    ForwarderSocket,
    ForwarderSubscriptionServer,
    refusal_to_forward,
)
from uwsgi_router.router.api.judgement import judged
from uwsgi_router.router.api.keywords import names_the_nearest
from uwsgi_router.router.api.service import Service
from uwsgi_router.router.api.settings import Settings
from uwsgi_router.router.app.commons import Commons
from uwsgi_router.router.config import table
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.router.config.routing import RouterKind


@names_the_nearest
class Router(Service):
    """Router that finds nodes with a forwarder; use :class:`RouterFast`, :class:`RouterHttp` or :class:`RouterRaw`.

    Attributes:
        alias: the prefix of its options.
        listens: the option of its listeners; "": the prefix itself.
    """

    alias: ClassVar[RouterKind]
    listens: ClassVar[str] = ""

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
        self._server: ForwarderSubscriptionServer | None = None
        self._called = type(self).__name__
        self._settings.put(self._called, "on", self.alias, on)
        refusal = refusal_to_forward(forward_to)
        if refusal is not None:
            raise ParameterError(self._called, "forward_to", forward_to, refusal)
        if not isinstance(forward_to, Forwarder):
            self._settings.put(self._called, "forward_to", f"{self.alias}-to", forward_to)
        elif isinstance(forward_to, ForwarderCode) and forward_to.function is not None:
            self._function = forward_to.function
            self._function_name = forward_to.value
        else:
            name = f"{self.alias}-{forward_to.name}"
            self._settings.put(self._called, "forward_to", name, forward_to.value)
        if isinstance(forward_to, ForwarderSubscriptionServer):
            self._server = forward_to

    def __repr__(self) -> str:
        on = ", ".join(self._listening())
        return f"<{self._called} on={on or None} {'running' if self.addresses else 'not running'}>"

    def _listening(self) -> Iterator[str]:
        """Yield the addresses of its listeners, as they were given."""
        for line in self._settings.lines():
            if line.name == self.alias:
                yield line.value

    def _set(self, method: str, **given: tuple[str, object]) -> Self:
        """Set options, by parameter: the option and its value."""
        for parameter, (option, value) in given.items():
            call = f"{self._called}.{method}"
            self._settings.put(call, parameter, option, value)
        return self

    # --- ours ---

    def set_backend_tls_params(
        self,
        *,
        ca: str | None = None,
        server_name: str | None = None,
        certificate: str | None = None,
        insecure: bool | None = None,
    ) -> Self:
        """Set how nodes are verified that speak TLS (``https://``, ``suwsgi://``).

        Args:
            ca: ``…-backend-ca``, file of the authorities to believe (the system's).
            server_name: ``…-backend-server-name``, that their certificates must have (the node's host).
            certificate: ``…-backend-certificate``, ``CRT,KEY``: files of a certificate to show them.
            insecure: ``…-backend-insecure``: believe any certificate.

        Raises:
            ParameterError: for a value that can't be used.
        """
        prefix = f"{self.alias}-backend"
        return self._set(
            "set_backend_tls_params",
            ca=(f"{prefix}-ca", ca),
            server_name=(f"{prefix}-server-name", server_name),
            certificate=(f"{prefix}-certificate", certificate),
            insecure=(f"{prefix}-insecure", insecure),
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
        slow_start: float | None = None,
    ) -> Self:
        """Set how announced nodes are kept and chosen.

        Args:
            tolerance: ``subscription-tolerance``, seconds of silence after which a node is dropped (17).
            balancing_algo: ``subscription-algo``: wrr, lrc, wlrc, iphash or least (wrr).
            key_dot_split: ``subscription-dotsplit``: ``.example.com`` stands for ``www.example.com`` as well.
            mountpoints_depth: ``subscription-mountpoint``, path segments that belong to the key (0).
            fallback_key: ``…-subscription-fallback-key``, looked up when the request's key has no node.
            max_keys: ``subscription-max-keys``, limit of the table (10000).
            max_nodes: ``subscription-max-nodes``, limit for each key (1000).
            slow_start: ``subscription-slow-start``, seconds until a new node has its whole share (0).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_subscription_params",
            tolerance=("subscription-tolerance", tolerance),
            balancing_algo=("subscription-algo", balancing_algo),
            key_dot_split=("subscription-dotsplit", key_dot_split),
            mountpoints_depth=("subscription-mountpoint", mountpoints_depth),
            fallback_key=(f"{self.alias}-subscription-fallback-key", fallback_key),
            max_keys=("subscription-max-keys", max_keys),
            max_nodes=("subscription-max-nodes", max_nodes),
            slow_start=("subscription-slow-start", slow_start),
        )

    def set_option(self, name: str, *values: str | float) -> Self:
        """Set any other option of the options page, instead of what it was set to before.

        Args:
            name: as in an ini file: ``listen``, ``cache2``, ``chmod-socket``.
            values: one, or several for an option that repeats; none for a switch.

        Raises:
            ParameterError: for an option that does not exist, concerns another router or none, or has other values.
        """
        call = f"{self._called}.set_option"
        if not name.isascii() or name != name.strip() or not name:
            raise ParameterError(call, "name", name, "there is no such option")
        option = table.find(name)
        if option is None and table.find(f"{self.alias}-{name}") is not None:
            expected = f"there is no such option; did you mean {self.alias}-{name}?"
            raise ParameterError(call, "name", name, expected)
        if option is not None and table.ROUTERS.get(option.group, self.alias) != self.alias:
            raise ParameterError(call, "name", name, "it is an option of another kind of router")
        return self._set("set_option", **{name: (name, list(values) or True)})

    # --- what it means ---

    @property
    def configuration(self) -> Configuration:
        """Configuration that these parameters mean, typed, as the command has it.

        It is judged as ``uwsgi-router check`` judges a file. What is odd, or depends on where it runs (a port below
        1024, a directory in /run), is in ``warnings``, which a start logs.

        Raises:
            ParameterError: if it can't run: there is no address to listen on, a file or a directory is missing, a node
                is the router itself.
        """
        configuration = self._settings.configuration(self._called)
        if self._function is not None and configuration.routers:
            router = replace(configuration.routers[0], use_code_string=self._function)
            configuration = replace(configuration, routers=(router,))
        return judged(configuration, self._settings, type(self))

    def _commons(self, configuration: Configuration) -> Commons | None:
        server = self._server
        servers = configuration.routers[0].subscription_servers
        if server is None or servers != (server.value,):
            # set_option has given another one.
            return None
        return server.commons(configuration.subscription, self._called)

    def as_ini(self) -> str:
        """Return the text of the ini file that means the same to the command uwsgi-router.

        A function that was given as an object can't be written there: a comment says so.
        """
        comments = []
        if self._function is not None:
            comments.append(
                f"{self.alias}-use-code-string: {self._function_name} is an object of a program; for a file name it "
                "as 0:FILE:FUNCTION"
            )
        return self._settings.as_ini(comments)
