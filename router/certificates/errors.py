"""Certificate errors: files that can't be used, names without a certificate."""


class CertificateFault(Exception):
    """Fault of a certificate, a key or the authorities of clients; ``str()`` is a sentence for the operator."""


class UnknownName(Exception):
    """Exception: no certificate is for this name, and it is not to get another one's."""
