"""Schemes of node addresses: ``http://host:port``, ``uwsgi://host:port``, ``unix:/path``, ``http+unix:/path``.

| form                                  | meaning                                          |
|---------------------------------------|--------------------------------------------------|
| ``http://host:port``                  | speaks HTTP; without a port it is 80             |
| ``uwsgi://host:port``                 | speaks uwsgi                                     |
| ``http+unix:/path``, ``uwsgi+unix:…`` | the same at a UNIX socket, ``@name`` for abstract |
| ``unix:/path``                        | a UNIX socket, whatever is spoken there          |
| ``https://host:port``                 | speaks HTTP inside TLS; without a port it is 443 |
| ``suwsgi://host:port``                | speaks uwsgi inside TLS                          |

Only what is written for nodes is read so. uWSGI knows no schemes: what goes to its routers is written plain.
"""

import re
from typing import Final, Literal

from uwsgi_router.protocol.address import AddressError

NodeProto = Literal["uwsgi", "http", "https", "suwsgi"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SOCKET: Final = re.compile(r"(?:(https?|s?uwsgi)\+)?unix:(?://(?=[/@]))?", re.IGNORECASE)
_PROTOS: Final[dict[str, NodeProto]] = {
    "uwsgi": "uwsgi",
    "http": "http",
    "https": "https",
    "suwsgi": "suwsgi",
}
_PORTS: Final = {"http": ":80", "https": ":443"}


def split_scheme(text: str) -> tuple[str, NodeProto | None]:
    """Return an address without its scheme, and the protocol that the scheme names; None if it names none.

    The address itself is not checked.

    Raises:
        AddressError: the scheme is none of those above, or what follows can't be a node.
    """
    if text.startswith(("/", "@", "\\0", "\0")):
        return text, None
    socket = _SOCKET.match(text)
    if socket is not None:
        path = text[socket.end() :]
        if path.startswith(("/", "@")) and not path.startswith("//"):
            return path, None if socket[1] is None else _PROTOS[socket[1].lower()]
        if socket[1] is None and path.isdigit():
            return text, None  # A port of the host "unix".
        raise AddressError(f"write the whole path of the socket: {socket[0]}/run/app.sock")
    found = _SCHEME.match(text)
    if found is None:
        return text, None
    scheme, rest = found[1].lower(), text[found.end() :].removesuffix("/")
    proto = _PROTOS.get(scheme)
    if proto is None:
        raise AddressError(
            f"nodes speak no {scheme} here: write http://, https://, uwsgi:// or suwsgi:// before host:port"
        )
    if not rest or "/" in rest or "@" in rest:
        raise AddressError(
            f"a node is a host and a port, without a path or a user: {scheme}://host:port"
        )
    if rest.endswith("]") or ":" not in rest:
        port = _PORTS.get(proto)
        if port is None:
            raise AddressError(f"there is no port: write {scheme}://{rest}:3031")
        rest += port
    return rest, proto
