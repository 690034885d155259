"""Forwarders of the Python API: values of ``forward_to``, with uwsgiconf's names."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from weakref import WeakSet

from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.api.keywords import names_the_nearest
from uwsgi_router.router.api.settings import text_of
from uwsgi_router.router.app.commons import Commons
from uwsgi_router.router.config import table
from uwsgi_router.router.config.model import SubscriptionConfig
from uwsgi_router.router.config.option import changed, differing
from uwsgi_router.router.proxy.context import Timing
from uwsgi_router.router.routing.code_file import refusal_of

# Those that a router has been started with.
_servers: "WeakSet[ForwarderSubscriptionServer]" = WeakSet()

NodeNames = str | bytes | Sequence[str | bytes] | None
"""What a function may return: an address, ``address,modifier1``, a list of these to try in order, or nothing."""


class Forwarder:
    """Forwarder: a way of finding nodes; use one of the subclasses.

    Attributes:
        name: the option that it stands for, without the router's prefix.
        value: the option's value.
    """

    def __init__(self, parameter: str, name: str, given: object) -> None:
        self.name = name
        option = table.find(f"fastrouter-{name}")
        assert option is not None
        self.value = text_of(type(self).__name__, parameter, option, given)

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


@names_the_nearest
class ForwarderPath(Forwarder):
    """Forwarder by a path: the key names a socket; ``use-base``, or ``use-pattern`` with ``%s`` in it.

    Args:
        sockets_dir: a directory with its final slash, or a pattern with ``%s`` where the key goes:
            ``/run/sockets/%s.sock``.

    Raises:
        ParameterError: if clients could choose a host with it.

    Example:
        >>> from uwsgi_router import ForwarderPath, RouterFast
        >>> print(RouterFast("127.0.0.1:3031", forward_to=ForwarderPath("/run/sites/")).as_ini(), end="")
        [uwsgi]
        fastrouter = 127.0.0.1:3031
        fastrouter-use-base = /run/sites/
    """

    def __init__(self, sockets_dir: str) -> None:
        name = "use-pattern" if "%s" in str(sockets_dir) else "use-base"
        super().__init__("sockets_dir", name, sockets_dir)


@names_the_nearest
class ForwarderCode(Forwarder):
    """Forwarder by a function, which names the node: ``use-code-string``.

    The function is called once for a request, with the key as ``bytes``, and may be ``async``. It returns an address,
    ``address,modifier1``, a list of these to try in order, or None if there is no node for the key.

    Args:
        script: the function itself; or the path of a Python file, or a dotted module.
        func: the function's name in there.
        modifier: uwsgiconf's way to choose a language. Only Python's is there: None, 0 or ``ModifierWsgi``.

    Raises:
        ParameterError: for another language, and for a function that can't be called with a key.

    Attributes:
        function: the function itself, if it was given; then there is no ini file that means the same.

    Example:
        >>> from uwsgi_router import ForwarderCode, RouterFast
        >>> NODES = {b"a.example": "127.0.0.1:3032"}
        >>> router = RouterFast("127.0.0.1:0", forward_to=ForwarderCode(NODES.get))
    """

    def __init__(
        self,
        script: str | Callable[[bytes], NodeNames | Awaitable[NodeNames]],
        func: str | None = None,
        *,
        modifier: object = None,
    ) -> None:
        self.function: Callable[[bytes], object] | None = None
        if callable(script):
            refusal = refusal_of(script)
            if refusal:
                raise ParameterError("ForwarderCode", "script", script, f"it {refusal}")
            if func is not None:
                raise ParameterError("ForwarderCode", "func", func, "the function was given already")  # fmt: skip
            self.name = "use-code-string"
            self.value = getattr(script, "__qualname__", None) or repr(script)
            self.function = script
            return
        language = 0 if modifier is None else getattr(modifier, "code", modifier)
        if func is None:
            raise ParameterError("ForwarderCode", "func", func, "expected the function's name")
        super().__init__("script", "use-code-string", f"{language}:{script}:{func}")


@names_the_nearest
class ForwarderCache(Forwarder):
    """Forwarder by a cache, which names the nodes: ``use-cache``.

    Args:
        cache_name: the cache; None: the first one.
    """

    def __init__(self, cache_name: str | None = None) -> None:
        super().__init__("cache_name", "use-cache", "" if cache_name is None else cache_name)


@names_the_nearest
class ForwarderSocket(Forwarder):
    """Forwarder to one node for everything: ``use-socket``.

    Args:
        socket: its address, or N for the N-th ``socket`` line, counted from 0.
    """

    def __init__(self, socket: str | int) -> None:
        super().__init__("socket", "use-socket", socket)


@names_the_nearest
class ForwarderSubscriptionServer(Forwarder):
    """Forwarder to nodes that announce themselves: ``subscription-server``.

    Routers of a program that are given the same object share its table of nodes. The options of
    ``set_subscription_params`` and its like are those of the router that is started first; the others have the same, or
    none.

    Args:
        address: the datagram address that they announce themselves to.
    """

    def __init__(self, address: str) -> None:
        super().__init__("address", "subscription-server", address)
        self._commons: Commons | None = None

    @property
    def runs(self) -> bool:
        """True while a router with it runs; not of port 0, which is another one each time."""
        commons = self._commons
        return commons is not None and not commons.empty and not self.value.endswith(":0")

    def commons(self, config: SubscriptionConfig, call: str) -> Commons:
        """Return what the routers with this forwarder share, for one that starts.

        Args:
            config: the starting router's.
            call: its class, for messages.

        Raises:
            ParameterError: if those that run have a table with other options, or another object for its address.
            RuntimeError: if they run on another event loop.
        """
        commons = self._commons
        if commons is None or commons.empty:
            if any(other.value == self.value and other.runs for other in _servers):
                expected = (
                    "a router of this program has another ForwarderSubscriptionServer with this address: give both the"
                    " same object"
                )
                raise ParameterError(call, "forward_to", self, expected)
            commons = self._commons = Commons(config, Timing())
            _servers.add(self)
            return commons
        if commons.loop not in (None, asyncio.get_running_loop()):
            raise RuntimeError(
                "a router with the same ForwarderSubscriptionServer runs on another event loop"
            )
        other = differing(config, commons.config)
        if other and changed(config):
            expected = (
                f"the router that runs with the same ForwarderSubscriptionServer has another {', '.join(other)}: "
                "set the same for both, or set it for the one that is started first"
            )
            raise ParameterError(call, "forward_to", self, expected)
        return commons


def refusal_to_forward(forward_to: object) -> str | None:
    """Return why requests can't be forwarded to something, and what to write instead; None if they can."""
    match forward_to:
        case None | str() | int() | float() | os.PathLike() | Forwarder():
            return None
        case type() if issubclass(forward_to, Forwarder):
            return f"this is the class: give an object, {forward_to.__name__}(…)"
        case Mapping():
            return "wrap it: ForwarderCode(nodes.get), which is called with the key as bytes"
        case _ if callable(forward_to):
            return "wrap the function: ForwarderCode(function)"
        case Sequence() if not isinstance(forward_to, bytes):
            return _refusal_of_list(forward_to)
    return "expected the address of a node, a list of them, or a forwarder"


def _refusal_of_list(given: Sequence[object]) -> str | None:
    if any(isinstance(one, Forwarder) for one in given):
        if len(given) == 1:
            return "a list is for addresses: give the forwarder without it"
        return (
            "a router has one forwarder, and a list is for addresses. To choose among several ways wrap a function that"
            " returns addresses: ForwarderCode(function). The node to try when all others failed is"
            " set_basic_params(fallback_node=…)"
        )
    if any(callable(one) for one in given):
        return "a list is for addresses. Wrap one function: ForwarderCode(function)"
    return None
