"""What we accept means the same to h11 and llhttp: what they would read differently could be smuggled past one of us.

``UWSGI_ROUTER_HEADS=100000 pytest tests/protocol/http/test_differential.py`` tries more heads.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import h11
import httptools
import pytest
from h11._connection import _body_framing, _keep_alive
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.http.heads import LINES, REALISTIC, WORDS, mutated, vectors
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.request import parse_request
from uwsgi_router.protocol.http.request_head import RequestHead

HEADS = int(os.environ.get("UWSGI_ROUTER_HEADS", "50000"))

# Written again here, not imported: what the documentation says is not passed on.
DROPPED = frozenset(
    {
        *(
            b"host",
            b"content-length",
            b"expect",
            b"proxy",
            b"connection",
            b"keep-alive",
            b"te",
            b"trailer",
        ),
        *(b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings"),
        *(b"proxy-authenticate", b"proxy-authorization"),
    }
)
NEVER_NOMINATED = frozenset({b"authorization", b"content-type", b"cookie"})


class Refused(Exception):
    """The other parser does not take the head."""


@dataclass
class Reading:
    """What a parser makes of a head.

    Attributes:
        minor: of HTTP/1.minor.
        framing: bytes of body; None if it is chunked.
        rest: what follows the head.
    """

    method: bytes
    target: bytes
    minor: int
    fields: list[tuple[bytes, bytes]]
    framing: int | None
    keep_alive: bool
    rest: bytes


# --- the other parsers ---


def by_h11(data: bytes) -> Reading | None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as exc:
        raise Refused(str(exc)) from exc
    if event is h11.NEED_DATA or not data:
        return None
    assert isinstance(event, h11.Request)
    kind, arguments = _body_framing(event.method, event)
    assert kind in {"chunked", "content-length"}
    return Reading(
        method=event.method,
        target=event.target,
        minor=int(event.http_version[2:]),
        fields=list(event.headers),
        framing=None if kind == "chunked" else next(iter(arguments)),
        keep_alive=_keep_alive(event),
        rest=connection.trailing_data[0],
    )


@dataclass
class Callbacks:
    """What llhttp calls."""

    url: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    head: bool = False
    message: bool = False
    keep_alive: bool = False
    parser: httptools.HttpRequestParser | None = None

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head:
            self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head = True
        assert self.parser is not None
        self.keep_alive = self.parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self.message = True


def fed_to_llhttp(*pieces: bytes) -> Callbacks:
    seen = Callbacks()
    seen.parser = httptools.HttpRequestParser(seen)
    for piece in pieces:
        try:
            seen.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            break
        except httptools.HttpParserError as exc:
            raise Refused(f"{type(exc).__name__} {exc}") from exc
    return seen


def by_llhttp(data: bytes, size: int) -> Reading | None:
    """Read ``data``, whose head has ``size`` bytes according to us."""
    early = fed_to_llhttp(data[: size - 1])
    assert not early.head, "llhttp saw the end of the head before us"
    seen = fed_to_llhttp(data[:size])
    if not seen.head:
        return None
    assert seen.parser is not None
    return Reading(
        method=seen.parser.get_method(),
        target=seen.url,
        minor=int(seen.parser.get_http_version()[2:]),
        # It leaves the white space behind values where it is, which RFC 9112 section 5.1 excludes.
        fields=[(name, value.rstrip(b" \t")) for name, value in seen.fields],
        framing=llhttp_framing(data[:size], seen),
        keep_alive=seen.keep_alive,
        rest=data[size:],
    )


def llhttp_framing(head: bytes, seen: Callbacks) -> int | None:
    """Find out by trying: a body without end is chunked if ``0 CRLF CRLF`` is one."""
    if seen.message:
        return 0
    lengths = [int(value) for name, value in seen.fields if name == b"content-length"]
    if not lengths:
        assert not fed_to_llhttp(head, b"0\r\n\r").message
        assert fed_to_llhttp(head, b"0\r\n\r\n").message
        return None
    if lengths[0] < 10_000:
        assert not fed_to_llhttp(head, b"x" * (lengths[0] - 1)).message
        assert fed_to_llhttp(head, b"x" * lengths[0]).message
    return lengths[0]


# --- where they may differ from us, and why ---

Class = Callable[[RequestHead, bytes], bool]


def empty_lines(_head: RequestHead, data: bytes) -> bool:
    """RFC 9112 section 2.2 wants at least one skipped; whoever does not skip it has no request at all."""
    return data.startswith(b"\r\n")


def eight_bit_target(_head: RequestHead, data: bytes) -> bool:
    """What ``curl http://example.com/é`` sends. uWSGI and nginx pass it on; it has one meaning only."""
    return not data.lstrip(b"\r\n").split(b"\r\n", 1)[0].isascii()


def method_not_in_its_list(head: RequestHead, _data: bytes) -> bool:
    """Methods are open-ended and case-sensitive (RFC 9110 section 9.1); llhttp has a list."""
    return head.method not in METHODS_OF_LLHTTP


def later_minor(_head: RequestHead, data: bytes) -> bool:
    """HTTP/1.2 would be a request that an HTTP/1.1 recipient can read (RFC 9110 section 2.5); llhttp has a list."""
    version = data.lstrip(b"\r\n").split(b"\r\n", 1)[0][-8:]
    return version not in {b"HTTP/1.0", b"HTTP/1.1"}


def tab_behind_coding(head: RequestHead, data: bytes) -> bool:
    """``chunked<HTAB>``: white space around a value is not part of it (RFC 9112 section 5.1); llhttp only knows SP."""
    return head.chunked and re.search(rb"(?i)chunked *\t", data[: head.size]) is not None


METHODS_OF_LLHTTP = frozenset(
    b"DELETE GET HEAD POST PUT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND "
    b"ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK "
    b"SOURCE QUERY".split()
)

#: What we accept and they refuse, with a head of each kind.
REFUSED_BY_H11: dict[Class, bytes] = {
    empty_lines: b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    eight_bit_target: b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
}
REFUSED_BY_LLHTTP: dict[Class, bytes] = {
    eight_bit_target: b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    method_not_in_its_list: b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    tab_behind_coding: b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\t\r\n\r\n",
    later_minor: b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
}


def kept_for_http10(head: RequestHead, _data: bytes) -> bool:
    """HTTP/1.0 with keep-alive: h11 closes always. The client keeps its side only if our answer says so."""
    return not head.minor and head.keep_alive


def both_wishes(head: RequestHead, _data: bytes) -> bool:
    """``close`` beside ``keep-alive`` in HTTP/1.0: close wins (RFC 9112 section 9.3); llhttp keeps."""
    return not head.minor and head.connection >= {b"close", b"keep-alive"}


def proxy_connection(_head: RequestHead, data: bytes) -> bool:
    """To llhttp it is another Connection. No standard has it; its sender learns from our answer what we do."""
    return b"proxy-connection" in data.lower()


def malformed_connection(head: RequestHead, data: bytes) -> bool:
    """``Connection: close x``: nobody can tell what is wanted, so the connection ends."""
    values = re.findall(rb"(?im)^connection:(.*)\r$", data[: head.size])
    elements = [element.strip(b" \t") for value in values for element in value.split(b",")]
    return not head.keep_alive and any(
        re.search(rb"[^!#$%&'*+.^_`|~\w-]", element) for element in elements
    )


#: (who decides otherwise, when).
KEPT_BY_ONE: list[tuple[str, Class]] = [
    ("h11", kept_for_http10),
    ("h11", malformed_connection),
    ("llhttp", malformed_connection),
    ("llhttp", both_wishes),
    ("llhttp", proxy_connection),
]


# --- the comparison ---


def compare(data: bytes) -> str:
    """Return what became of a head; fail if we accept it and another parser reads it differently."""
    try:
        head = parse_request(data)
    except HttpError as exc:
        return f"refused: {exc.status} {exc.reason}"
    if head is None:
        check_nobody_sees_an_end(data)
        return "incomplete"
    word = "accepted"
    for name, refused, parse in (
        ("h11", REFUSED_BY_H11, by_h11),
        ("llhttp", REFUSED_BY_LLHTTP, lambda data: by_llhttp(data, head.size)),
    ):
        try:
            theirs = parse(data)
        except Refused as exc:
            classes = [kind.__name__ for kind in refused if kind(head, data)]
            if not classes:
                pytest.fail(f"{name} refuses {data!r}: {exc}")
            word += f", not by {name}: {'+'.join(classes)}"
            if classes != ["empty_lines"]:
                continue
            theirs = parse(data.lstrip(b"\r\n"))
        assert theirs is not None, f"{name} sees no end of the head in {data!r}"
        check_same(head, data, theirs, name)
    return word


def check_nobody_sees_an_end(data: bytes) -> None:
    with suppress(Refused):
        assert by_h11(data) is None, f"we wait for more of {data!r}"
    with suppress(Refused):
        assert not fed_to_llhttp(data).head, f"we wait for more of {data!r}"


def check_same(head: RequestHead, data: bytes, theirs: Reading, name: str) -> None:
    where = f"{name}: {data!r}"
    assert head.method == theirs.method, where
    assert theirs.target in sent_forms(head, theirs.target), where
    assert head.minor == min(theirs.minor, 1), where
    assert data[head.size :] == theirs.rest, where
    assert without_dropped(head, theirs.fields) == head.fields, where
    hosts = [value for field_name, value in theirs.fields if field_name == b"host"]
    if theirs.target.startswith((b"/", b"*")):
        assert hosts == ([head.host] if head.host else []), where
    if name == "llhttp" and head.upgrade and b"upgrade" in head.connection:
        # It stops before whatever body there is, for its caller to switch protocols or not. We don't, until a node
        # answers 101 to a WebSocket handshake, which has no body.
        assert theirs.framing == 0
    else:
        assert theirs.framing == (None if head.chunked else head.content_length or 0), where
    check_same_keep_alive(head, data, theirs, name)


def check_same_keep_alive(head: RequestHead, data: bytes, theirs: Reading, name: str) -> None:
    if head.keep_alive == theirs.keep_alive:
        return
    kinds = [kind for parser, kind in KEPT_BY_ONE if parser == name]
    assert any(kind(head, data) for kind in kinds), f"{name} decides otherwise: {data!r}"


def sent_forms(head: RequestHead, theirs: bytes) -> set[bytes]:
    """Return how the target may have been written, given what we made of it."""
    if theirs.startswith((b"/", b"*")):
        return {head.target}
    scheme = theirs.partition(b"://")[0]
    assert scheme.lower() in {b"http", b"https"}
    url = scheme + b"://" + head.host + head.target
    return {url, scheme + b"://" + head.host + head.target.removeprefix(b"/")}


def without_dropped(
    head: RequestHead, fields: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Do to their fields what the documentation says that we do to ours."""
    nominated = {name for name in head.connection - NEVER_NOMINATED if b"forwarded" not in name}
    nominated.discard(b"x-real-ip")
    kept: list[tuple[bytes, bytes]] = []
    for name, value in fields:
        if name in DROPPED or name in nominated or b"_" in name:
            continue
        earlier = [index for index, (kept_name, _) in enumerate(kept) if kept_name == name]
        if name == b"cookie" and earlier:
            kept[earlier[0]] = (name, b"; ".join(filter(None, (kept[earlier[0]][1], value))))
        else:
            kept.append((name, value))
    return kept


# --- tests ---


def test_recorded_and_realistic_heads() -> None:
    outcomes = Counter(compare(data) for data in [*REALISTIC, *(v["raw"] for v in vectors())])
    assert outcomes["accepted"] > 50


def test_heads_changed_at_random() -> None:
    outcomes = Counter(compare(data) for data in mutated(20_261_121, HEADS))
    # Most would be no test at all if we refused them; and each way to refuse has to be tried.
    assert outcomes["accepted"] > HEADS / 10, outcomes
    print(*outcomes.most_common(), sep="\n")  # noqa: T201 - seen with -s


NAMES = st.sampled_from([*(line.partition(b":")[0] for line in LINES), b"X-B", b"Accept", b"TE"])
VALUES = st.sampled_from([*(line.partition(b":")[2] for line in LINES), b" a,b", b"\t", b"\xff"])
TARGETS = st.lists(
    st.sampled_from([b"/", b"a", b"?", b"%41", *(word for word in WORDS if word.isascii())]),
    max_size=5,
)


@given(
    st.sampled_from([b"GET", b"POST", b"OPTIONS", b"get", b"M-SEARCH", b"A B"]),
    TARGETS.map(b"".join),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.9", b"HTTP/1.1 "]),
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"\r\n", b"\n"]),
)
@settings(max_examples=400, deadline=None)
def test_heads_that_are_made_up(
    method: bytes,
    target: bytes,
    version: bytes,
    fields: list[tuple[bytes, bytes]],
    after: bytes,
) -> None:
    lines = [method + b" /" + target + b" " + version, b"Host: a.example"]
    lines += [name + b":" + value for name, value in fields]
    compare(b"\r\n".join(lines) + b"\r\n\r\n" + after)


@pytest.mark.parametrize("kind", REFUSED_BY_H11, ids=lambda kind: kind.__name__)
def test_h11_still_refuses(kind: Class) -> None:
    data = REFUSED_BY_H11[kind]
    assert parse_request(data) is not None
    with pytest.raises(Refused):
        by_h11(data)


@pytest.mark.parametrize("kind", REFUSED_BY_LLHTTP, ids=lambda kind: kind.__name__)
def test_llhttp_still_refuses(kind: Class) -> None:
    data = REFUSED_BY_LLHTTP[kind]
    head = parse_request(data)
    assert head is not None
    with pytest.raises(Refused):
        by_llhttp(data, head.size)


def test_a_difference_would_be_noticed() -> None:
    head = parse_request(REALISTIC[4])
    theirs = by_h11(REALISTIC[4])
    assert head is not None
    assert theirs is not None
    check_same(head, REALISTIC[4], theirs, "h11")
    for name, value in (("framing", 18), ("rest", b"x"), ("keep_alive", False), ("fields", [])):
        before = getattr(theirs, name)
        setattr(theirs, name, value)
        with pytest.raises(AssertionError):
            check_same(head, REALISTIC[4], theirs, "h11")
        setattr(theirs, name, before)
