"""Values of options that are more than a number or a text."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """One cache (``cache2``)."""

    name: str
    items: int
    """How many it holds; in uWSGI one less."""
    max_key: int = 2_048
    max_value: int = 65_536
    expire: bool = True
    """False (``no_expire``): items stay whatever was asked for."""
    when_full: Literal["refuse", "purge", "clear"] = "refuse"
    """``purge_lru``: the item that was not used for longest goes; ``clear_on_full``: all go."""
    log_full: bool = True
    unused: tuple[str, ...] = ()
    """Keys of the line that have no effect, for a warning."""


@dataclass(frozen=True, slots=True)
class CacheItem:
    """An item to begin with (``add-cache-item``, ``load-file-in-cache``)."""

    cache: str | None
    """None: in every cache."""
    key: str
    value: str | None
    """None: what is in the file called ``key``."""


@dataclass(frozen=True, slots=True)
class CodeString:
    """``use-code-string = 0:FILE:FUNCTION``: the function that names the nodes.

    Attributes:
        file: a path (it has a slash or ends in ``.py``) or a dotted module.
        function: its name in there.
    """

    file: str
    function: str

    def __str__(self) -> str:
        return f"0:{self.file}:{self.function}"


@dataclass(frozen=True, slots=True)
class RedirectListener:
    """``http-to-https = ADDRESS[,PORT]``: every request is redirected to https.

    Attributes:
        listen: where clients come.
        port: for the Location, None for the default port of https.
    """

    listen: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Files of one certificate, all of them PEM.

    Attributes:
        name: that it is for, in lower case: a host name, ``*.`` and one, a pattern (``sni-regexp``), or a listener's
            address.
        certificate: the chain, the name's own certificate first.
        key: its private key; it may be the same file.
        ciphers: OpenSSL's list for TLS 1.2; "": the default.
        client_ca: authorities that sign certificates of clients; "": none are asked for.
        ca_required: clients without one are refused.
    """

    name: str
    certificate: str
    key: str
    ciphers: str = ""
    client_ca: str = ""
    ca_required: bool = False


@dataclass(frozen=True, slots=True)
class SecureListener:
    """``https = ADDRESS,CRT,KEY``: a listener whose clients speak TLS.

    Attributes:
        listen: where clients come.
        files: of the certificate that is served unless another name is asked for.
        option: that it was given by, for messages.
        exports: nodes that speak uwsgi get certificates of clients as PEM, too (uwsgiconf: ``export_cert_var``).
        ignored: keys of ``https2`` that have no effect, for a warning.
    """

    listen: str
    files: CertificateFiles
    option: str = "https"
    exports: bool = False
    ignored: tuple[str, ...] = ()
