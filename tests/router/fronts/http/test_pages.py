"""What a client reads when the router answers itself."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.fronts.http.pages import MAX_PAGE, ErrorPages, redirect


class Read(NamedTuple):
    """An answer as a client understands it."""

    status: int
    phrase: str
    fields: dict[str, str]
    body: bytes
    kept: bool


def read(answer: bytes, method: str = "GET") -> Read:
    """Parse with h11, which must find one whole answer."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "example.com")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answer)
    head = client.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data[0] == b""
    fields = {name.decode(): value.decode() for name, value in head.headers}
    kept = client.their_state is not h11.MUST_CLOSE
    return Read(head.status_code, head.reason.decode(), fields, body, kept)


def test_the_default_page_names_status_and_request_and_nothing_else() -> None:
    answer = read(ErrorPages(()).answer(502, "connect", "ab12cd-7", head_only=False))
    assert (answer.status, answer.phrase) == (502, "Bad Gateway")
    assert answer.body == b"502 Bad Gateway\nrequest ab12cd-7\n"
    assert answer.fields == {
        "content-type": "text/plain; charset=us-ascii",
        "content-length": str(len(answer.body)),
        "cache-control": "no-store",
        "x-uwsgi-router-request": "ab12cd-7",
        "x-uwsgi-router-reason": "connect",
        "connection": "close",
    }
    assert not answer.kept


@pytest.mark.parametrize("status", [s for s in HTTPStatus if s >= 400])
def test_every_error_status_makes_a_whole_answer(status: HTTPStatus) -> None:
    answer = read(ErrorPages(()).answer(status, "x", "y", head_only=False))
    assert (answer.status, answer.phrase) == (status, status.phrase)


def test_a_status_without_a_name_is_answered_too() -> None:
    assert read(ErrorPages(()).answer(599, "x", "y", head_only=False)).status == 599


def test_head_gets_the_same_fields_without_a_body() -> None:
    pages = ErrorPages(())
    whole = pages.answer(404, "unknown-key", "i", head_only=False)
    head = pages.answer(404, "unknown-key", "i", head_only=True)
    assert head == whole[: whole.index(b"\r\n\r\n") + 4]
    assert read(head, "HEAD").fields == read(whole).fields


def test_only_who_may_find_a_node_later_is_told_to_come_again() -> None:
    pages = ErrorPages(())
    answer = read(pages.answer(503, "no-node", "i", head_only=False))
    assert answer.fields["retry-after"] == "1"
    assert "retry-after" not in read(pages.answer(502, "connect", "i", head_only=False)).fields


def test_a_refused_method_is_told_the_others() -> None:
    answer = read(ErrorPages(()).answer(405, "method", "i", head_only=False))
    assert "GET" in answer.fields["allow"].split(", ")
    assert "CONNECT" not in answer.fields["allow"].split(", ")


# --- pages of the operator ---


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("down.html", "text/html; charset=utf-8"),
        ("down.JSON", "application/json"),
        ("down.txt", "text/plain; charset=utf-8"),
    ],
)
def test_a_page_is_sent_as_it_is(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / name
    file.write_text(json.dumps("caído"), encoding="utf-8")
    pages = ErrorPages([(502, str(file))])
    content = file.read_bytes()
    file.unlink()
    answer = read(pages.answer(502, "connect", "i", head_only=False))
    assert answer.body == content
    assert answer.fields["content-type"] == kind
    assert answer.fields["x-uwsgi-router-request"] == "i"
    assert read(pages.answer(502, "connect", "i", head_only=True), "HEAD").body == b""
    assert b"504 Gateway Timeout" in read(pages.answer(504, "x", "i", head_only=False)).body


def test_a_page_may_have_a_mebibyte_and_no_more(tmp_path: Path) -> None:
    file = tmp_path / "big.txt"
    file.write_bytes(b"a" * MAX_PAGE)
    assert len(read(ErrorPages([(500, str(file))]).answer(500, "x", "i", head_only=False)).body)
    file.write_bytes(b"a" * (MAX_PAGE + 1))
    with pytest.raises(ValueError, match=rf"{file} is larger than 1048576 bytes"):
        ErrorPages([(500, str(file))])


def test_a_page_that_cannot_be_used_is_one_clear_sentence(tmp_path: Path) -> None:
    good, latin = tmp_path / "good.txt", tmp_path / "latin.html"
    good.write_text("down")
    latin.write_bytes(b"ca\xeddo")
    missing, image = tmp_path / "missing.html", tmp_path / "cat.png"
    for pages, sentence in [
        ([(502, missing)], f"{missing} cannot be read: No such file or directory"),
        ([(502, image)], r"cat.png: its name must end in .html, .json or .txt"),
        ([(502, latin)], r"latin.html is not UTF-8 \(byte 2\)"),
        ([(302, good)], r"good.txt: 302 is no status from 400 to 599"),
        ([(502, good), (502, good)], r"good.txt: there is a page for 502 already"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            ErrorPages([(status, str(file)) for status, file in pages])


# --- the redirect to https ---


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        (b"example.com", None, "https://example.com/a?b=c"),
        (b"example.com:80", None, "https://example.com/a?b=c"),
        (b"example.com:8080", 443, "https://example.com/a?b=c"),
        (b"example.com:8080", 8443, "https://example.com:8443/a?b=c"),
        (b"example.com:", None, "https://example.com/a?b=c"),
        (b"[2001:db8::1]", None, "https://[2001:db8::1]/a?b=c"),
        (b"[2001:db8::1]:80", 8443, "https://[2001:db8::1]:8443/a?b=c"),
        (b"192.0.2.1:80", None, "https://192.0.2.1/a?b=c"),
    ],
)
def test_the_same_target_at_the_port_of_https(host: bytes, port: int | None, expected: str) -> None:
    answer = read(redirect(b"GET", host, port, b"/a?b=c"))
    assert answer.status == 301
    assert answer.fields == {"location": expected, "content-length": "0", "connection": "close"}


@pytest.mark.parametrize(
    ("method", "status"), [(b"GET", 301), (b"HEAD", 301), (b"POST", 308), (b"OPTIONS", 308)]
)
def test_a_method_with_a_body_is_not_turned_into_get(method: bytes, status: int) -> None:
    assert read(redirect(method, b"example.com", None, b"/")).status == status


def test_a_request_about_the_whole_server_goes_to_its_root() -> None:
    answer = read(redirect(b"OPTIONS", b"example.com", None, b"*"))
    assert answer.fields["location"] == "https://example.com/"


@given(st.binary(max_size=60))
def test_no_target_adds_a_field_or_leaves_the_host(target: bytes) -> None:
    answer = read(redirect(b"GET", b"example.com", None, b"/" + target))
    location = answer.fields["location"]
    assert set(answer.fields) == {"location", "content-length", "connection"}
    assert location.startswith("https://example.com/")
    assert location.isascii()
    assert " " not in location
