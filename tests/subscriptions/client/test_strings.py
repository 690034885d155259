"""uWSGI's strings mean what its manual says; what it swallows is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.key import key_fault
from uwsgi_router.subscriptions.client.announcement import Announcement
from uwsgi_router.subscriptions.client.errors import SubscribeError
from uwsgi_router.subscriptions.client.strings import subscribe2, subscribe_to

ADDRESS = "127.0.0.1:8000"


def told(made: Announcement) -> tuple[str, str, str]:
    return str(made.server), made.key, made.address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:3032:example.com", ("127.0.0.1:3032", "example.com", ADDRESS)),
        ("127.0.0.1:3032:example.com:8080", ("127.0.0.1:3032", "example.com:8080", ADDRESS)),
        ("router.internal:3032:a", ("router.internal:3032", "a", ADDRESS)),
        ("[::1]:3032:a:1", ("[::1]:3032", "a:1", ADDRESS)),
        ("/run/a.sock:example.com", ("/run/a.sock", "example.com", ADDRESS)),
        ("/run/a.sock:example.com:8080", ("/run/a.sock", "example.com:8080", ADDRESS)),
        ("10.0.0.2:8001=127.0.0.1:3032:a", ("127.0.0.1:3032", "a", "10.0.0.2:8001")),
    ],
)
def test_subscribe_to(text: str, expected: tuple[str, str, str]) -> None:
    assert told(subscribe_to(text, address=ADDRESS)) == expected


def test_subscribe_to_with_all_fields() -> None:
    made = subscribe_to(
        "127.0.0.1:3032:a,5,SHA1:/k.pem", address=ADDRESS, weight=3, protocol="http"
    )
    assert (made.modifier1, made.weight, made.proto) == (5, 3, "http")
    assert made.signer is not None
    assert (made.signer.digest, made.signer.key_file) == ("SHA1", "/k.pem")


def test_an_empty_modifier_does_not_lose_the_signature() -> None:
    made = subscribe_to("127.0.0.1:3032:a,,SHA1:/k.pem", address=ADDRESS)
    assert made.modifier1 == 0
    assert made.signer is not None


def test_subscribe_to_with_a_file_of_keys() -> None:
    made = subscribe_to("127.0.0.1:3032:@/etc/keys", address=ADDRESS)
    assert made.key_file == "/etc/keys"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("127.0.0.1:3032", "write SERVER:KEY"),
        ("/run/a.sock", "write SERVER:KEY"),
        ("router:example.com", "write SERVER:KEY"),
        ("127.0.0.1:3032:", "there is no key"),
        ("=0=127.0.0.1:3032:a", "a shared socket of uWSGI's"),
        ("127.0.0.1:3032:a,php", "modifier1 'php' is not a number"),
        ("127.0.0.1:3032:a,0,SHA1", "write DIGEST:KEYFILE"),
        ("127.0.0.1:port:a", "port 'port'"),
    ],
)
def test_what_subscribe_to_cannot_mean(text: str, reason: str) -> None:
    with pytest.raises(SubscribeError) as caught:
        subscribe_to(text, address=ADDRESS)
    assert reason in str(caught.value)


def test_subscribe2_with_everything() -> None:
    made = subscribe2(
        "server=127.0.0.1:3032,key=a\\,b,addr=/run/a.sock,weight=3,modifier1=5,modifier2=1,sign=SHA1:/k,"
        "check=/c,sni_key=/1,sni_crt=/2,sni_ca=/3,proto=http,algo=lrc,backup=1,vassal=v",
        weight=9,
        protocol="uwsgi",
    )
    assert told(made) == ("127.0.0.1:3032", "a,b", "/run/a.sock")
    assert (made.weight, made.modifier1, made.modifier2, made.check_file) == (3, 5, 1, "/c")
    assert (made.sni_key, made.sni_crt, made.sni_ca) == ("/1", "/2", "/3")
    assert (made.proto, made.algo, made.backup, made.vassal) == ("http", "lrc", 1, "v")


def test_subscribe2_takes_the_rest_from_the_command() -> None:
    made = subscribe2("server=127.0.0.1:3032,key=a", address=ADDRESS, weight=9, protocol="http")
    assert (made.address, made.weight, made.proto) == (ADDRESS, 9, "http")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("key=a", "there is no server"),
        ("server=127.0.0.1:3032", "there is no key"),
        ("server=127.0.0.1:3032,key=a,wieght=3", "did you mean weight?"),
        ("server=127.0.0.1:3032,key=a,socket=0", "write addr=HOST:PORT"),
        ("server=127.0.0.1:3032,key=a,inactive=1", "not supported"),
        ("server=127.0.0.1:3032,key=a,weight=-3", "weight '-3' is not a number"),
        ("server=127.0.0.1:3032,key", "'key' is not NAME=VALUE"),
        ("server=router,key=a", "has no port"),
    ],
)
def test_what_subscribe2_cannot_mean(text: str, reason: str) -> None:
    with pytest.raises(SubscribeError) as caught:
        subscribe2(text, address=ADDRESS)
    assert reason in str(caught.value)


@given(st.text(alphabet="ab=,:@/\\[]0129 \n\0é", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (subscribe_to, subscribe2):
        try:
            made = read(text, address=ADDRESS)
        except SubscribeError:
            continue
        assert made.key or made.key_file


@given(st.text(st.characters(codec="utf-8", exclude_characters=","), min_size=1, max_size=60))
def test_any_key_comes_through_subscribe2(key: str) -> None:
    host = "://" not in key and not any(c.isspace() for c in key)
    if host and not key.endswith("\\") and key_fault(key.encode()) is None:
        made = subscribe2(f"server=127.0.0.1:3032,key={key},addr={ADDRESS}")
        assert made.key == key.replace("\\,", ",")
