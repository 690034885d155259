"""``RouterHttps``: the HTTP router whose clients speak TLS, with uwsgiconf's parameters."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from uwsgi_router.router.api.forwarders import Forwarder
from uwsgi_router.router.api.http import RouterHttp
from uwsgi_router.router.api.keywords import names_the_nearest
from uwsgi_router.router.api.secure import TlsParameters, secure_lines
from uwsgi_router.router.config.tls_values import read_https2


@names_the_nearest
class RouterHttps(TlsParameters, RouterHttp):
    """Load balancer for HTTPS: as :class:`RouterHttp`, and clients speak TLS.

    Args:
        on: the address to listen on, or a list of them.
        cert: file of the certificate and its chain, PEM.
        key: file of its private key.
        forward_to: where requests go, as for :class:`RouterHttp`.
        ciphers: OpenSSL's list for TLS 1.2.
        client_ca: file of authorities: clients may have a certificate of theirs; with a ``!`` in front they must.
        session_context: ``https-session-context``; accepted, sessions go on by tickets.
        use_spdy: accepted; nobody speaks SPDY any more.
        export_cert_var: nodes that speak uwsgi get the client's certificate as HTTPS_CC.

    Raises:
        ParameterError: if one of them can't be used.

    Example:
        >>> router = RouterHttps(
        ...     "127.0.0.1:8443", cert="/etc/ssl/a.pem", key="/etc/ssl/a.key", forward_to="http://127.0.0.1:8000"
        ... )
        >>> print(router.set_tls_params(min_version="1.3").as_ini(), end="")
        [uwsgi]
        http-to = http://127.0.0.1:8000
        https2 = addr=127.0.0.1:8443,cert=/etc/ssl/a.pem,key=/etc/ssl/a.key
        ssl-min-version = 1.3
    """

    listens: ClassVar[str] = "https"

    def __init__(
        self,
        on: str | Sequence[str],
        *,
        cert: str,
        key: str,
        forward_to: str | Sequence[str] | Forwarder | None = None,
        ciphers: str | None = None,
        client_ca: str | None = None,
        session_context: str | None = None,
        use_spdy: bool | None = None,
        export_cert_var: bool | None = None,
    ) -> None:
        super().__init__(forward_to=forward_to)
        files = {"cert": cert, "key": key, "ciphers": ciphers, "clientca": client_ca}
        if use_spdy:
            files["spdy"] = "1"
        self._settings.put(self._called, "on", "https2", secure_lines(self._called, on, files))
        self._settings.put(
            self._called, "session_context", "https-session-context", session_context
        )
        self._settings.put(self._called, "export_cert_var", "https-export-cert", export_cert_var)

    def _listening(self) -> Iterator[str]:
        for line in self._settings.lines():
            if line.name == "https2":
                yield read_https2(line.value).listen

    # --- ours ---

    def set_https_params(
        self,
        *,
        plain: str | None = None,
        hsts: int | None = None,
        client_cert_header: str | None = None,
    ) -> Self:
        """Set what HTTP over TLS has beside TLS.

        Args:
            plain: ``https-plain``: what clients get that speak HTTP without TLS: ``400``, or ``redirect``.
            hsts: ``https-hsts``, seconds for which browsers come over TLS only.
            client_cert_header: ``https-client-cert-header``, the field in which nodes that speak HTTP get the client's
                certificate.

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_https_params",
            plain=("https-plain", plain),
            hsts=("https-hsts", hsts),
            client_cert_header=("https-client-cert-header", client_cert_header),
        )
