"""uwsgi variables of an HTTP request: the packet for a uwsgi node (uWSGI: plugins/http/http.c).

The order is uWSGI's. Every name appears once, except where ``http-var`` repeats one at the end to override it. Names of
fields get ``HTTP_`` in front, so that no client can make a variable like ``UWSGI_FILE``, which a uWSGI worker obeys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final

from uwsgi_router.protocol.compiled import COMPILED
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.fields import BoundedCache, remembering
from uwsgi_router.protocol.http.origin import Origin
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.uwsgi import MAX_DATASIZE, encode_variables

if TYPE_CHECKING:
    from mypy_extensions import i64


# Value lengths as their two bytes in a block.
_SIZES: Final = [size.to_bytes(2, "little") for size in range(1024)]


class _Lengths(dict[int, bytes]):
    """The same of every length that is possible, without a comparison."""

    def __init__(self) -> None:
        super().__init__(enumerate(_SIZES))

    def __missing__(self, size: int) -> bytes:
        if size > MAX_DATASIZE:
            raise _too_large(size)
        return size.to_bytes(2, "little")


class _Keys(BoundedCache[bytes]):
    """Cache of field names as sent -> encoded names of their variables."""

    def __missing__(self, raw: bytes) -> bytes:
        name = raw.upper().replace(b"-", b"_")
        return self.keep(raw, _key(name if name == b"CONTENT_TYPE" else b"HTTP_" + name))


class _Items(BoundedCache[tuple[bytes, bytes]]):
    """Cache of field lines -> (encoded name of the variable, the whole encoded variable)."""

    _ENTRIES: ClassVar[int] = 1024
    _KEY_SIZE: ClassVar[int] = 256


def _key(name: bytes) -> bytes:
    return len(name).to_bytes(2, "little") + name


_keys: Final = _Keys()
_lengths: Final = _Lengths()
_items: Final = _Items()
_remembers = remembering()

# As a number: to look for bytes in bytes costs CPython an exception (bytes_contains() in Objects/bytes_methods.c).
_QUESTION_MARK: Final = ord("?")

_METHOD: Final = _key(b"REQUEST_METHOD")
_URI: Final = _key(b"REQUEST_URI")
_PATH: Final = _key(b"PATH_INFO")
_QUERY: Final = _key(b"QUERY_STRING")
_PROTOCOL: Final = _key(b"SERVER_PROTOCOL")
_HTTPS: Final = encode_variables([(b"HTTPS", b"on")])
_ADDRESS: Final = _key(b"REMOTE_ADDR")
_PORT: Final = _key(b"REMOTE_PORT")
_SERVER_NAME: Final = _key(b"SERVER_NAME")
_HOST: Final = _key(b"HTTP_HOST")
_LENGTH: Final = _key(b"CONTENT_LENGTH")
_NO_LENGTH: Final = encode_variables([(b"CONTENT_LENGTH", b"")])
_CHUNKED: Final = encode_variables([(b"HTTP_TRANSFER_ENCODING", b"chunked")])
_UPGRADE: Final = _key(b"HTTP_UPGRADE")
_CONNECTION_UPGRADE: Final = encode_variables([(b"HTTP_CONNECTION", b"Upgrade")])
_FORWARDED_FOR: Final = _key(b"HTTP_X_FORWARDED_FOR")
_FORWARDED_PROTO: Final = _key(b"HTTP_X_FORWARDED_PROTO")
_FORWARDED_HOST: Final = _key(b"HTTP_X_FORWARDED_HOST")
_FORWARDED_PORT: Final = _key(b"HTTP_X_FORWARDED_PORT")


def connection_block(*, server_name: bytes | None, server_port: bytes) -> bytes:
    """Encode the variables that are the same for every request of a listener.

    Args:
        server_name: SERVER_NAME; None leaves it out, for :func:`request_block` with ``server_name_as_host``.
        server_port: SERVER_PORT, decimal; b"" for a UNIX socket.
    """
    variables = [(b"SCRIPT_NAME", b"")]
    if server_name is not None:
        variables.append((b"SERVER_NAME", server_name))
    return encode_variables([*variables, (b"SERVER_PORT", server_port), (b"UWSGI_ROUTER", b"http")])


def request_block(
    head: RequestHead,
    origin: Origin,
    connection: bytes,
    *,
    content_length: int | None,
    chunked: bool = False,
    tunnel: bool = False,
    server_name_as_host: bool = False,
    extra: bytes = b"",
) -> bytes:
    """Make the variable block of a request.

    Args:
        head: the request.
        origin: who its client is.
        connection: from :func:`connection_block`.
        content_length: bytes of body that the node will get; None: there is none, and CONTENT_LENGTH is empty.
        chunked: the body is sent chunked (``http-chunked-input``): HTTP_TRANSFER_ENCODING says so, and there is no
            CONTENT_LENGTH.
        tunnel: HTTP_UPGRADE and HTTP_CONNECTION are passed on.
        server_name_as_host: SERVER_NAME is the Host, absent without one (``http-server-name-as-http-host``).
        extra: encoded variables that come last and so override (``http-var``).

    Raises:
        HttpError: 431 if this is more than a packet can hold.
    """
    lengths, method, target, path, host = _lengths, head.method, head.target, head.path, head.host
    query, protocol = head.query, head.protocol
    who, chain, our_port = origin.as_variables or _origin_variables(origin)
    first, second, one, other = _URI, _PATH, target, path
    if _QUESTION_MARK in target:
        first, second, one, other = _PATH, _URI, path, target
    # One list, and no tuples that are unpacked into it: that took a tenth of the time.
    parts = [
        _METHOD, lengths[len(method)], method,
        first, lengths[len(one)], one,
        second, lengths[len(other)], other,
        _QUERY, lengths[len(query)], query,
        _PROTOCOL, lengths[len(protocol)], protocol,
        connection, who,
    ]  # fmt: skip
    if host:
        if server_name_as_host:
            parts += (_SERVER_NAME, lengths[len(host)], host)
        parts += (_HOST, lengths[len(host)], host)
    if chunked:
        parts.append(_CHUNKED)
    elif content_length is None:
        parts.append(_NO_LENGTH)
    else:
        digits = b"%d" % content_length
        parts += (_LENGTH, lengths[len(digits)], digits)
    if COMPILED:
        parts += walked(origin.passing(head) if head.forwarded else head.block)
    else:
        parts += _items_of(origin.passing_lines(head) if head.forwarded else head.lines)
    parts.append(chain)
    if origin.server_port is not None:
        if host:
            parts += (lengths[len(host)], host, our_port)
        else:
            parts[-1] = chain.removesuffix(_FORWARDED_HOST)
            parts.append(our_port)
    if tunnel:
        upgrade = b"websocket" if head.websocket else head.upgrade
        parts += (_CONNECTION_UPGRADE, _UPGRADE, lengths[len(upgrade)], upgrade)
    parts.append(extra)
    block = b"".join(parts)
    if len(block) > MAX_DATASIZE:
        raise _too_large(len(block))
    return block


def _origin_variables(origin: Origin) -> tuple[bytes, bytes, bytes]:
    """Return the origin's variables, split around the Host value if X-Forwarded-Host is sent."""
    address, port, chain, scheme = (
        *(origin.address, origin.port),
        *(origin.forwarded_for, origin.scheme),
    )
    who = b"".join(
        (
            _HTTPS if scheme == b"https" else b"",
            origin.certificate[1],
            *(_ADDRESS, _lengths[len(address)], address),
            *(_PORT, _lengths[len(port)], port),
        )
    )
    forwarded = b"".join(
        (
            *(_FORWARDED_FOR, _lengths[len(chain)], chain),
            *(_FORWARDED_PROTO, _lengths[len(scheme)], scheme),
            _FORWARDED_HOST if origin.server_port is not None else b"",
        )
    )
    ours = origin.server_port
    our_port = _FORWARDED_PORT + _lengths[len(ours)] + ours if ours else b""
    origin.as_variables = (who, forwarded, our_port)
    return origin.as_variables


def walked(block: bytes) -> list[bytes]:
    """Return the pieces of the variables of fields; the loop is for compiled code.

    Args:
        block: ``Name: value`` of each field, with its end.
    """
    pieces: list[bytes] = []
    seen: set[bytes] = set()
    keys, sizes = _keys, _SIZES
    count: i64 = 0
    at: i64 = 0
    stop: i64 = len(block)
    while at < stop:
        start = at
        while block[at] != 58:  # a colon
            at += 1
        key = keys[block[start:at]]
        start = at + 2
        at = start
        while block[at] != 13:  # CR
            at += 1
        size: i64 = at - start
        seen.add(key)
        count += 1
        pieces.append(key)
        pieces.append(sizes[size] if size < 1024 else _lengths[size])
        pieces.append(block[start:at])
        at += 2
    return pieces if len(seen) == count else _merged(block.split(b"\r\n")[:-1])


def _items_of(lines: list[bytes]) -> Iterable[bytes]:
    """Return the same of lines, most of which were there before."""
    items: dict[bytes, bytes] = {}
    lengths, keys, known = _lengths, _keys, _items.get
    unknown = False
    for line in lines:
        found = known(line)
        if found is None:
            unknown = True
            name, _, value = line.partition(b": ")
            key = keys[name]
            items[key] = key + lengths[len(value)] + value
        else:
            key, items[key] = found
    if len(items) != len(lines):
        return _merged(lines)
    if unknown and _remembers():
        for line, item in zip(lines, items.items(), strict=True):
            _items.keep(line, item)
    return items.values()


def _merged(lines: Iterable[bytes]) -> list[bytes]:
    """Return the encoded variables; values of lines with the same name are joined (RFC 9110 section 5.3)."""
    lists: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, _, value = line.partition(b": ")
        lists.setdefault(_keys[name], []).append(value)
    joined = {key: b", ".join(values) for key, values in lists.items()}
    return [key + _lengths[len(value)] + value for key, value in joined.items()]


def _too_large(size: int) -> HttpError:
    return HttpError(
        431,
        "head-too-large",
        f"the head makes {size} bytes of variables; a uwsgi packet holds at most {MAX_DATASIZE}",
    )
