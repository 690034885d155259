"""Request lines and targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.http.errors import HttpError
from uwsgi_router.protocol.http.target import normalise_path, parse_request_line


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *((b"/", b"/"), (b"/a//b", b"/a//b"), (b"//a", b"//a"), (b"/a/", b"/a/"), (b"*", b"*")),
        *(
            (b"/a/./b", b"/a/b"),
            (b"/a/../b", b"/b"),
            (b"/../x", b"/x"),
            (b"/..", b"/"),
            (b"/.", b"/"),
        ),
        *(
            (b"/a/b/..", b"/a/"),
            (b"/a/.", b"/a/"),
            (b"/a/..", b"/"),
            (b"/../..", b"/"),
            (b"/./.", b"/"),
        ),
        *(
            (b"/...", b"/..."),
            (b"/.foo", b"/.foo"),
            (b"/..foo/a.", b"/..foo/a."),
            (b"/a./b..", b"/a./b.."),
        ),
        *((b"/a//../b", b"/a/b"), (b"//../x", b"/x")),
        *(
            (b"/%41%7e%C3%a9", b"/A~\xc3\xa9"),
            (b"/a+b", b"/a+b"),
            (b"/a%23b%3F", b"/a#b?"),
            (b"/%2541", b"/%41"),
        ),
        *((b"/a/%2e%2e/b", b"/b"), (b"/.%2e/x", b"/x"), (b"/%2e./etc", b"/etc"), (b"/%2e", b"/")),
        *(
            (b"/a/..%2fb", b"/b"),
            (b"/a%2f..%2f..%2fb", b"/b"),
            (b"/a%2Fb", b"/a/b"),
            (b"/..%5cx", b"/..\\x"),
        ),
        *((b"/%252e%252e/b", b"/%2e%2e/b"), (b"/\xff", b"/\xff")),
    ],
)
def test_paths_are_decoded_and_normalised(path: bytes, expected: bytes) -> None:
    assert normalise_path(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        b"/%",
        b"/%4",
        b"/%zz",
        b"/%1G",
        b"/%%41",
        b"/a%00b",
        b"/%0a",
        b"/%0D",
        b"/%7f",
        b"/% 1",
        b"/%+1",
    ],
)
def test_broken_and_dangerous_triplets_are_refused(path: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        normalise_path(path)
    assert (caught.value.status, caught.value.reason) == (400, "bad-target")


PIECES = st.sampled_from([b"/", b".", b"..", b"%2e", b"%2F", b"a", b"%41", b"\xff", b"+"])


@given(st.lists(PIECES).map(b"".join))
def test_no_path_leaves_the_root(rest: bytes) -> None:
    path = normalise_path(b"/" + rest)
    assert path.startswith(b"/")
    assert not {b".", b".."} & set(path.split(b"/"))
    assert normalise_path(path) == path


def read(target: bytes, method: bytes = b"GET", *, rtsp: bool = False) -> tuple[bytes, ...]:
    version = b"RTSP/1.0" if rtsp else b"HTTP/1.1"
    _, sent, path, query, authority, _, _ = parse_request_line(
        method + b" " + target + b" " + version, rtsp
    )
    return sent, path, query, authority


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", (b"/", b"/", b"", b"")),
        (b"/a%20b?x=%zz?y", (b"/a%20b?x=%zz?y", b"/a b", b"x=%zz?y", b"")),
        (b"/?", (b"/?", b"/", b"", b"")),
        (b"//a/b", (b"//a/b", b"//a/b", b"", b"")),
        (b"/http://a", (b"/http://a", b"/http://a", b"", b"")),
        (b"http://a", (b"/", b"/", b"", b"a")),
        (b"HTTPS://a.B:8/c/../d?e", (b"/c/../d?e", b"/d", b"e", b"a.B:8")),
        (b"http://a?b/c", (b"/?b/c", b"/", b"b/c", b"a")),
        (b"http://[::1]//x", (b"//x", b"//x", b"", b"[::1]")),
    ],
)
def test_forms(target: bytes, expected: tuple[bytes, ...]) -> None:
    assert read(target) == expected


@pytest.mark.parametrize(
    "target",
    [
        *(
            b"*",
            b"foo",
            b"",
            b"?x",
            b"../x",
            b"host:443",
            b"http:/a/",
            b"http:a",
            b"ftp://a/",
            b"rtsp://a/",
        ),
        *(
            b"http://",
            b"http:///x",
            b"http://u@h/",
            b"http://u:p@h/",
            b"http://a b/",
            b"http://a\\b/",
            b"http://:80/",
        ),
        *(b"/a#b", b"/?a#b", b"http://a/#b", b"http://a#b", b"/a\tb", b"*x", b"/%"),
    ],
)
def test_what_is_no_target(target: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        read(target)
    assert caught.value.status == 400


def test_an_asterisk_is_for_options() -> None:
    assert read(b"*", b"OPTIONS") == (b"*", b"*", b"", b"")
    with pytest.raises(HttpError):
        read(b"*?x", b"OPTIONS")


def test_urls_of_rtsp() -> None:
    assert read(b"rtsp://cam:554", b"DESCRIBE", rtsp=True) == (b"/", b"/", b"", b"cam:554")
    assert read(b"/x", b"DESCRIBE", rtsp=True) == (b"/x", b"/x", b"", b"")


@pytest.mark.parametrize(
    ("version", "protocol", "minor"),
    [
        (b"HTTP/1.0", b"HTTP/1.0", 0),
        (b"HTTP/1.1", b"HTTP/1.1", 1),
        (b"HTTP/1.2", b"HTTP/1.1", 1),
        (b"HTTP/1.9", b"HTTP/1.1", 1),
    ],
)
def test_versions(version: bytes, protocol: bytes, minor: int) -> None:
    assert parse_request_line(b"GET / " + version, rtsp=False)[-2:] == (minor, protocol)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        *(
            (b"GET / HTTP/2.0", 505),
            (b"PRI * HTTP/2.0", 505),
            (b"GET / HTTP/0.9", 505),
            (b"GET / HTTP/3.0", 505),
        ),
        *(
            (b"GET / http/1.1", 400),
            (b"GET / HTTP/1.1x", 400),
            (b"GET / HTTP/1.10", 400),
            (b"GET / HTTP/1", 400),
        ),
        *(
            (b"GET / RTSP/1.0", 400),
            (b"GET /", 400),
            (b"GET", 400),
            (b"", 400),
            (b"GET / a HTTP/1.1", 400),
        ),
        *(
            (b"GET  / HTTP/1.1", 400),
            (b"G(T / HTTP/1.1", 400),
            (b" / HTTP/1.1", 400),
            (b"GET\t/ HTTP/1.1 ", 400),
        ),
        *(
            (b"CONNECT a:443 HTTP/1.1", 405),
            (b"CONNECT / HTTP/1.1", 405),
            (b"CONNECT a:443 HTTP/2.0", 505),
        ),
    ],
)
def test_refused_request_lines(line: bytes, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        parse_request_line(line, rtsp=False)
    assert caught.value.status == status
