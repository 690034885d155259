"""``RouterSsl``: the SSL router, with uwsgiconf's methods and parameters."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from uwsgi_router.router.api.forwarders import Forwarder
from uwsgi_router.router.api.keywords import names_the_nearest
from uwsgi_router.router.api.raw import RelayRouter
from uwsgi_router.router.api.secure import TlsParameters, secure_lines
from uwsgi_router.router.config.tls_values import read_secure


@names_the_nearest
class RouterSsl(TlsParameters, RelayRouter):
    """Load balancer for TLS: as :class:`RouterRaw`, and clients speak TLS, which ends here.

    Args:
        on: the address to listen on, or a list of them. As it is written it is the key of all connections.
        forward_to: where connections go, as for :class:`RouterRaw`.
        cert: file of the certificate and its chain, PEM.
        key: file of its private key.
        ciphers: OpenSSL's list for TLS 1.2.
        client_ca: file of authorities: clients may have a certificate of theirs; with a ``!`` in front they must.
        session_context: ``sslrouter-session-context``; accepted, sessions go on by tickets.
        use_sni: ``sslrouter-sni``: the key is the name that a client asks for, if it asks for one.

    Raises:
        ParameterError: if one of them can't be used.

    Example:
        >>> router = RouterSsl(
        ...     "127.0.0.1:6380", cert="/etc/ssl/a.pem", key="/etc/ssl/a.key", forward_to="127.0.0.1:6379"
        ... )
        >>> print(router.set_connections_params(timeout_socket=0).as_ini(), end="")
        [uwsgi]
        sslrouter-to = 127.0.0.1:6379
        sslrouter2 = addr=127.0.0.1:6380,cert=/etc/ssl/a.pem,key=/etc/ssl/a.key
        sslrouter-timeout = 0
    """

    alias = "sslrouter"
    listens: ClassVar[str] = "sslrouter"

    def __init__(
        self,
        on: str | Sequence[str],
        *,
        forward_to: str | Sequence[str] | Forwarder | None = None,
        cert: str,
        key: str,
        ciphers: str | None = None,
        client_ca: str | None = None,
        session_context: str | None = None,
        use_sni: bool | None = None,
    ) -> None:
        super().__init__(forward_to=forward_to)
        files = {"cert": cert, "key": key, "ciphers": ciphers, "clientca": client_ca}
        called = self._called
        self._settings.put(called, "on", "sslrouter2", secure_lines(called, on, files))
        self._settings.put(called, "session_context", "sslrouter-session-context", session_context)
        self._settings.put(called, "use_sni", "sslrouter-sni", use_sni)

    def _listening(self) -> Iterator[str]:
        for line in self._settings.lines():
            if line.name == "sslrouter2":
                yield read_secure(line.value, line.name).listen

    def set_connections_params(
        self,
        *,
        harakiri: int | None = None,
        timeout_socket: float | None = None,
        retry_delay: float | None = None,
        retry_max: int | None = None,
    ) -> Self:
        """Set limits of time and number.

        Args:
            harakiri: ``sslrouter-harakiri``, of the command: seconds until a stuck worker is killed.
            timeout_socket: ``sslrouter-timeout``, seconds without a byte in either direction; 0: any number (60).
            retry_delay: ``sslrouter-gracetime``, seconds that a configured node is passed over after it failed (30).
            retry_max: ``sslrouter-max-retries``; not given: each live node is tried once.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_connections_params",
            harakiri=("sslrouter-harakiri", harakiri),
            timeout_socket=("sslrouter-timeout", timeout_socket),
            retry_delay=("sslrouter-gracetime", retry_delay),
            retry_max=("sslrouter-max-retries", retry_max),
        )
