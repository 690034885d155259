"""Readers of options with certificates (uWSGI: core/ssl.c, plugins/http/https.c)."""

import re
from typing import Final

from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.router.config.types import CertificateFiles, SecureListener
from uwsgi_router.router.config.values import LISTEN, Kind, fields_of, is_on

_NAME = re.compile(r"(?:\*?\.)?(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}").fullmatch

#: Keys of ``https2`` by what they mean. uWSGI has the first ones; uwsgiconf writes the last.
_KEYS: Final = {
    "addr": ("addr",),
    "certificate": ("cert", "crt"),
    "key": ("key",),
    "ciphers": ("ciphers",),
    "client_ca": ("clientca", "client_ca"),
}
_WITHOUT_EFFECT: Final = frozenset({"spdy"})


def files_of(name: str, values: list[str]) -> CertificateFiles:
    """Return the files that ``CRT,KEY[,CIPHERS[,CA]]`` names; an authority with a ``!`` in front is for all clients.

    Raises:
        ValueError: they are too few, or too many.
    """
    certificate, key, ciphers, authority, *more = [*values, "", "", "", ""][: max(4, len(values))]
    if not certificate or not key or more:
        raise ValueError(
            "expected CERTIFICATE,KEY, perhaps CIPHERS, and CA or !CA, with commas between"
        )
    for path in (certificate, key, authority):
        if "-----BEGIN" in path:
            raise ValueError(
                "expected paths of files: certificates and keys themselves are not taken"
            )
    return CertificateFiles(
        name, certificate, key, ciphers, authority.removeprefix("!"), authority.startswith("!")
    )


def _comma_separated(text: str, option: str) -> SecureListener:
    address, *values = text.split(",")
    LISTEN.parse(address)
    if len(values) < 2:
        raise ValueError("expected ADDRESS,CERTIFICATE,KEY, perhaps ,CIPHERS and ,CA or ,!CA")
    return SecureListener(address, files_of(address, values), option)


def read_https2(text: str) -> SecureListener:
    """Read the value of ``https2``; see :func:`read_secure`.

    Raises:
        ValueError: it is none, with what was expected.
    """
    return read_secure(text, "https2")


def read_secure(text: str, option: str) -> SecureListener:
    """Read ``addr=ADDRESS,cert=FILE,key=FILE``, perhaps with ``ciphers`` and ``clientca``, of this option.

    Raises:
        ValueError: it is none, with what was expected.
    """
    given = fields_of(text, "addr=ADDRESS,cert=FILE,key=FILE")
    named: dict[str, str] = {}
    for meaning, names in _KEYS.items():
        found = [name for name in names if name in given]
        if len(found) > 1:
            raise ValueError(f"expected {' or '.join(found)}, not both")
        named[meaning] = given.pop(found[0]) if found else ""
    exports = is_on(given.pop("export_cert_var", "no"))
    ignored = tuple(name for name in given if name in _WITHOUT_EFFECT)
    unknown = [name for name in given if name not in _WITHOUT_EFFECT]
    if unknown:
        raise ValueError(
            f"expected addr, cert, key, ciphers and clientca, and {unknown[0]} is none of them"
        )
    address = named.pop("addr")
    if not (address and named["certificate"] and named["key"]):
        raise ValueError("expected at least addr=ADDRESS,cert=FILE,key=FILE")
    LISTEN.parse(address)
    files = files_of(address, list(named.values()))
    return SecureListener(address, files, option, exports=exports, ignored=ignored)


def _sni(text: str) -> CertificateFiles:
    name, _space, files = text.strip().partition(" ")
    lower = name.lower().removesuffix(".")
    if not _NAME(lower) or len(lower) > 253:
        raise ValueError(
            "expected NAME CERTIFICATE,KEY, with a host name (or *.NAME) in front of a space"
        )
    return files_of(lower, files.strip().split(","))


def _sni_regexp(text: str) -> CertificateFiles:
    pattern, _space, files = text.strip().partition(" ")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"expected a regular expression in front of a space ({error})") from error
    return files_of(pattern, files.strip().split(","))


def _header(text: str) -> str:
    name = to_bytes(text)
    if not re.fullmatch(rb"[A-Za-z0-9-]{1,64}", name):
        raise ValueError("expected the name of a field: letters, digits and hyphens")
    return text


_SHOWN: Final = "ADDRESS,CRT,KEY[,CIPHERS[,CA]]"

HTTPS = Kind(_SHOWN, lambda text: _comma_separated(text, "https"))
SSLROUTER = Kind(_SHOWN, lambda text: _comma_separated(text, "sslrouter"))
SUWSGI = Kind(_SHOWN, lambda text: _comma_separated(text, "fastrouter-suwsgi"))
SSLROUTER2 = Kind("addr=…,cert=…,key=…", lambda text: read_secure(text, "sslrouter2"))
HTTPS2 = Kind("addr=…,cert=…,key=…", read_https2)
SNI = Kind("NAME CRT,KEY[,CIPHERS[,CA]]", _sni)
SNI_REGEXP = Kind("REGEXP CRT,KEY[,CIPHERS[,CA]]", _sni_regexp)
PAIR = Kind("CRT,KEY", lambda text: files_of("", text.split(",")))
HEADER = Kind("HEADER", _header)
