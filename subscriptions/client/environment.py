"""Environment and arguments of the announced program, with its address filled in."""

from collections.abc import Mapping, Sequence
from typing import Final

from uwsgi_router.protocol.address import InetAddress, parse_address
from uwsgi_router.subscriptions.client.errors import SubscribeError

#: gunicorn's and uvicorn's list of proxies whose ``X-Forwarded-*`` they believe.
_FORWARDED: Final = "FORWARDED_ALLOW_IPS"


def fill_in(arguments: Sequence[str], address: str) -> list[str]:
    """Replace ``{address}``, ``{host}`` (IPv6 without brackets) and ``{port}``; other braces stay.

    Raises:
        SubscribeError: if a UNIX socket is to have a host or a port.
    """
    parsed = parse_address(address)
    values = {"{address}": address}
    if isinstance(parsed, InetAddress):
        values |= {"{host}": parsed.host, "{port}": str(parsed.port)}
    filled = list(arguments)
    for word in ("{address}", "{host}", "{port}"):
        if word not in values and any(word in argument for argument in filled):
            raise SubscribeError(f"{word}: the UNIX socket {address} has none; write {{address}}")
        filled = [argument.replace(word, values.get(word, word)) for argument in filled]
    return filled


def environment(environ: Mapping[str, str], address: str, proto: str) -> dict[str, str]:
    """Return the program's environment.

    Over TCP gunicorn and uvicorn believe proxies by their addresses, first of all 127.0.0.1. A client of a UNIX socket
    has none: uvicorn, and workers of gunicorn made with it, believe it only if they believe everybody. Who may connect
    there is a matter of the file's permissions.

    Args:
        environ: ours.
        address: the announced one.
        proto: what the program speaks.
    """
    made = dict(environ)
    if proto == "http" and not isinstance(parse_address(address), InetAddress):
        made.setdefault(_FORWARDED, "*")
    return made
