"""Announcements take uwsgiconf's parameters, and become the datagrams of uWSGI's clients."""

from pathlib import Path

import pytest
from uwsgiconf.options.routing_modifiers import ModifierWsgi
from uwsgiconf.options.subscriptions_algos import LeastReferenceCount

from uwsgi_router.protocol.subscription import decode
from uwsgi_router.subscriptions.client.announcement import announcement
from uwsgi_router.subscriptions.client.errors import SubscribeError

SERVER = "127.0.0.1:3032"
ADDRESS = "127.0.0.1:8000"


def test_all_parameters_of_uwsgiconf() -> None:
    made = announcement(
        SERVER,
        key="example.com",
        address=ADDRESS,
        address_vassal="alice.ini",
        balancing_weight=3,
        balancing_algo=LeastReferenceCount(backup_level=2),
        modifier=(5, 1),
        protocol="http",
        sni_cert="/etc/crt",
        sni_key="/etc/key",
        sni_client_ca="/etc/ca",
    )
    s = decode(made.datagram("subscribe", "example.com", made.modifier1, b"/n"))
    assert (s.command, s.key, s.address, s.vassal) == (
        "subscribe",
        b"example.com",
        ADDRESS,
        b"alice.ini",
    )
    assert (s.weight, s.algo, s.backup, s.modifier1, s.modifier2) == (3, "lrc", 2, 5, 1)
    assert (s.proto, s.sni_crt, s.sni_key, s.sni_ca) == (
        "http",
        b"/etc/crt",
        b"/etc/key",
        b"/etc/ca",
    )
    assert (s.notify, s.report, s.unix, s.sign) == (b"/n", True, None, None)


def test_a_modifier_of_uwsgiconf() -> None:
    made = announcement(SERVER, key="k", address=ADDRESS, modifier=ModifierWsgi(0))
    assert (made.modifier1, made.modifier2) == (0, 0)


def test_what_is_signed_is_all_before_the_signature(keys: Path) -> None:
    made = announcement(SERVER, key="k", address=ADDRESS, signing=("SHA256", str(keys / "rsa.pem")))
    s = decode(made.datagram("unsubscribe", "k", 0, unix=1_700_000_000))
    assert s.unix == 1_700_000_000
    assert s.sign is not None
    assert len(s.sign) == 256
    assert s.signed is not None
    assert s.signed.endswith(b"command\x0b\x00unsubscribe\x04\x00unix\x0a\x001700000000")
    bare = announcement(SERVER, key="k", address=ADDRESS)
    assert not decode(bare.datagram("unsubscribe", "k", 0)).says_command


def test_a_check_file_says_whether_anything_is_announced(tmp_path: Path) -> None:
    file = tmp_path / "in-service"
    made = announcement(SERVER, key="k", address=ADDRESS, check_file=str(file))
    assert made.wanted() == []
    file.touch()
    assert made.wanted() == [("k", 0)]


def test_a_file_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    made = announcement(SERVER, key_file=str(file), address=ADDRESS)
    file.write_text("# ours\nexample.com\n\nphp.example,14\r\nlast.example:8080")
    assert made.wanted() == [("example.com", 0), ("php.example", 14), ("last.example:8080", 0)]
    file.write_text("example.com,php\n")
    with pytest.raises(SubscribeError, match="'php' is not a number"):
        made.wanted()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"server": None}, "there is no server"),
        ({"key": None}, "there is no key"),
        ({"key": "https://example.com"}, "is no host"),
        ({"key": "a.example b.example"}, "is no host"),
        ({"address": None}, "there is no address"),
        ({"address": 0}, "a socket of uWSGI's"),
        ({"key": "x" * 256}, "the key has 256 bytes, not 1 to 255"),
        ({"balancing_weight": 0}, "weight 0 is not from 1"),
        ({"balancing_algo": "random"}, "no algorithm 'random'"),
        ({"modifier": 256}, "modifier1 256 is not from 0 to 255"),
        ({"protocol": "gopher"}, "nodes speak uwsgi, http, fastcgi, scgi, https, suwsgi"),
        ({"signing": "SHA256"}, "write DIGEST:KEYFILE"),
        ({"signing": ("SHA256",)}, "signing takes two things"),
        ({"signing": "SHA3000:/k"}, "'SHA3000' is no digest"),
        ({"sni_cert": "x" * 4096}, "receivers read 4096"),
    ],
)
def test_mistakes_are_told(changed: dict[str, object], reason: str) -> None:
    good: dict[str, object] = {"server": SERVER, "key": "k", "address": ADDRESS}
    with pytest.raises(SubscribeError) as caught:
        announcement(**{**good, **changed})  # type: ignore[arg-type]
    assert reason in str(caught.value)
