"""Settings of a raw router: relays, PROXY headers in and out."""

from uwsgi_router.protocol.proxy import HostPort, encode_proxy_v1, encode_proxy_v2
from uwsgi_router.router.config.model import RawRouterConfig
from uwsgi_router.router.net.peek_link import RECORD
from uwsgi_router.router.net.pipe import PipePool
from uwsgi_router.router.proxy.proxy_header import ProxyPeers
from uwsgi_router.router.proxy.relay_pump import RelaySettings

_MAPPED = "::ffff:"


class RawSettings:
    """Settings: values of the configuration, copied once.

    Args:
        config: of the router.

    Attributes:
        relays: of the relays.
        proxies: whose connections begin with a PROXY header.
        header_timeout: seconds in which that has to come, and a hello.
        by_name: the key is the name that a TLS client asks for.
    """

    __slots__ = ("_send_proxy", "by_name", "header_timeout", "proxies", "relays")

    def __init__(self, config: RawRouterConfig) -> None:
        self.relays = RelaySettings(
            # No less than a record of TLS.
            max(config.buffer_size, RECORD) if config.secured else config.buffer_size,
            timeout=config.timeout,
            client_timeout=config.client_timeout,
            backend_timeout=config.backend_timeout,
            keepalive=config.tcp_keepalive,
            xclient=config.xclient,
            pipes=PipePool(config.pipes),
        )
        self.proxies = ProxyPeers(config.proxy_protocol)
        self.header_timeout = config.connect_timeout
        self.by_name = config.sni
        self._send_proxy = config.send_proxy

    @property
    def sends_header(self) -> bool:
        """True if nodes are told who the client is."""
        return bool(self._send_proxy)

    def header(self, source: HostPort, destination: HostPort | None) -> bytes:
        """Return the header that tells a node who the client is, and what it had connected to.

        Args:
            source: the client; ("", 0) on a UNIX socket, whose header says nothing of it.
            destination: None: a UNIX socket.
        """
        encode = encode_proxy_v1 if self._send_proxy == "1" else encode_proxy_v2
        if not source[0] or destination is None:
            return encode(None, None)
        first, second = _plain(source), _plain(destination)
        if (":" in first[0]) != (":" in second[0]):
            # A proxy has told the one, and the kernel the other: both in the larger form.
            first, second = _ipv6(first), _ipv6(second)
        return encode(first, second)


def _ipv6(address: HostPort) -> HostPort:
    host, port = address
    return host if ":" in host else f"{_MAPPED}{host}", port


def _plain(address: HostPort) -> HostPort:
    """Return an address without its zone, and IPv4 as IPv4."""
    host, port = address
    host = host.partition("%")[0]
    return (host.removeprefix(_MAPPED) if "." in host else host), port
