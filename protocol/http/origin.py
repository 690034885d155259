"""Client address behind trusted proxies: X-Forwarded-For, X-Forwarded-Proto, and trusted networks.

Anybody can write ``X-Forwarded-For``. What it says counts as far as it was written by peers that the operator trusts:
each proxy appends the address that it saw, so the chain is read from its right end, and the first address that is not
trusted is the client. What stands left of it may be forged.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.protocol.http.fields import is_forwarding, names
from uwsgi_router.protocol.http.request_head import RequestHead

#: REMOTE_ADDR of a client that came through a UNIX socket (as uWSGI: plugins/http/http.c).
UNIX_ADDRESS: Final = b"0.0.0.0"
#: Trusted proxies of a chain that are stepped over, from the right.
MAX_HOPS: Final = 32

_OURS: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
#: First bytes of the names of the family.
_INITIALS: Final = b"FfXx"
_MAX_REMEMBERED: Final = 4_096
# "[" 45 characters of an address "]:" 5 digits
_MAX_HOP: Final = 53
_HOP = re.compile(
    rb"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?|(?P<bare>[0-9A-Fa-f:.]+)"
).fullmatch


class TrustedPeers:
    """Trusted proxies: the peers whose ``X-Forwarded-`` fields are believed.

    Args:
        texts: networks (``10.0.0.0/8``), addresses (``::1``) and ``unix``, which is every peer on a UNIX socket.

    Raises:
        ValueError: if a text is none of these; ``str()`` is one sentence for the operator.
    """

    __slots__ = ("_networks", "_on_unix", "_remembered")

    def __init__(self, texts: Iterable[str]) -> None:
        texts = tuple(texts)
        self._on_unix = "unix" in texts
        self._networks = tuple(_network(text) for text in texts if text != "unix")
        self._remembered: dict[str, bool] = Bounded(_MAX_REMEMBERED)

    def __contains__(self, address: str) -> bool:
        """Say whether a peer is trusted; "" is a peer on a UNIX socket, and what is no address is never trusted."""
        if not address:
            return self._on_unix
        known = self._remembered.get(address)
        if known is not None:
            return known
        try:
            parsed = ip_address(_plain(address))
        except ValueError:
            return False
        found = any(parsed in network for network in self._networks)
        self._remembered[address] = found
        return found


@dataclass(slots=True)
class Origin:
    """Client's address and scheme as a node is told them. Shared by the requests of a connection: never changed.

    Attributes:
        address: of the client, numeric (REMOTE_ADDR); ``0.0.0.0`` behind a UNIX socket.
        port: of the client, decimal (REMOTE_PORT); ``0`` if it is not known.
        scheme: ``http`` or ``https``, as the client sees it.
        forwarded_for: the ``X-Forwarded-For`` to send: the chain so far and the peer.
        server_port: our port, decimal, for ``X-Forwarded-Port`` beside the Host in ``X-Forwarded-Host``; b"" if there
            is none (a UNIX socket). None: a trusted peer has written what there is to say.
        trusted: the request's other fields of the family (``X-Forwarded-Host``, ``X-Real-IP``...) were written by a
            trusted peer and are passed on; otherwise they are dropped.
        certificate: of the client, as fields for nodes that speak HTTP, and as variables, both encoded.
        as_http: what :mod:`uwsgi_router.protocol.http.forward` makes of it, for the connection's next request.
        as_variables: what :mod:`uwsgi_router.protocol.http.variables` makes of it.
    """

    address: bytes
    port: bytes
    scheme: bytes
    forwarded_for: bytes
    server_port: bytes | None = None
    trusted: bool = False
    certificate: tuple[bytes, bytes] = (b"", b"")
    as_http: tuple[bytes, bytes] | None = field(default=None, init=False, repr=False, compare=False)
    as_variables: tuple[bytes, bytes, bytes] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def passes(self, name: bytes) -> bool:
        """Say whether a request's field, by its lower-case name, goes to the node as it came.

        X-Forwarded-For and X-Forwarded-Proto never do: they are made anew. So are the others of a peer that is not
        trusted.
        """
        if name in _OURS:
            return False
        return self.trusted or not is_forwarding(name)

    def passing(self, head: RequestHead) -> bytes:
        """Return those of a request's fields that go to the node as they came, each with its end."""
        return b"\r\n".join((*self.passing_lines(head), b""))

    def passing_lines(self, head: RequestHead) -> list[bytes]:
        """Return the lines of those fields."""
        passes = self.passes
        return [
            line
            for line in head.lines
            if line[0] not in _INITIALS or passes(names[line.partition(b":")[0]])
        ]


def origin_of_peer(
    peer: tuple[str, int],
    *,
    https: bool,
    server_port: bytes | None = None,
    certificate: tuple[bytes, bytes] = (b"", b""),
) -> Origin:
    """Return the origin of a connection's requests, as long as nobody who is trusted says something else.

    Args:
        peer: numeric address and port; ("", 0) for a UNIX socket. IPv4 in IPv6 form (``::ffff:192.0.2.1``, from a
            socket for both) becomes IPv4, which is how allow-lists and applications write it.
        https: the connection is encrypted.
        server_port: where it was accepted; see :class:`Origin`.
        certificate: of the client; likewise.
    """
    address = _plain(peer[0]).encode("ascii") if peer[0] else UNIX_ADDRESS
    scheme = b"https" if https else b"http"
    return Origin(address, b"%d" % peer[1], scheme, address, server_port, certificate=certificate)


def origin_of_request(
    head: RequestHead, base: Origin, trusted: bool, trusted_peers: TrustedPeers
) -> Origin:
    """Return the origin of one request that has fields of the forwarding family (``head.forwarded``).

    From a trusted peer: the peer is appended to X-Forwarded-For (it has no address on a UNIX socket: then the chain
    stays as it is); the client is the right-most address of the chain that is not trusted. An entry that is no address
    (``unknown``) ends the search: nothing left of it is known, and the proxy that wrote it is taken for the client.
    The scheme is the first of X-Forwarded-Proto, which the outermost proxy has set, or https for ``X-Forwarded-Ssl:
    on``. From anybody else: ``base``.

    Args:
        head: the request.
        base: the origin of the connection.
        trusted: the peer is in ``trusted_peers``.
        trusted_peers: who else may be a proxy.
    """
    if not trusted:
        return base
    chains: list[bytes] = []
    proto = tls = b""
    for name, value in head.fields:
        if name == b"x-forwarded-for":
            if value:
                chains.append(value)
        elif name == b"x-forwarded-proto":
            proto = proto or value
        elif name == b"x-forwarded-ssl":
            tls = tls or value
    address, port, forwarded_for = base.address, base.port, base.forwarded_for
    if chains:
        chain = chains[0] if len(chains) == 1 else b", ".join(chains)
        address, port = _client(chain, address, port, trusted_peers)
        forwarded_for = chain if base.address == UNIX_ADDRESS else chain + b", " + base.address
    scheme = _SCHEMES.get(proto) or _scheme(proto, tls, base.scheme)
    return Origin(address, port, scheme, forwarded_for, trusted=True, certificate=base.certificate)


_SCHEMES: Final = {b"http": b"http", b"https": b"https", b"ws": b"http", b"wss": b"https"}


def _scheme(proto: bytes, tls: bytes, otherwise: bytes) -> bytes:
    # Of a list the first word counts, as for nginx, Rack and Django: what browsers see is the outermost proxy's scheme.
    # Traefik says wss of WebSockets.
    if proto:
        first = proto.partition(b",")[0].strip(b" \t").lower()
        return _SCHEMES.get(first, otherwise)
    return b"https" if tls.lower() == b"on" else otherwise


def _client(
    chain: bytes, address: bytes, port: bytes, trusted_peers: TrustedPeers
) -> tuple[bytes, bytes]:
    # A longer chain leaves its beginning, uncut, as the left-most piece, which is no address.
    for entry in reversed(chain.rsplit(b",", MAX_HOPS)):
        hop = entry.strip(b" \t")
        if not hop:
            continue
        parsed = parse_hop(hop)
        if parsed is None:
            break
        text, port = parsed
        address = text.encode("ascii")
        if text not in trusted_peers:
            break
    return address, port


def parse_hop(text: bytes) -> tuple[str, bytes] | None:
    """Read an entry of X-Forwarded-For: an address, with or without a port (IPv6 then in brackets).

    Returns:
        The address as the kernel would write it, and the port (b"0" without one); None if it is no address.
    """
    return _hop(text) if len(text) <= _MAX_HOP else None


@lru_cache(maxsize=_MAX_REMEMBERED)
def _hop(text: bytes) -> tuple[str, bytes] | None:
    match = _HOP(text)
    if match is None:
        return None
    bracketed, v4, digits, bare = match.group("bracketed", "v4", "port", "bare")
    try:
        address = ip_address((bracketed or v4 or bare).decode("ascii"))
    except ValueError:
        return None
    port = int(digits or b"0")
    if port > 65_535 or (bracketed and address.version == 4):
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped), b"%d" % port
    return str(address), b"%d" % port


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network("" if "%" in text else text, strict=False)
    except ValueError as exc:
        raise ValueError(
            f"{text!r} is no trusted peer: write a network (10.0.0.0/8), an address (::1) or unix"
        ) from exc
    if int(network.network_address) != int(ip_address(text.partition("/")[0])):
        raise ValueError(f"{text!r} is no trusted peer: did you mean {network}?")
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped:
            return IPv4Network((int(mapped), network.prefixlen - 96))
    return network


def _plain(address: str) -> str:
    """Return an address without its zone, and IPv4 out of its IPv6 form."""
    address = address.partition("%")[0]
    if address.startswith("::ffff:") and "." in address:
        return address[7:]
    return address
