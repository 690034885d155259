"""Request line and target parser: forms of targets, path normalisation (RFC 9112 section 3, RFC 3986 section 5.2.4)."""

import re
from typing import Final

from uwsgi_router.protocol.http.errors import HttpError, quoted
from uwsgi_router.protocol.http.fields import TOKEN_BYTE
from uwsgi_router.protocol.http.host import check_host

# As numbers: "35 in target" is several times faster than 'b"#" in target'.
_HASH: Final = 35
_PERCENT: Final = 37
_DOT: Final = 46
# What a control byte means in a path differs between programs, and NUL ends a C string.
_CONTROLS: Final = bytes((*range(32), 127))
#: ``target.translate(_IN_TARGET) == target``: no control bytes, no fragment.
_IN_TARGET: Final = bytes(63 if byte in _CONTROLS or byte == _HASH else byte for byte in range(256))
_HEX: Final = b"0123456789abcdefABCDEF"
_TRIPLETS: Final = {
    bytes((high, low)): bytes.fromhex(chr(high) + chr(low)) for high in _HEX for low in _HEX
}
#: (protocol to report, minor). 1.2 and above mean the highest 1.x that one speaks (RFC 9110 section 2.5).
_VERSIONS: Final = {
    b"HTTP/1.0": (b"HTTP/1.0", 0),
    **{b"HTTP/1.%d" % minor: (b"HTTP/1.1", 1) for minor in range(1, 10)},
}
_RTSP: Final = (b"RTSP/1.0", 0)
_VERSION = re.compile(rb"(?:HTTP|RTSP)/[0-9]\.[0-9]")
_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"})
_METHOD = re.compile(TOKEN_BYTE + rb"+")
_ABSOLUTE = re.compile(
    rb"(?P<scheme>https?|rtsp)://(?P<authority>[^/?]*)(?P<rest>.*)", re.IGNORECASE
)


def parse_request_line(
    line: bytes, rtsp: bool
) -> tuple[bytes, bytes, bytes, bytes, bytes, int, bytes]:
    """Read a request line without its end.

    Args:
        line: what precedes the first CR LF.
        rtsp: RTSP/1.0 and ``rtsp://`` are welcome too.

    Returns:
        (method, target, path, query, authority, minor, protocol): the authority of a target in absolute form, else
        b""; the others as in ``RequestHead``. Not a named tuple: that takes half as long as all the rest.

    Raises:
        HttpError: 400 bad-request-line or bad-target, 405, 505.
    """
    try:
        method, target, version = line.split(b" ")
    except ValueError:
        raise HttpError(400, "bad-request-line", f"no request line: {quoted(line)}") from None
    usual = method in _METHODS
    if not usual and not _METHOD.fullmatch(method):
        raise HttpError(400, "bad-request-line", f"no method: {quoted(method)}")
    protocol, minor = _VERSIONS.get(version) or _other_version(version, rtsp)
    if not usual and method == b"CONNECT":
        raise HttpError(
            405,
            "connect-method",
            "CONNECT asks for a forward proxy; this is a gateway to applications",
        )
    authority = b""
    if target[:1] != b"/":
        scheme = b"rtsp" if protocol == b"RTSP/1.0" else b"http"
        authority, target = _other_form(method, target, scheme)
    if target.translate(_IN_TARGET) != target:
        raise _bad_target(target)
    path, _, query = target.partition(b"?")
    if _PERCENT in path or (_DOT in path and b"/." in path):
        path = normalise_path(path)
    return method, target, path, query, authority, minor, protocol


def _bad_target(target: bytes) -> HttpError:
    if len(target.translate(None, _CONTROLS)) != len(target):
        return HttpError(400, "bad-request-line", f"a control byte in the target: {quoted(target)}")
    return HttpError(400, "bad-target", f"a target has no fragment (#): {quoted(target)}")


def _other_version(version: bytes, rtsp: bool) -> tuple[bytes, int]:
    if rtsp and version == _RTSP[0]:
        return _RTSP
    if _VERSION.fullmatch(version) and (rtsp or version[:1] == b"H"):
        raise HttpError(505, "version", f"{version.decode()} is not spoken here")
    raise HttpError(400, "bad-request-line", f"no HTTP version: {quoted(version)}")


def _other_form(method: bytes, target: bytes, scheme: bytes) -> tuple[bytes, bytes]:
    """Return (authority, target in origin form or ``*``) of a target that does not begin with a slash."""
    if target == b"*" and method == b"OPTIONS":
        return b"", target
    match = _ABSOLUTE.fullmatch(target)
    if not match or match["scheme"].lower().rstrip(b"s") != scheme:
        raise HttpError(400, "bad-target", f"no path and no URL: {quoted(target)}")
    check_host(match["authority"])
    rest = match["rest"]
    return match["authority"], rest if rest[:1] == b"/" else b"/" + rest


def normalise_path(path: bytes) -> bytes:
    """Decode ``%XX`` once and remove dot segments, those that were encoded too; never above the root.

    Slashes stay as they are (``//a``, ``/a//b``); ``%2F`` becomes one. ``/a/..`` is ``/``, ``/a/b/..`` is ``/a/``.
    Source: RFC 3986 section 5.2.4. uWSGI removes dots before it decodes, so that
    ``/%2e%2e/`` climbs.

    Args:
        path: begins with ``/`` or is ``*``; without query.

    Raises:
        HttpError: 400 bad-target, for a ``%`` without two hexadecimal digits, or one that means a control byte.
    """
    first, *rest = path.split(b"%")
    if rest:
        try:
            path = first + b"".join([_TRIPLETS[part[:2]] + part[2:] for part in rest])
        except KeyError as exc:
            raise HttpError(
                400, "bad-target", f"% without two hexadecimal digits: {quoted(path)}"
            ) from exc
        if len(path.translate(None, _CONTROLS)) != len(path):
            raise HttpError(
                400, "bad-target", f"a path with an encoded control byte: {quoted(path)}"
            )
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in {b".", b".."}:
        kept.append(b"")
    return b"/" + b"/".join(kept)
