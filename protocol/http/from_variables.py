"""HTTP request heads made of uwsgi variables, for HTTP nodes behind a fastrouter.

The variables are written as the HTTP that they stand for and read again by the parser of the HTTP router. So nothing
that it refuses can reach a node, and what it reads is what a node will read.
"""

from typing import Final
from urllib.parse import quote_from_bytes

from uwsgi_router.protocol.compiled import COMPILED
from uwsgi_router.protocol.http.errors import HttpError, quoted
from uwsgi_router.protocol.http.fields import names, tokens
from uwsgi_router.protocol.http.host import server_authority
from uwsgi_router.protocol.http.origin import parse_hop
from uwsgi_router.protocol.http.request import read_lines, read_usual
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.uwsgi import MAX_DATASIZE

# Not copied: what is looked at by itself, what stands elsewhere (CONTENT_LENGTH, CONTENT_TYPE; nginx sends both again
# with HTTP_ in front), and Connection: what the client nominates in it was the web server's to drop, and may not take
# X-Forwarded-For away now. The parser drops other fields about the connection.
_ELSEWHERE: Final = frozenset(
    {
        b"HTTP_HOST",
        b"HTTP_CONNECTION",
        b"HTTP_UPGRADE",
        b"HTTP_CONTENT_LENGTH",
        b"HTTP_CONTENT_TYPE",
        b"HTTP_TRANSFER_ENCODING",
        b"HTTP_EXPECT",
        b"HTTP_X_FORWARDED_FOR",
        b"HTTP_X_FORWARDED_PROTO",
    }
)


# Line beginnings that were made: ``HTTP_X_FOO`` -> ``X-Foo: ``; b"" for variables that become no line by themselves. A
# dictionary and no subclass, which compiled code would ask through calls by name.
_begins: Final[dict[bytes, bytes]] = {}
_MOST_BEGINS: Final = 2048
_LONGEST_KEY: Final = 64
# A number is looked for in bytes without the detour that bytes in bytes take.
_LF: Final = 10


def head_from_variables(variables: list[tuple[bytes, bytes]]) -> RequestHead:
    """Read a request from the variables of a packet, as ``decode_variables`` returns them.

    Raises:
        HttpError: as :func:`head_from_values`; and 400 for two different lengths.
    """
    values = dict(variables)
    length = values.get(b"CONTENT_LENGTH")
    if any(value != length for key, value in variables if key == b"CONTENT_LENGTH"):
        raise _bad("two different CONTENT_LENGTH values")
    return head_from_values(values)


def head_from_values(values: dict[bytes, bytes]) -> RequestHead:
    """Read a request from the variables of a packet, by name, as ``decode_values`` returns them.

    Of a repeated name the last value counts, as for an application (``http-var`` relies on it); whether there are two
    lengths is for the caller to see. X-Forwarded-For ends with REMOTE_ADDR, which a node has no other way to know, and
    X-Forwarded-Proto is there, so that ``request_head(head, None)`` passes them on. Variables other than the request's
    own (REMOTE_USER...) have no place in HTTP. ``size`` is 0: the body begins where the packet ends.

    Raises:
        HttpError: if an HTTP request of the same meaning can't be made of them: 400 mostly; 411 for a body without
            CONTENT_LENGTH.
    """
    method, target = values.get(b"REQUEST_METHOD", b""), _target(values)
    lines = [b"%b %b HTTP/1.1" % (method, target)]
    scheme = _scheme(values)
    host = values.get(b"HTTP_HOST") or server_authority(
        values.get(b"SERVER_NAME", b""), values.get(b"SERVER_PORT", b""), scheme
    )
    if host:
        lines.append(b"Host: " + host)
    else:
        lines[0] = lines[0][:-1] + b"0"  # HTTP/1.1 has to have one
    lines += _framing(values)
    begins = _begins
    for key, value in values.items():
        begin = begins.get(key)
        if begin is None:
            begin = _made_begin(key)
        if begin:
            lines.append(begin + value)
    chain = _chain(values)
    if chain:
        lines.append(b"X-Forwarded-For: " + chain)
    lines.append(b"X-Forwarded-Proto: " + (values.get(b"HTTP_X_FORWARDED_PROTO") or scheme))
    head = (walked(lines) if COMPILED else None) or read_lines(lines)
    if (head.method, head.target) != (method, target):
        raise _bad(f"no method or no path for HTTP: {quoted(method)}, {quoted(target)}")
    return head


def _made_begin(key: bytes) -> bytes:
    """Make the beginning of a variable's line, and remember it."""
    begin = b""
    if key.startswith(b"HTTP_") and key not in _ELSEWHERE:
        name = key[5:].replace(b"_", b"-")
        # HTTP_X-FOO and HTTP_x_foo would be second names of HTTP_X_FOO.
        if b"-" in key or key != key.upper() or not names[name]:
            raise _bad(f"no name of a field as CGI writes it: {quoted(key)}")
        begin = name.title() + b": "
    if len(key) <= _LONGEST_KEY:
        if len(_begins) >= _MOST_BEGINS:
            _begins.clear()
        _begins[key] = begin
    return begin


def walked(lines: list[bytes]) -> RequestHead | None:
    """Return the head that these lines are, read in one walk; None if it has to be read line by line, or refused."""
    # No value may make two lines of one.
    for line in lines:
        if _LF in line:
            return None
    data = b"\r\n".join(lines) + b"\r\n\r\n"
    try:
        head = read_usual(data, MAX_DATASIZE)
    except HttpError:
        return None
    if head is not None:
        head.size = 0
    return head


def _target(values: dict[bytes, bytes]) -> bytes:
    target = values.get(b"REQUEST_URI")
    if target:
        # A web server that was asked for http://host?a says so, and knows the path as "/". What follows a "#" never
        # was for servers; those that take it leave it out of the path.
        target = target.partition(b"#")[0]
        return b"/" + target if target[:1] in {b"", b"?"} else target
    path = values.get(b"SCRIPT_NAME", b"") + values.get(b"PATH_INFO", b"")
    query = values.get(b"QUERY_STRING", b"")
    # Without a slash it is an application's own root.
    encoded = quote_from_bytes(path, safe="/:@!$&'()*+,;=~").encode("ascii") or b"/"
    return encoded + b"?" + query if query else encoded


def _scheme(values: dict[bytes, bytes]) -> bytes:
    scheme = values.get(b"REQUEST_SCHEME", b"").lower()
    if scheme in {b"http", b"https"}:
        return scheme
    return b"https" if values.get(b"HTTPS", b"").lower() in {b"on", b"1"} else b"http"


def _framing(values: dict[bytes, bytes]) -> list[bytes]:
    """Return the lines that say what follows the head."""
    lines: list[bytes] = []
    length = values.get(b"CONTENT_LENGTH", b"")
    if length:
        lines.append(b"Content-Length: " + length)
    elif values.get(b"HTTP_TRANSFER_ENCODING"):
        raise HttpError(
            411,
            "no-length",
            "HTTP_TRANSFER_ENCODING without CONTENT_LENGTH: where does the body end?",
        )
    kind = values.get(b"CONTENT_TYPE")
    if kind:
        lines.append(b"Content-Type: " + kind)
    if values.get(b"HTTP_EXPECT", b"").lower() == b"100-continue":
        lines.append(b"Expect: 100-continue")
    upgrade = values.get(b"HTTP_UPGRADE")
    if upgrade and b"upgrade" in tokens(values.get(b"HTTP_CONNECTION", b"")):
        lines += (b"Connection: Upgrade", b"Upgrade: " + upgrade)
    return lines


def _chain(values: dict[bytes, bytes]) -> bytes:
    # A web server that appends to X-Forwarded-For has written REMOTE_ADDR there; others pass on what a client claims.
    chain = values.get(b"HTTP_X_FORWARDED_FOR", b"").strip(b" \t")
    peer = parse_hop(values.get(b"REMOTE_ADDR", b""))
    if peer is None:
        return chain
    address = peer[0].encode("ascii")
    if not chain:
        return address
    last = parse_hop(chain.rpartition(b",")[2].strip(b" \t"))
    if last is not None and last[0] == peer[0]:
        return chain
    return chain + b", " + address


def _bad(text: str) -> HttpError:
    return HttpError(400, "bad-variables", text)
