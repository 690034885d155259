"""TLS errors: bytes that are no ClientHello, and certificates that can't be read."""


class HelloError(ValueError):
    """Error for a connection that does not begin with a ClientHello; ``str()`` is the reason for the log."""


class NotTls(HelloError):
    """Error for bytes that are no TLS at all.

    Attributes:
        http: True if they look like a request of HTTP, which a person may have sent to the wrong port.
    """

    def __init__(self, text: str, *, http: bool) -> None:
        super().__init__(text)
        self.http = http


class BadHello(HelloError):
    """Error for TLS records that hold no ClientHello, or a malformed one."""


class CertificateError(ValueError):
    """Error for bytes that are no certificate in PEM or DER; ``str()`` is the reason for the log."""
