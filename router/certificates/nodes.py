"""TLS to nodes: the client's context that routers share, and the name that a node's certificate must have.

Nodes are verified unless the configuration says otherwise: by the system's authorities or those of a file, and by name.
"""

import ssl
from functools import lru_cache

from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.router.certificates.contexts import CIPHERS
from uwsgi_router.router.certificates.errors import CertificateFault
from uwsgi_router.router.certificates.sessions import NodeSession, NodeSessions
from uwsgi_router.router.config.model import CertificateFiles, RouterConfig
from uwsgi_router.subscriptions.node import Node


class NodeTls:
    """TLS of one router to its nodes.

    Args:
        config: of the router.
    """

    __slots__ = ("_ca", "_certificate", "_context", "_insecure", "_name", "_sessions")

    def __init__(self, config: RouterConfig) -> None:
        self._ca = config.backend_ca
        self._certificate = config.backend_certificate
        self._insecure = config.backend_insecure
        self._name = config.backend_server_name
        self._context: ssl.SSLContext | None = None
        self._sessions = NodeSessions()

    def load(self) -> None:
        """Read the files, if there are any: later they may be out of reach.

        Raises:
            CertificateFault: they can't be used.
        """
        if self._ca is not None or self._certificate is not None:
            self.context()

    def context(self) -> ssl.SSLContext:
        """Return the context for connections to nodes.

        Raises:
            CertificateFault: a file can't be used.
        """
        if self._context is None:
            self._context = _context(self._ca, self._certificate, self._insecure)
        return self._context

    def server_name(self, node: Node) -> str | None:
        """Return the name that a node is asked for, and that its certificate must have; None: any.

        Raises:
            OSError: none can be told.
        """
        if self._name is not None:
            return self._name
        if node.host is not None:
            return node.host
        if isinstance(node.address, InetAddress):
            return node.address.host or "localhost"
        if self._insecure:
            return None
        raise OSError(
            "TLS at a UNIX socket: say with backend-server-name which name its certificate has"
        )

    def session(self, node: Node, name: str | None) -> NodeSession:
        """Return the session of a node that is known by ``name``."""
        return self._sessions.of(node.name, name)


@lru_cache(maxsize=16)
def _context(
    authorities: str | None, certificate: CertificateFiles | None, insecure: bool
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities is None:
        # They take 15 ms, once.
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(authorities)
        except (OSError, ssl.SSLError) as exc:
            raise CertificateFault(f"{authorities}: {_reason(exc)}") from exc
    if certificate is not None:
        try:
            context.load_cert_chain(certificate.certificate, certificate.key, password=lambda: "")
        except (OSError, ssl.SSLError) as exc:
            text = f"{certificate.certificate}, {certificate.key}: {_reason(exc)}"
            raise CertificateFault(text) from exc
    return context


def failure_of(error: ssl.SSLError) -> str:
    """Return why a handshake with a node has failed, in words that are not the node's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate can't be believed: {error.verify_message}"
    return (error.reason or str(error)).lower().replace("_", " ")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "OpenSSL can't read it: " + (error.reason or str(error)).lower().replace("_", " ")
    return error.strerror or str(error)
