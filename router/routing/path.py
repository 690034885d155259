"""Forwarder ``use-pattern`` and ``use-base``: the key names a socket (uWSGI: plugins/corerouter/cr_map.c).

The key comes from whoever sent the request. uWSGI puts it into the address as it is, so a Host header walks
directories or picks any TCP target; here it can do neither.
"""

from collections.abc import Collection
from typing import Final

from uwsgi_router.protocol.address import (
    Address,
    AddressError,
    InetAddress,
    parse_address,
    parse_port,
)
from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.protocol.scheme import NodeProto, split_scheme
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.subscriptions.node import Node

# Nodes of keys that were asked for lately.
_MAX_NODES: Final = 1024


class PatternError(ValueError):
    """Error: the pattern would let a client choose too much; ``str()`` says what to write instead."""


class PathForwarder(Forwarder):
    """Forwarder that puts the key into an address.

    Args:
        parts: the texts before, between and after the places where the key goes.
        proto: what the nodes speak, if the first text has no scheme that says so.

    Raises:
        PatternError: if the key could choose a TCP host.
    """

    def __init__(self, parts: list[str], proto: NodeProto = "uwsgi") -> None:
        super().__init__(unknown="the key can't name a socket")
        try:
            # The key is no part of the scheme.
            template, named = split_scheme("\n".join(parts))
        except AddressError as exc:
            raise PatternError(str(exc)) from exc
        self._parts = parts = template.split("\n")
        self._proto: NodeProto = named or proto
        self._nodes: dict[bytes, Node] = Bounded(_MAX_NODES)
        template = "{}".join(parts)
        # What begins like a path, or holds no colon of its own, is a UNIX socket whatever the key is.
        self._host: str | None = None
        if not template.startswith(("/", "@", "\\0")) and ":" in "".join(parts):
            host, _, port = template.rpartition(":")
            if "{}" in host or port != "{}":
                raise PatternError(
                    "the key may stand for the port only, after a fixed host (10.0.0.1:%s), or be part of a UNIX path; "
                    "else clients could choose any host"
                )
            try:
                fixed = parse_address(f"{host}:1")
            except AddressError as exc:
                raise PatternError(str(exc)) from exc
            assert isinstance(fixed, InetAddress)
            self._host = fixed.host

    @classmethod
    def from_pattern(cls, pattern: str, proto: NodeProto = "uwsgi") -> "PathForwarder":
        """Read ``use-pattern``: ``%s`` is the key, ``%%`` a percent sign; ``%`` and another character vanish."""
        parts, text = [""], iter(pattern)
        for char in text:
            if char != "%":
                parts[-1] += char
                continue
            after = next(text, "")
            if after == "s":
                parts.append("")
            elif after == "%":
                parts[-1] += "%"
            elif after == "(":
                parts[-1] += "%("
        return cls(parts, proto)

    @classmethod
    def from_base(cls, base: str, proto: NodeProto = "uwsgi") -> "PathForwarder":
        """Read ``use-base``: the key follows the text, with no slash between them."""
        return cls([base, ""], proto)

    def __repr__(self) -> str:
        return f"<PathForwarder {'%s'.join(self._parts)}>"

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:  # noqa: ARG002
        """Return the node that the key names, if it names one safely and was not tried yet."""
        key = request.keys()[-1]
        node = self._nodes.get(key)
        if node is None:
            address = self._address(key)
            if address is None:
                return None
            node = self._nodes[key] = Node(str(address), address, proto=self._proto)
        return None if node in tried else node

    def is_known(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Return True if the key can name a socket at all."""
        return self._address(request.keys()[-1]) is not None

    def _address(self, key: bytes) -> Address | None:
        if not key or b"/" in key or b"\0" in key or key.startswith(b"."):
            return None
        # At the very front it could make the name an abstract one.
        if not self._parts[0] and key.startswith((b"@", b"\\")):
            return None
        text = key.decode("utf-8", "surrogateescape")
        try:
            if self._host is not None:
                return InetAddress(self._host, parse_port(text))
            path = text.join(self._parts)
            # A relative path could look like host:port with such a key; only what is a path either way is taken.
            return (
                None
                if ":" in path and not path.startswith(("/", "@", "\\0"))
                else parse_address(path)
            )
        except AddressError:
            return None
