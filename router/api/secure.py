"""Listeners with certificates in the Python API: values of ``https2`` and ``sslrouter2``."""

from collections.abc import Mapping, Sequence

from uwsgi_router.router.api.errors import ParameterError


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
