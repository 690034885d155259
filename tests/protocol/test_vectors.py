"""Every captured packet gives what its note asks for (tests/vectors/README.md)."""

import base64
import hashlib
from pathlib import Path

import pytest

from uwsgi_router.protocol.subscription import Subscription, SubscriptionError, decode, encode
from uwsgi_router.protocol.uwsgi import (
    HEADER_SIZE,
    PONG,
    PacketError,
    decode_header,
    decode_variables,
    encode_packet,
)

VECTORS = Path(__file__).parent.parent / "vectors"


def _load() -> dict[str, bytes]:
    packets = {}
    for line in (VECTORS / "uwsgi-packets.tsv").read_text().splitlines():
        name, hexadecimal, _note = line.split("\t")
        packets[name] = bytes.fromhex(hexadecimal)
    return packets


PACKETS = _load()


def _announce(key: bytes, address: str, **fields: object) -> Subscription:
    # uWSGI's clients send weight 0 if none was set; it counts as 1.
    return Subscription("subscribe", key, address, **fields)  # type: ignore[arg-type]


def _leave(key: bytes, address: str, **fields: object) -> Subscription:
    return Subscription("unsubscribe", key, address, **fields)  # type: ignore[arg-type]


ACCEPTED = {
    "sub-plain": _announce(b"example.com", "127.0.0.1:17811", cores=2),
    "unsub-port-mod5": _leave(b"example.com:8000", "127.0.0.1:17811", modifier1=5, cores=1),
    "sub-map-line": _announce(b"unbit.it:8000", "127.0.0.1:43407", modifier1=5, cores=1),
    "sub-mod1-wrap": _announce(b"a.com", "10.0.0.9:9", modifier1=44, cores=1),
    "sub-escaped-comma": _announce(b"d,e.com", "127.0.0.1:17816", cores=1),
    "sub-unix-cred": _announce(b"cred.com", "/tmp/wsexp/x1.sock", cores=1),
    "sub-abstract-address": _announce(b"abstract", "@abs", cores=1),
    # Harmless as long as signatures are not asked for.
    "sub-signed-nofile": _announce(b"badsign", "127.0.0.1:17890", cores=1, unix=1795232034),
    "resub-forwarded": _announce(
        b"example.com",
        "127.0.0.1:17831",
        modifier1=5,
        modifier2=6,
        weight=4,
        sni_key=b"/k",
        sni_crt=b"/c",
        sni_ca=b"/ca",
    ),
    "resub-unsub": _leave(b"example.com", "127.0.0.1:17831", weight=4),
    "dup-key": _announce(b"dup2", "127.0.0.1:1"),
    "addr-255": _announce(b"addr255", "a" * 255),
}

#: Each with a word of the reason that the operator reads.
REFUSED = {
    "sub-long-key-300": "key has 300 bytes",
    "key-256": "key has 256 bytes",
    "no-key": "no key",
    "empty-key": "key has 0 bytes",
    "size-lie-big": "500 bytes, 36 follow",
    "truncated-tail": "past the end",
    "bad-numbers": "modifier1",
    "modifier-wrap": "modifier1 261",
    "weight-negative": "weight",
    "addr-256": "address has 256 bytes",
    "v21-vassal-only": "vassal without an address",
    "dgram-1byte": "no packet header",
}

#: Signed: decoded, with the window that the signature covers; whether it verifies with the public key.
SIGNED = {
    "sub-signed": True,
    "unsub-signed": True,
    "sub-signed-nounix": True,
    "sub-signed-m2-flipped": True,
    "sub-signed-sign-not-last": False,
}

#: Requests whose packet is complete: modifiers, the variables that name the key, bytes of body.
REQUESTS = {
    "req-nginx-post": (0, 0, [(b"HTTP_HOST", b"example.com")], b"hello world"),
    "req-nginx-modifiers": (5, 3, None, b""),
    "req-nginx-bare": (0, 0, [], b""),
    "req-nginx-websocket": (0, 0, None, b""),
    "req-http-router": (0, 0, None, None),
    "ping": (100, 0, [], b""),
    "pong": (100, 1, [], b""),
    "req-empty-value-last": (0, 0, [(b"HTTP_HOST", b"ex.com")], b""),
    "req-no-key-vars": (0, 0, [], b""),
    "req-empty-fastrouter-key": (
        0,
        0,
        [(b"UWSGI_FASTROUTER_KEY", b""), (b"HTTP_HOST", b"ex.com")],
        b"",
    ),
}
KEY_VARIABLES = frozenset({b"UWSGI_FASTROUTER_KEY", b"HTTP_HOST"})

MALFORMED_REQUESTS = {"req-val-overrun", "req-key-overrun"}
#: Header and length are fine, the rest has not come yet; a response is no packet at all.
OTHERS = {"req-short", "resp-http"}


def test_every_line_has_an_outcome() -> None:
    outcomes = [*ACCEPTED, *REFUSED, *SIGNED, *REQUESTS, *MALFORMED_REQUESTS, *OTHERS]
    assert sorted(PACKETS) == sorted(outcomes)


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    assert decode(PACKETS[name]) == ACCEPTED[name]
    assert decode(encode(decode(PACKETS[name]))) == ACCEPTED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_reason(name: str) -> None:
    with pytest.raises(SubscriptionError, match=REFUSED[name]):
        decode(PACKETS[name])


@pytest.mark.parametrize("name", SIGNED)
def test_signed(name: str) -> None:
    subscription = decode(PACKETS[name])
    assert subscription.key == b"example.com"
    assert subscription.command == ("unsubscribe" if name.startswith("unsub") else "subscribe")
    assert subscription.sign is not None
    assert len(subscription.sign) == 256
    if SIGNED[name]:
        assert subscription.signed is not None
        assert _verifies(subscription.sign, subscription.signed)
    else:
        assert subscription.signed is None


def _verifies(signature: bytes, signed: bytes) -> bool:
    """RSASSA-PKCS1-v1_5 with SHA-1: the signature is the padded digest, raised to the private exponent."""
    pem = (VECTORS / "example.com.pem").read_text().splitlines()
    der = base64.b64decode("".join(pem[1:-1]))
    modulus, exponent = int.from_bytes(der[-261:-5], "big"), int.from_bytes(der[-3:], "big")
    plain = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(256, "big")
    return plain.startswith(b"\x00\x01\xff") and plain.endswith(hashlib.sha1(signed).digest())


@pytest.mark.parametrize("name", REQUESTS)
def test_request(name: str) -> None:
    packet = PACKETS[name]
    modifier1, modifier2, key_variables, body = REQUESTS[name]
    assert decode_header(packet)[0] == modifier1
    assert decode_header(packet)[2] == modifier2
    end = HEADER_SIZE + decode_header(packet)[1]
    variables = decode_variables(packet[HEADER_SIZE:end])
    assert encode_packet(variables, modifier1, modifier2) == packet[:end]
    if key_variables is not None:
        assert decode_variables(packet[HEADER_SIZE:end], KEY_VARIABLES) == key_variables
    if body is not None:
        assert packet[end:] == body


def test_nginx_sends_the_forced_key_after_the_host() -> None:
    names = [name for name, _ in decode_variables(PACKETS["req-nginx-modifiers"][HEADER_SIZE:])]
    assert names.index(b"HTTP_HOST") < names.index(b"UWSGI_FASTROUTER_KEY")


def test_pong_is_what_uwsgi_answers() -> None:
    assert PACKETS["pong"] == PONG


@pytest.mark.parametrize("name", sorted(MALFORMED_REQUESTS))
def test_malformed_request(name: str) -> None:
    packet = PACKETS[name]
    assert decode_header(packet)[1] == len(packet) - HEADER_SIZE
    with pytest.raises(PacketError):
        decode_variables(packet[HEADER_SIZE:])


def test_short_request_declares_more_than_it_brings() -> None:
    assert decode_header(PACKETS["req-short"]) == (0, 200, 0)
    assert len(PACKETS["req-short"]) < HEADER_SIZE + 200


def test_a_response_is_http() -> None:
    assert PACKETS["resp-http"].startswith(b"HTTP/1.1 200 OK\r\n")
