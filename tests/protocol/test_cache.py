"""The uwsgi cache protocol: commands, answers, broken packets."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.cache import (
    FORM_DEL,
    FORM_GET,
    FORM_SET,
    FORM_STREAM,
    FORM_VARIABLES,
    OK,
    CacheCommand,
    Hit,
    decode_command,
    decode_hit,
    encode_command,
    encode_hit,
    encode_miss,
)
from uwsgi_router.protocol.uwsgi import MAX_DATASIZE, PacketError, encode_header, encode_packet

#: Captured from uWSGI 2.0.31.
VECTORS = Path(__file__).parent.parent / "vectors" / "cache-packets.tsv"

CAPTURED = {
    name: bytes.fromhex(data)
    for name, data in (line.split("\t") for line in VECTORS.read_text().splitlines())
}
KEYS = st.binary(min_size=1, max_size=60)
NUMBERS = st.integers(1, 10**12 - 1)
STORES = st.builds(
    CacheCommand,
    st.sampled_from(["set", "update"]),
    KEYS,
    cache=st.binary(max_size=20),
    expires=st.integers(0, 10**9),
    size=NUMBERS,
)
READS = st.builds(
    CacheCommand, st.sampled_from(["get", "del", "exists", "clear"]), KEYS, st.binary(max_size=20)
)
COMMANDS = STORES | READS
HITS = st.builds(Hit, NUMBERS, st.integers(0, 10**12 - 1))


def variables(*pairs: tuple[bytes, bytes]) -> bytes:
    return encode_packet(pairs, 111, 17)


@given(COMMANDS)
def test_commands_survive(command: CacheCommand) -> None:
    packet = encode_command(command)
    assert decode_command(packet) == (command, len(packet))


@given(HITS)
def test_answers_survive(hit: Hit) -> None:
    packet = encode_hit(hit)
    assert decode_hit(packet) == (hit, len(packet))


@given(COMMANDS, HITS)
def test_byte_by_byte_nothing_is_known_before_the_packet_is_whole(
    command: CacheCommand, hit: Hit
) -> None:
    for packet, decode in (
        (encode_command(command), decode_command),
        (encode_hit(hit), decode_hit),
    ):
        assert [decode(packet[:size]) for size in range(len(packet))] == [None] * len(packet)


@given(COMMANDS, HITS, st.binary(max_size=40))
def test_what_follows_the_packet_is_the_value(command: CacheCommand, hit: Hit, rest: bytes) -> None:
    for packet, read in (
        (encode_command(command), decode_command(encode_command(command) + rest)),
        (encode_hit(hit), decode_hit(encode_hit(hit) + rest)),
    ):
        assert read is not None
        assert (packet + rest)[read[1] :] == rest


@given(st.binary(max_size=60), st.sampled_from([0, 1, 2, 5, 17, 6]))
def test_any_payload_is_read_or_refused(payload: bytes, form: int) -> None:
    packet = encode_header(111, len(payload), form) + payload
    for decode in (decode_command, decode_hit):
        try:
            read = decode(packet)
        except PacketError:
            continue
        assert read is not None
        assert read[1] == len(packet)


@pytest.mark.parametrize(
    ("name", "command", "value"),
    [
        (
            "update",
            CacheCommand("update", b"example.com", b"nodes", expires=30, size=14),
            b"127.0.0.1:3031",
        ),
        ("set", CacheCommand("set", b"k", b"nodes", size=1), b"v"),
        ("get", CacheCommand("get", b"k", b"nodes"), b""),
        ("exists", CacheCommand("exists", b"k", b"nodes"), b""),
        ("del", CacheCommand("del", b"k", b"nodes"), b""),
        ("clear", CacheCommand("clear", b"", b"nodes"), b""),
    ],
)
def test_what_real_uwsgis_client_sends(name: str, command: CacheCommand, value: bytes) -> None:
    data = CAPTURED[name]
    read = decode_command(data)
    assert read is not None
    assert read[0] == command
    assert data[read[1] :] == value


def test_what_real_uwsgi_answers() -> None:
    assert OK == b"o\x0c\x00\x11\x06\x00status\x02\x00ok"
    read = decode_hit(CAPTURED["hit"])
    assert read is not None
    assert read[0] == Hit(14, 1795260339)
    assert CAPTURED["hit"][read[1] :] == b"127.0.0.1:3031"


def test_uwsgis_client_says_the_size_twice() -> None:
    twice = ((b"cmd", b"update"), (b"key", b"k"), (b"size", b"5"), (b"size", b"5"))
    read = decode_command(variables(*twice))
    assert read is not None
    assert read[0] == CacheCommand("update", b"k", size=5)
    with pytest.raises(PacketError, match="two different values of size"):
        decode_command(variables(*twice, (b"size", b"6")))


def test_variables_that_nobody_knows_are_passed_over() -> None:
    read = decode_command(variables((b"cmd", b"clear"), (b"new", b"x")))
    assert read is not None
    assert read[0] == CacheCommand("clear")


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([], "cmd='' is not one of"),
        ([(b"cmd", b"GET"), (b"key", b"k")], "cmd='GET' is not one of"),
        ([(b"cmd", b"\xff"), (b"key", b"k")], "is not one of"),
        ([(b"cmd", b"get")], "cmd=get without a key"),
        ([(b"cmd", b"del"), (b"key", b"")], "cmd=del without a key"),
        ([(b"cmd", b"set"), (b"key", b"k")], "cmd=set without a size"),
        ([(b"cmd", b"set"), (b"key", b"k"), (b"size", b"0")], "cmd=set without a size"),
        ([(b"cmd", b"set"), (b"key", b"k"), (b"size", b"-1")], "size=b'-1' is not a decimal"),
        ([(b"cmd", b"set"), (b"key", b"k"), (b"size", b"")], "size=b'' is not a decimal"),
        ([(b"cmd", b"set"), (b"key", b"k"), (b"size", b"1" * 13)], "is not a decimal"),
        (
            [(b"cmd", b"set"), (b"key", b"k"), (b"size", b"1"), (b"expires", b"1.5")],
            "expires=b'1.5' is not a decimal",
        ),
    ],
)
def test_commands_that_are_refused(pairs: list[tuple[bytes, bytes]], reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        decode_command(variables(*pairs))


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"G", "modifier1 is 71, not 111"),
        (encode_header(111, 0, 3), "modifier2 3 is no cache command"),
        (encode_header(111, 0, 0), "the key is empty"),
        (encode_header(111, 0, 2), "the key is empty"),
        (encode_header(111, 0, 1), "needs a key and a value"),
        (encode_header(111, 3, 1) + b"\x01\x00k", "needs a key and a value"),
        (encode_header(111, 4, 1) + b"\x02\x00kk", "needs a key and a value"),
        (encode_header(111, 6, 1) + b"\x01\x00k\x02\x00v", "points past the end"),
        (encode_header(111, 4, 1) + b"\x01\x00k\x02", "points past the end"),
        (encode_header(111, 9, 1) + b"\x01\x00k\x01\x00v\x01\x00e", "no more and no less"),
    ],
)
def test_plain_forms_that_are_refused(packet: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        decode_command(packet)


@pytest.mark.parametrize(
    ("form", "payload", "command"),
    [
        (FORM_GET, b"key", CacheCommand("get", b"key", form=0)),
        (FORM_SET, b"\x01\x00k\x01\x00v", CacheCommand("set", b"k", value=b"v", form=1)),
        (FORM_DEL, b"key", CacheCommand("del", b"key", form=2)),
        (FORM_STREAM, b"key", CacheCommand("get", b"key", form=5)),
    ],
)
def test_plain_forms(form: int, payload: bytes, command: CacheCommand) -> None:
    packet = encode_header(111, len(payload), form) + payload
    assert decode_command(packet) == (command, len(packet))


def test_answers_in_the_plain_forms() -> None:
    assert encode_hit(Hit(300), FORM_GET) == b"o\x2c\x01\x00"
    assert encode_hit(Hit(300), FORM_STREAM) == b"o\x00\x00\x01"
    assert encode_miss(FORM_STREAM) == b"o\x00\x00\x00"
    assert encode_miss(FORM_GET) == encode_miss(FORM_VARIABLES) == b""
    with pytest.raises(PacketError):
        encode_hit(Hit(MAX_DATASIZE + 1), FORM_GET)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"HTTP/1.1 200 OK", "modifier1 is 72"),
        (encode_header(111, 0, 0), "modifier2 is 0, not 17"),
        (variables(), "status=b'' is not ok"),
        (variables((b"status", b"notfound")), "status=b'notfound' is not ok"),
        (variables((b"status", b"ok")), "no size"),
        (variables((b"status", b"ok"), (b"size", b"x")), "size=b'x' is not a decimal"),
        (variables((b"status", b"ok"), (b"size", b"1"), (b"size", b"2")), "two different"),
    ],
)
def test_answers_that_make_no_sense(packet: bytes, reason: str) -> None:
    with pytest.raises(PacketError, match=reason):
        decode_hit(packet)


def test_a_key_that_fits_no_packet() -> None:
    with pytest.raises(PacketError, match="a packet holds at most"):
        encode_command(CacheCommand("get", b"k" * 65_530))
