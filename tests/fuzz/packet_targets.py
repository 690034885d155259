"""What is fuzzed of packets, addresses, caches and HTTP heads."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.fuzz.table import Table
from tests.fuzz.target import Target, outcome
from tests.protocol.http import heads
from uwsgi_router.protocol.address import (
    Address,
    AddressError,
    InetAddress,
    ListenAddress,
    UnixAddress,
    parse_address,
    parse_datagram_address,
    parse_listen_address,
    parse_node_address,
)
from uwsgi_router.protocol.cache import (
    FORM_VARIABLES,
    CacheCommand,
    Hit,
    decode_command,
    decode_hit,
    encode_command,
    encode_hit,
)
from uwsgi_router.protocol.cache_value import ValueProblem, parse_value
from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.request import parse_request
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.named_node import NamedNode
from uwsgi_router.protocol.subscription import SubscriptionError, decode, encode
from uwsgi_router.protocol.uwsgi import (
    PacketError,
    decode_header,
    decode_variables,
    encode_header,
    encode_variables,
)
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.fronts.uwsgi.parser import Ping, UwsgiParser

CACHE = Path(__file__).parent.parent / "vectors" / "cache-packets.tsv"
HTTP_HEADS = [vector["raw"] for vector in heads.vectors() if len(vector["raw"]) < 4096]


def header(data: bytes) -> str:
    try:
        modifier1, size, modifier2 = decode_header(data)
    except PacketError as exc:
        assert len(data) < 4
        return outcome(exc)
    assert encode_header(modifier1, size, modifier2) == data[:4]
    return "accepted"


def variables(data: bytes) -> str:
    wanted = frozenset({b"HTTP_HOST", b"key", b"address"})
    try:
        found = decode_variables(data)
    except PacketError as exc:
        try:
            decode_variables(data, wanted)
        except PacketError:
            return outcome(exc)
        raise AssertionError("refused, but not when only some variables are wanted") from exc
    assert encode_variables(found) == data
    assert decode_variables(data, wanted) == [(k, v) for k, v in found if k in wanted]
    return f"accepted {min(len(found), 12)}"


def request(data: bytes) -> str:
    """The first bytes of a client connection, whole, cut short, and with more behind them."""
    word = ""
    for keep_modifiers in (False, True):
        front = UwsgiParser(force_key=None, keep_modifiers=keep_modifiers)
        try:
            parsed = front.parse(data, "127.0.0.1")
        except (PacketError, Failure, Ping) as exc:
            word += outcome(exc) or "ping"
            continue
        if parsed is None:
            word += "more"
            continue
        assert 1 <= len(parsed.key) <= 255
        keys = parsed.keys()
        assert keys
        assert all(len(key) <= 255 for key in keys)
        assert parsed.content_length >= 0
        assert parsed.packet + parsed.rest == data
        assert front.parse(parsed.packet[:-1], "") is None
        again = front.parse(parsed.packet + b"more", "127.0.0.1")
        assert again is not None
        assert (again.key, again.packet, again.rest) == (parsed.key, parsed.packet, b"more")
        word += "accepted"
    return word


def datagram(data: bytes) -> str:
    try:
        subscription = decode(data)
    except SubscriptionError as exc:
        return outcome(exc)
    # Numbers may have been written with zeros in front, and names may have been left out, so the
    # datagram itself need not come back; what it says does.
    try:
        again = decode(encode(subscription))
    except SubscriptionError as exc:
        if "would have" not in str(exc):
            raise AssertionError("what it says cannot be said again") from exc
        return "accepted, too long in our form"
    assert replace(again, signed=None) == replace(subscription, signed=None)
    return f"accepted {subscription.command} {subscription.proto}"


def addresses(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    parsers: tuple[Callable[[str], Address | ListenAddress], ...] = (
        lambda text: parse_address(text, allow_port_zero=True),
        parse_node_address,
        parse_datagram_address,
        parse_listen_address,
    )
    word = ""
    for parser in parsers:
        try:
            parsed = parser(text)
        except AddressError as exc:
            word += outcome(exc)[:20]
            continue
        word += type(parsed).__name__[:4]
        if isinstance(parsed, InetAddress):
            assert 0 <= parsed.port <= 65535
        elif isinstance(parsed, UnixAddress):
            assert parsed.is_abstract or b"\0" not in parsed.path
            assert parsed.path
        # What is shown can be read again; bytes that are not UTF-8 are shown escaped.
        # (A datagram address has no way to write an abstract name but with the NUL itself.)
        if "\\" not in str(parsed):
            abstract = isinstance(parsed, UnixAddress) and parsed.is_abstract
            again = parse_node_address(str(parsed)) if abstract else parser(str(parsed))
            assert again == parsed, str(parsed)
    return word


def table(data: bytes) -> str:
    """A history of the table, in the bytes' own little language (see Table)."""
    history = Table()
    history.replay(data)
    word = f"{len(history.registry.pools)} {len(history.held)} {sorted(history.happened)}"
    document, scrape = history.shown()
    json.loads(document)
    scrape.decode("utf-8")
    history.check()
    return word


def cache_command(data: bytes) -> str:
    """What a client sends to the cache socket, and what a server answers to ours."""
    word = ""
    decoders: tuple[Callable[[bytes], tuple[object, int] | None], ...] = (
        decode_command,
        decode_hit,
    )
    for decode_one in decoders:
        try:
            read = decode_one(data)
        except PacketError as exc:
            word += outcome(exc)
            continue
        if read is None:
            word += "more"
            continue
        what, end = read
        assert 4 <= end <= len(data)
        assert decode_one(data[: end - 1]) is None
        assert decode_one(data[:end]) == decode_one(data[:end] + b"more") == (what, end)
        if isinstance(what, Hit):
            assert decode_hit(encode_hit(what)) is not None
        elif isinstance(what, CacheCommand) and what.form == FORM_VARIABLES:
            again = decode_command(encode_command(what))
            assert again is not None
            assert again[0] == what
        word += f"accepted {getattr(what, 'name', 'hit')} {getattr(what, 'form', '')}"
    return word


def cache_value(data: bytes) -> str:
    """What a cache's item says about nodes."""
    try:
        targets = parse_value(data)
    except ValueProblem as exc:
        return outcome(exc)
    again = "|".join(f"{_with_scheme(target)},{target.modifier1}" for target in targets)
    assert parse_value(again.encode("utf-8", "surrogateescape")) == targets
    return f"accepted {min(len(targets), 4)}"


def _with_scheme(node: NamedNode) -> str:
    """Return the name of a node with its protocol's scheme."""
    if node.proto is None:
        return node.name
    return f"{node.proto}{'+unix:' if node.name.startswith(('/', '@')) else '://'}{node.name}"


def cache_packets(packet: bytes) -> list[bytes]:
    """The packet as one to the cache, in each form, and real ones."""
    captured = [bytes.fromhex(line.split("\t")[1]) for line in CACHE.read_text().splitlines()]
    return [b"o" + packet[1:3] + bytes((form,)) + packet[4:] for form in (0, 1, 17)] + captured


def http_request(data: bytes) -> str:
    """What a client of the HTTP router sends: at once, in two pieces, and said again in our words."""
    found = _http_outcome(data, 0)
    cut = len(data) // 2
    early = _http_outcome(data[:cut], 0)
    assert (_http_outcome(data, cut) if early is None else early) == found
    if not isinstance(found, RequestHead):
        return "more" if found is None else outcome(ValueError(found))
    assert _http_outcome(data[: found.size], 0) == found
    assert _http_outcome(data[: found.size - 1], 0) is None
    assert found.path == b"*" or found.path.startswith(b"/")
    assert not {b".", b".."} & set(found.path.split(b"/"))
    for line, field in zip(found.lines, found.fields, strict=True):
        sent, _, value = line.partition(b": ")
        assert (sent.lower(), value) == field
    host = [b"Host: " + found.host] if found.host else []
    first = b" ".join((found.method, found.target, b"HTTP/1.1" if host else b"HTTP/1.0"))
    again = _http_outcome(b"\r\n".join((first, *host, *found.lines, b"", b"")), 0)
    assert isinstance(again, RequestHead)
    for name in ("method", "target", "path", "query", "host", "fields", "lines", "forwarded"):
        assert getattr(again, name) == getattr(found, name), name
    return f"accepted {found.minor} {found.has_body} {found.websocket} {min(len(found.fields), 5)}"


def _http_outcome(data: bytes, seen: int) -> RequestHead | str | None:
    try:
        return parse_request(data, seen=seen)
    except HttpError as exc:
        refusal = exc
    assert 400 <= refusal.status <= 505
    assert refusal.text.isprintable()
    assert len(refusal.text) < 300
    return f"{refusal.status} {refusal.reason}: {refusal.text}"


def http_heads(_packet: bytes) -> list[bytes]:
    """Return the recorded requests and realistic ones."""
    return [*HTTP_HEADS, *heads.REALISTIC]


def whole(packet: bytes) -> list[bytes]:
    return [packet]


def block(packet: bytes) -> list[bytes]:
    return [packet[4:]]


def values(packet: bytes) -> list[bytes]:
    try:
        return [value for _, value in decode_variables(packet[4:])][:12]
    except PacketError:
        return []


TARGETS = (
    Target("header", header, whole),
    Target("variables", variables, block),
    Target("request", request, whole),
    Target("datagram", datagram, whole),
    Target("addresses", addresses, values),
    Target("cache command", cache_command, cache_packets),
    Target("cache value", cache_value, values),
    Target("table", table, Table.seeds),
    Target("http request", http_request, http_heads),
)

#: For the mutations: what these formats are made of.
WORDS = (
    *heads.WORDS,
    *(b"\r\n" + line for line in heads.LINES),
    *(b"key", b"address", b"modifier1", b"modifier2", b"cores", b"load", b"weight", b"algo"),
    *(b"backup", b"proto", b"vassal", b"notify", b"unix", b"sign", b"clear", b"sni_key"),
    *(b"HTTP_HOST", b"SERVER_NAME", b"UWSGI_FASTROUTER_KEY", b"CONTENT_LENGTH", b"\x03\x00key"),
    *(b"127.0.0.1:3031", b":3031", b"0.0.0.0:1", b"[::1]:3031", b"/run/a.sock", b"@abstract"),
    *(b"fd://", b"=", b"wrr", b"lrc", b"iphash", b"http", b"\xe0", b"\x00\x00", b"\xff\xff"),
    *(b"cmd", b"update", b"get", b"size", b"expires", b"cache", b"o\x0c\x00\x11", b"|", b",5"),
    *(b"65535", b"65536", b"18446744073709551615", b"-1", b"\xd9\xa3", b"\xc2\xb2", b" 1"),
)
