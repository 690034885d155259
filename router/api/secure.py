"""Listeners with certificates in the Python API: values of ``https2`` and ``sslrouter2``, and parameters of TLS."""

from collections.abc import Mapping, Sequence
from typing import Self

from uwsgi_router.router.api.base import Router
from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.api.keywords import names_the_nearest


@names_the_nearest
class TlsParameters(Router):
    """Router whose clients speak TLS; use :class:`RouterHttps` or :class:`RouterSsl`."""

    def set_tls_params(
        self,
        *,
        sni: str | Sequence[str] | None = None,
        sni_regexp: str | Sequence[str] | None = None,
        sni_dir: str | Sequence[str] | None = None,
        sni_dir_ciphers: str | None = None,
        sni_strict: bool | None = None,
        min_version: str | None = None,
        handshake_timeout: float | None = None,
        max_handshakes: int | None = None,
    ) -> Self:
        """Set certificates by name, and limits of TLS.

        Args:
            sni: ``sni``, ``NAME CRT,KEY[,CIPHERS[,CA]]``: the certificate for clients that ask for this name.
            sni_regexp: ``sni-regexp``, the same with a regular expression in place of the name.
            sni_dir: ``sni-dir``, a directory of NAME.crt and NAME.key, or NAME/fullchain.pem and NAME/privkey.pem.
            sni_dir_ciphers: ``sni-dir-ciphers``, for certificates from there.
            sni_strict: ``sni-strict``: refuse clients that ask for a name without a certificate.
            min_version: ``ssl-min-version``: ``1.2`` or ``1.3`` (1.2).
            handshake_timeout: ``ssl-handshake-timeout``, seconds (10).
            max_handshakes: ``ssl-max-handshakes``, at once (1000).

        Raises:
            ParameterError: for a value that can't be used.
        """
        return self._set(
            "set_tls_params",
            sni=("sni", sni),
            sni_regexp=("sni-regexp", sni_regexp),
            sni_dir=("sni-dir", sni_dir),
            sni_dir_ciphers=("sni-dir-ciphers", sni_dir_ciphers),
            sni_strict=("sni-strict", sni_strict),
            min_version=("ssl-min-version", min_version),
            handshake_timeout=("ssl-handshake-timeout", handshake_timeout),
            max_handshakes=("ssl-max-handshakes", max_handshakes),
        )


def secure_lines(call: str, on: str | Sequence[str], files: Mapping[str, str | None]) -> list[str]:
    """Return a value for each address.

    Args:
        call: the class, for messages.
        on: the addresses.
        files: by uWSGI's names; None: not given.

    Raises:
        ParameterError: one of them is no text.
    """
    given = "".join(
        f",{name}={_part(call, name, value)}" for name, value in files.items() if value is not None
    )
    addresses = [on] if isinstance(on, str) else on
    return [f"addr={_part(call, 'on', address)}{given}" for address in addresses]


def _part(call: str, parameter: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ParameterError(call, parameter, value, "expected text")
    return value.replace(",", "\\,")
