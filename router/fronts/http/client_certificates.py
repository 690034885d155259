"""Certificates of clients: which names a connection may ask for, what nodes are told (uWSGI's variables, RFC 9440)."""

import re
from base64 import b64encode
from typing import Final

from uwsgi_router.protocol.tls.certificate import one_line_subject, to_pem
from uwsgi_router.protocol.tls.errors import CertificateError
from uwsgi_router.protocol.tls.hello import server_name_of
from uwsgi_router.protocol.uwsgi import encode_variables
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.tls import TlsFacts
from uwsgi_router.router.fronts.http.request import HttpRequest
from uwsgi_router.router.fronts.http.rules import HttpListener

_port: Final = re.compile(rb":[0-9]*\Z")


def check_policy(tls: TlsFacts, listener: HttpListener, request: HttpRequest, now: float) -> None:
    """Check that a connection was made for names whose clients are verified as those of the request's host are.

    Raises:
        Failure: it was not: the client has to make another one (RFC 9110 section 15.5.20).
    """
    certificates = listener.certificates
    if certificates is None or not certificates.has_policies:
        return
    if certificates.policy(server_name_of(_port.sub(b"", request.key)), now) != tls.policy:
        asked = tls.server_name or "no name"
        text = f"the connection was made for {asked}, whose clients are verified otherwise"
        raise Failure(reasons.MISDIRECTED, text)


class ClientCertificates:
    """Teller of clients' certificates, which OpenSSL has verified, to nodes.

    Args:
        field: for nodes that speak HTTP; b"": they are told nothing.
        as_pem: those that speak uwsgi get HTTPS_CC.
    """

    __slots__ = ("_as_pem", "_field")

    def __init__(self, field: bytes, *, as_pem: bool) -> None:
        self._field = field
        self._as_pem = as_pem

    def told(self, tls: TlsFacts | None) -> tuple[bytes, bytes]:
        """Return the lines of fields, with their ends, and the encoded variables, for a connection.

        HTTPS_CLIENT_CERTIFICATE is the certificate in DER, HTTPS_DN its subject (uWSGI: plugins/http/https.c).
        """
        der = b"" if tls is None else tls.client_certificate
        if not der:
            return b"", b""
        variables = [(b"HTTPS_CLIENT_CERTIFICATE", der)]
        try:
            variables.append((b"HTTPS_DN", one_line_subject(der)))
        except CertificateError:
            # OpenSSL took what we can't read: the whole certificate is there for whoever can.
            pass
        if self._as_pem:
            variables.append((b"HTTPS_CC", to_pem(der)))
        line = b""
        if self._field:
            line = self._field + b": :" + b64encode(der) + b":\r\n"
        return line, encode_variables(variables)
