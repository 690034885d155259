"""Settings of a raw router: relays, PROXY headers in and out."""

from uwsgi_router.protocol.proxy import HostPort, encode_proxy_v1, encode_proxy_v2
from uwsgi_router.router.config.model import RawRouterConfig
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
        header_timeout: seconds in which that has to come.
    """

    __slots__ = ("_send_proxy", "header_timeout", "proxies", "relays")

    def __init__(self, config: RawRouterConfig) -> None:
        self.relays = RelaySettings(
            config.buffer_size,
            timeout=config.timeout,
            client_timeout=config.client_timeout,
            backend_timeout=config.backend_timeout,
            keepalive=config.tcp_keepalive,
            xclient=config.xclient,
            pipes=PipePool(config.pipes),
        )
        self.proxies = ProxyPeers(config.proxy_protocol)
        self.header_timeout = config.connect_timeout
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
        return encode(_plain(source), _plain(destination))


def _plain(address: HostPort) -> HostPort:
    """Return an address without its zone, and IPv4 as IPv4."""
    host, port = address
    host = host.partition("%")[0]
    return (host.removeprefix(_MAPPED) if "." in host else host), port
