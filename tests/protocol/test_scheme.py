"""Schemes of node addresses: what they mean, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.address import AddressError
from uwsgi_router.protocol.named_node import NamedNodeError, parse_named_node, parse_node
from uwsgi_router.protocol.scheme import split_scheme


@pytest.mark.parametrize(
    ("written", "plain", "proto"),
    [
        ("http://10.0.0.1:8000", "10.0.0.1:8000", "http"),
        ("HTTP://app.internal:8000/", "app.internal:8000", "http"),
        ("http://app.internal", "app.internal:80", "http"),
        ("http://[fd00::1]", "[fd00::1]:80", "http"),
        ("http://[fd00::1]:8000", "[fd00::1]:8000", "http"),
        ("uwsgi://10.0.0.1:3031", "10.0.0.1:3031", "uwsgi"),
        ("https://app.internal:8443", "app.internal:8443", "https"),
        ("https://app.internal", "app.internal:443", "https"),
        ("suwsgi://10.0.0.1:3031", "10.0.0.1:3031", "suwsgi"),
        ("https+unix:/run/app.sock", "/run/app.sock", "https"),
        ("suwsgi+unix:@app", "@app", "suwsgi"),
        ("unix:/run/a:b.sock", "/run/a:b.sock", None),
        ("unix:///run/app.sock", "/run/app.sock", None),
        ("unix:@app", "@app", None),
        ("http+unix:/run/app.sock", "/run/app.sock", "http"),
        ("http+unix:///run/app.sock", "/run/app.sock", "http"),
        ("uwsgi+unix:@app", "@app", "uwsgi"),
        # These have no scheme.
        ("10.0.0.1:8000", "10.0.0.1:8000", None),
        ("http:8000", "http:8000", None),
        ("unix:8000", "unix:8000", None),
        ("/run/http://x", "/run/http://x", None),
        ("@http://x", "@http://x", None),
        ("app.sock", "app.sock", None),
    ],
)
def test_what_an_address_says(written: str, plain: str, proto: str | None) -> None:
    assert split_scheme(written) == (plain, proto)
    node = parse_node(written)
    assert (node.name, node.proto) == (plain, proto)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("https://", "without a path or a user: https://host:port"),
        ("suwsgi://10.0.0.1", "there is no port: write suwsgi://10.0.0.1:3031"),
        ("suwsgi+unix:80", "write the whole path of the socket: suwsgi+unix:/run/app.sock"),
        ("fastcgi://10.0.0.1:9000", "nodes speak no fastcgi here: write http://, https://,"),
        ("ws://10.0.0.1:80", "nodes speak no ws here"),
        ("http://10.0.0.1:80/app", "without a path or a user"),
        ("http://me@10.0.0.1:80", "without a path or a user"),
        ("http://", "without a path or a user: http://host:port"),
        ("uwsgi://10.0.0.1", "there is no port: write uwsgi://10.0.0.1:3031"),
        ("unix:app.sock", "write the whole path of the socket: unix:/run/app.sock"),
        ("http+unix:80", "write the whole path of the socket: http+unix:/run/app.sock"),
        ("http+unix://%2Frun%2Fapp.sock", "write the whole path of the socket"),
        ("http://10.0.0.1:x", "port 'x' is not a number"),
    ],
)
def test_what_can_be_no_node_is_refused_with_what_to_write(written: str, reason: str) -> None:
    with pytest.raises(AddressError) as refused:
        parse_node(written)
    assert reason in str(refused.value)
    with pytest.raises(NamedNodeError) as named:
        parse_named_node(written)
    assert reason in str(named.value)


def test_a_modifier_may_follow_a_scheme() -> None:
    node = parse_named_node("uwsgi://10.0.0.1:3031,5")
    assert (node.name, node.proto, node.modifier1) == ("10.0.0.1:3031", "uwsgi", 5)


@given(st.text(alphabet="htps+uniwg:/@[]0. \0", max_size=30))
def test_any_text_is_split_or_refused_and_is_plain_then(text: str) -> None:
    try:
        plain, _proto = split_scheme(text)
    except AddressError:
        return
    assert text.rstrip("/").removesuffix(":80").endswith(plain.rstrip("/").removesuffix(":80"))
