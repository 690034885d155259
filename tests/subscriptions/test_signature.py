"""Signed announces: what is accepted, and why anything else is not."""

import builtins
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from tests.subscriptions.signing import (
    KEY,
    NODE,
    NOW,
    PrivateKey,
    ec_key,
    flipped,
    publish,
    read,
    rsa_key,
    signed,
)
from uwsgi_router.protocol.subscription import Subscription, SubscriptionError, encode
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.sender import Sender
from uwsgi_router.subscriptions.signature import (
    DIGESTS,
    SignatureError,
    Signatures,
    SignCheck,
    digest_name,
    key_file_name,
)

SENDER = Sender("10.0.0.1", "10.0.0.1")


@pytest.fixture
def signatures(tmp_path: Path) -> Signatures:
    publish(tmp_path, rsa_key())
    return Signatures(SignCheck("SHA256", str(tmp_path)))


def check(
    signatures: Signatures, datagram: bytes, wall: float = NOW, sender: Sender = SENDER
) -> None:
    signatures.verify(read(datagram), sender, wall)


def cause(
    signatures: Signatures, datagram: bytes, wall: float = NOW, sender: Sender = SENDER
) -> str:
    with pytest.raises(Refused) as refused:
        check(signatures, datagram, wall, sender)
    assert str(refused.value) == refused.value.reason
    return refused.value.cause


@pytest.mark.parametrize("make", [rsa_key, ec_key])
@pytest.mark.parametrize("name", list(DIGESTS))
def test_rsa_and_ec_keys_with_every_digest(
    name: str, make: Callable[[], PrivateKey], tmp_path: Path
) -> None:
    publish(tmp_path, make())
    digest = getattr(hashes, DIGESTS[name])()
    checking = Signatures(SignCheck(name, str(tmp_path)))
    check(checking, signed(make(), digest=digest))
    other = hashes.SHA256() if name != "SHA256" else hashes.SHA1()
    assert cause(checking, signed(make(), NOW + 1, digest=other)) == "signature"


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_other_curves(curve: ec.EllipticCurve, tmp_path: Path) -> None:
    pair = ec.generate_private_key(curve)
    publish(tmp_path, pair)
    check(Signatures(SignCheck("SHA256", str(tmp_path))), signed(pair))


def test_another_key_does_not_do(signatures: Signatures) -> None:
    assert cause(signatures, signed(rsa_key(1))) == "signature"
    assert cause(signatures, signed(ec_key())) == "signature"


@given(place=st.integers(min_value=4), bit=st.integers(0, 7))
def test_whatever_bit_is_changed_it_is_refused(
    place: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Either it can't be read any more, or it does not verify."""
    directory = _directory(tmp_path_factory)
    changed = bytearray(signed(rsa_key()))
    changed[4 + place % (len(changed) - 4)] ^= 1 << bit
    with pytest.raises(ValueError):  # noqa: PT011
        check(Signatures(SignCheck("SHA256", str(directory))), bytes(changed))


_made: list[Path] = []


def _directory(factory: pytest.TempPathFactory) -> Path:
    if not _made:
        _made.append(factory.mktemp("keys"))
        publish(_made[0], rsa_key())
    return _made[0]


def test_unsigned(signatures: Signatures) -> None:
    plain = Subscription("subscribe", KEY, NODE)
    assert cause(signatures, encode(plain)) == "unsigned"
    # As a client sends it whose private key file is missing.
    dated = Subscription("subscribe", KEY, NODE, unix=NOW)
    assert cause(signatures, encode(dated)) == "unsigned"
    undated = Subscription("subscribe", KEY, NODE, sign=b"x" * 256)
    assert cause(signatures, encode(undated)) == "unsigned"


def test_time_is_checked_for_known_nodes_too(signatures: Signatures) -> None:
    check(signatures, signed(rsa_key(), NOW))
    late = NOW + 90_000
    assert cause(signatures, signed(rsa_key(), NOW + 1), wall=late) == "time"
    check(signatures, signed(rsa_key(), late), wall=late)


def test_the_tolerance(tmp_path: Path) -> None:
    publish(tmp_path, rsa_key())
    strict = Signatures(SignCheck("SHA256", str(tmp_path)), 60)
    check(strict, signed(rsa_key(), NOW - 60))
    assert cause(strict, signed(rsa_key(), NOW - 61, address="10.0.0.1:1")) == "time"


def test_the_far_future_is_refused(signatures: Signatures) -> None:
    """In uWSGI it is not, and such a packet works for ever."""
    assert cause(signatures, signed(rsa_key(), NOW + 301)) == "time"
    check(signatures, signed(rsa_key(), NOW + 300))


def test_a_recorded_packet_does_nothing(signatures: Signatures) -> None:
    first, second = signed(rsa_key(), NOW), signed(rsa_key(), NOW + 10)
    check(signatures, first)
    check(signatures, second, NOW + 10)
    for recorded in (first, second, flipped(first), flipped(second)):
        assert cause(signatures, recorded, NOW + 10) == "replay"


def test_a_refused_packet_uses_no_time(signatures: Signatures) -> None:
    """Or anybody could keep a node out with packets that are not even signed by it."""
    assert cause(signatures, signed(rsa_key(1), NOW + 100)) == "signature"
    check(signatures, signed(rsa_key(), NOW))


def test_what_is_forgotten_is_too_old_anyway(signatures: Signatures) -> None:
    recorded = signed(rsa_key(), NOW)
    check(signatures, recorded)
    signatures.forget_old(NOW + 86_400)
    assert "remembered=1" in repr(signatures)
    assert cause(signatures, recorded, NOW + 86_400) == "replay"
    signatures.forget_old(NOW + 86_401)
    assert "remembered=0" in repr(signatures)
    assert cause(signatures, recorded, NOW + 86_401) == "time"


def test_the_public_key_is_read_again_when_it_changes(
    signatures: Signatures, tmp_path: Path
) -> None:
    check(signatures, signed(rsa_key(), NOW))
    path = publish(tmp_path, rsa_key(1))
    assert cause(signatures, signed(rsa_key(), NOW + 1)) == "signature"
    check(signatures, signed(rsa_key(1), NOW + 1))
    path.unlink()
    assert cause(signatures, signed(rsa_key(1), NOW + 2)) == "key-file"
    publish(tmp_path, rsa_key())
    check(signatures, signed(rsa_key(), NOW + 2))


def test_it_is_not_read_again_while_it_does_not(
    signatures: Signatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(signatures, signed(rsa_key(), NOW))
    monkeypatch.setattr(os, "open", None)
    check(signatures, signed(rsa_key(), NOW + 1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"nothing", "is not a public key in PEM form"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "is not a public key"),
        (b"\0" * 100_000, "is not a public key"),
    ],
)
def test_a_key_file_that_can_not_be_used(
    content: bytes, reason: str, signatures: Signatures, tmp_path: Path
) -> None:
    (tmp_path / "example.com.pem").write_bytes(content)
    with pytest.raises(Refused, match=reason) as refused:
        check(signatures, signed(rsa_key()))
    assert refused.value.cause == "key-file"


def test_no_file_no_waiting(signatures: Signatures, tmp_path: Path) -> None:
    path = tmp_path / "example.com.pem"
    path.unlink()
    with pytest.raises(Refused, match=r"no public key: .*example.com.pem: No such file"):
        check(signatures, signed(rsa_key()))
    os.mkfifo(path)
    with pytest.raises(Refused, match="it is not a file"):
        check(signatures, signed(rsa_key()))
    path.unlink()
    publish(tmp_path, ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(Refused, match="neither an RSA nor an EC key"):
        check(signatures, signed(rsa_key()))


def test_key_files_are_named_as_uwsgi_names_them(tmp_path: Path) -> None:
    assert key_file_name(b"example.com:8000") == "example.com_8000.pem"
    assert key_file_name(b"../\xff a-b_c") == "..___a-b_c.pem"
    publish(tmp_path, ec_key(), b"example.com:8000")
    checking = Signatures(SignCheck("SHA1", str(tmp_path)))
    check(checking, signed(ec_key(), digest=hashes.SHA1(), key=b"example.com:8000"))


def test_a_key_that_is_too_long_for_a_file_has_none(signatures: Signatures) -> None:
    assert cause(signatures, signed(rsa_key(), key=b"k" * 255)) == "key-file"


def test_nobody_lends_a_host_to_a_signature_that_names_none(signatures: Signatures) -> None:
    """``:3031`` is where it came from; a recorded one could come from anywhere."""
    datagram = signed(rsa_key(), address=":3031")
    assert cause(signatures, datagram) == "signature"
    check(signatures, datagram, sender=Sender("127.0.0.1", "127.0.0.1"))
    check(signatures, signed(rsa_key(), NOW + 1, address=":3031"), sender=Sender("unix"))


@pytest.mark.parametrize(
    ("text", "name"),
    [("sha256", "SHA256"), ("SHA-256", "SHA256"), ("RSA-SHA1", "SHA1"), ("sha3-256", "SHA3-256")],
)
def test_names_of_digests(text: str, name: str) -> None:
    assert digest_name(text) == name


@pytest.mark.parametrize("text", ["", "SHA", "ROT13"])
def test_other_names(text: str) -> None:
    with pytest.raises(ValueError, match="expected a digest"):
        digest_name(text)


def test_a_directory_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="is no directory that we may look into"):
        Signatures(SignCheck("SHA1", str(tmp_path / "keys")))


def test_without_cryptography_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SignatureError, match="the package cryptography is not installed"):
        Signatures(SignCheck("SHA1", str(tmp_path)))


# --- the command, which the header says ---


def test_a_fresh_announce_that_does_not_say_its_command_can_be_turned(
    signatures: Signatures,
) -> None:
    """As with uWSGI: whoever holds it back on its way makes an unsubscribe of it."""
    check(signatures, flipped(signed(rsa_key())))


def test_one_that_says_it_can_not(signatures: Signatures) -> None:
    datagram = signed(rsa_key(), says_command=True)
    with pytest.raises(SubscriptionError, match="changed on its way"):
        read(flipped(datagram))
    without = encode(replace(read(datagram), says_command=False))
    assert cause(signatures, flipped(without)) == "signature"
    check(signatures, datagram)


def test_it_can_be_demanded(tmp_path: Path) -> None:
    publish(tmp_path, rsa_key())
    strict = Signatures(SignCheck("SHA256", str(tmp_path)), signs_command=True)
    for command in ("subscribe", "unsubscribe"):
        assert cause(strict, signed(rsa_key(), command=command)) == "unsigned"
    check(strict, signed(rsa_key(), says_command=True))
