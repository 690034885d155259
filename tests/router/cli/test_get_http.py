"""``uwsgi-router get http://…``, against a server that does as it is told."""

import os
import re
import socket
import threading
from pathlib import Path

import pytest

from tests.router.cli.conftest import OK, Serve, fails
from uwsgi_router.router.cli import get, peer
from uwsgi_router.version import __version__


def test_an_answer_goes_to_standard_output_and_nothing_else(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    assert get.main([server.url]) == 0
    assert capfd.readouterr() == ("hello", "")
    assert server.head.decode() == (
        f"GET / HTTP/1.1\r\nHost: {server.address}\r\nUser-Agent: uwsgi-router/{__version__}\r\n"
        "Connection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("url", "path", "target"),
    [
        ("{}/a%20b?x=1", [], "/a%20b?x=1"),
        ("{}?x=1", [], "/?x=1"),
        ("{}/a#part", [], "/a"),
        ("{}", ["a?b"], "/a?b"),
        ("{}/", ["/a"], "/a"),
        ("{}", ["*"], "/*"),
    ],
)
def test_the_path_is_sent_as_it_is(serve: Serve, url: str, path: list[str], target: str) -> None:
    server = serve()
    assert get.main([url.format(server.url), *path]) == 0
    assert server.head.split(b" ")[1].decode() == target


def test_without_a_host_it_is_this_machine(serve: Serve) -> None:
    server = serve()
    port = server.address.split(":")[1]
    assert get.main([f"http://:{port}/"]) == 0
    assert server.fields["Host"] == f"localhost:{port}"


def test_fields_are_added_or_replace_ours(serve: Serve) -> None:
    server = serve()
    arguments = ["-H", "demo.example:8080", "-H", "User-Agent: me", "-H", "X-Id: a: b"]
    assert get.main([server.url, *arguments]) == 0
    assert server.fields == {
        "Connection": "close",
        "Host": "demo.example:8080",
        "User-Agent": "me",
        "X-Id": "a: b",
    }


@pytest.mark.parametrize("where", ["file", "abstract", "[::1]"])
def test_every_kind_of_address_works(serve: Serve, tmp_path: Path, where: str) -> None:
    if where == "file":
        server = serve(OK, socket.AF_UNIX, str(tmp_path / "s"))
    elif where == "abstract":
        server = serve(OK, socket.AF_UNIX, f"\0get-http-test-{os.getpid()}\0".encode())
    else:
        server = serve(OK, socket.AF_INET6, ("::1", 0))
    assert get.main([server.url, "/path"]) == 0
    assert server.head.startswith(b"GET /path HTTP/1.1\r\n")
    assert server.fields["Host"] == (server.address if where == "[::1]" else "localhost")


def test_verbose_tells_the_phases_and_every_head(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    assert get.main(["-v", server.url]) == 0
    out, err = capfd.readouterr()
    assert out == "hello"
    assert re.sub(r" +[\d.]+ ms ", " N ms", err).splitlines() == [
        f"* N ms connected to {server.address}",
        f"* N ms sent {len(server.head)} bytes of head",
        "* N ms first byte of the answer",
        "< HTTP/1.1 103 Early Hints",
        "< Link: </a>",
        "< HTTP/1.1 200 OK",
        "< Content-Length: 5",
        "* N ms complete, 5 bytes of body",
    ]


@pytest.mark.parametrize(("status", "code"), [(302, 0), (404, 1), (503, 1)])
def test_the_exit_status_tells_failure_and_the_body_is_shown_all_the_same(
    serve: Serve, capfd: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    server = serve(b"HTTP/1.1 %d X\r\nConnection: close\r\n\r\nreason" % status)
    assert get.main([server.url]) == code
    assert capfd.readouterr() == ("reason", "")


def test_chunks_are_taken_apart_even_byte_by_byte(
    serve: Serve, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "_CHUNK", 1)
    chunks = b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    server = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert get.main([server.url]) == 0
    assert capfd.readouterr().out == "hello"


def test_an_answer_ends_with_its_length_not_with_the_connection(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    server.hold = threading.Event()
    assert get.main([server.url, "--timeout", "20"]) == 0
    assert capfd.readouterr() == ("hello", "")


def test_an_answer_to_head_has_no_body(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve(OK.removesuffix(b"hello"))
    assert get.main([server.url, "-X", "HEAD"]) == 0
    assert capfd.readouterr() == ("", "")
    assert server.head.startswith(b"HEAD / HTTP/1.1\r\n")


def test_a_file_is_sent_as_body(serve: Serve, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "upload").write_bytes(content)
    server = serve()
    assert get.main([server.url, "--data", str(tmp_path / "upload")]) == 0
    assert server.head.startswith(b"POST / HTTP/1.1\r\n")
    assert server.fields["Content-Length"] == "300000"
    assert server.body == content


def test_a_large_body_that_nobody_reads_does_not_hide_the_answer(
    serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with open(tmp_path / "upload", "wb") as file:
        file.truncate(50_000_000)
    server = serve(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
    server.read_body = False
    assert get.main([server.url, "-X", "PUT", "--data", str(tmp_path / "upload")]) == 1
    assert capfd.readouterr() == ("no!", "")


def test_nobody_there_is_one_clear_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    assert fails(capfd, f"http://{address}/") == (
        f"cannot connect to {address}: connection refused; nothing listens there"
    )


def test_closed_without_an_answer_is_told(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve(b"")
    line = fails(capfd, server.url)
    advice = "see its log, and leave out http:// if it speaks uwsgi"
    assert line == f"{server.address} closed the connection without an answer; {advice}"


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (b"", "no answer from {} for 0.1 s (--timeout)"),
        (OK[:-1], "the answer of {} stopped for 0.1 s (--timeout)"),
    ],
)
def test_silence_ends_after_the_timeout(
    serve: Serve, capfd: pytest.CaptureFixture[str], answer: bytes, line: str
) -> None:
    server = serve(answer)
    server.hold = threading.Event()
    assert fails(capfd, server.url, "--timeout", "0.1") == line.format(server.address)


@pytest.mark.parametrize(
    "answer", [OK[:-2], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"]
)
def test_a_body_that_is_cut_off_or_malformed_is_told(
    serve: Serve, capfd: pytest.CaptureFixture[str], answer: bytes
) -> None:
    server = serve(answer)
    line = fails(capfd, server.url)
    assert line.startswith(f"the answer of {server.address} is malformed or cut off: ")


@pytest.mark.parametrize("answer", [b"pong", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n"])
def test_what_is_not_http_is_shown_as_it_came(
    serve: Serve, capfdbinary: pytest.CaptureFixture[bytes], answer: bytes
) -> None:
    server = serve(answer)
    assert get.main([server.url]) == 1
    out, err = capfdbinary.readouterr()
    assert out == answer
    assert err.decode().endswith(f"is not HTTP ({len(answer)} bytes, shown as is)\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["ftp://127.0.0.1/"], "only http://, https:// and the uwsgi protocol are spoken here"),
        (["http://"], "http:// names no host"),
        (["http://::1/"], "write an IPv6 address in brackets"),
        (["http://me:secret@127.0.0.1/"], "-H 'Authorization: …'"),
        (["http://127.0.0.1/a", "/b"], "has a path, and /b is another one"),
        (["http://127.0.0.1/a b"], "this is no HTTP request: "),
        (["http://127.0.0.1/", "-H", "X-A: b\nc"], "this is no HTTP request: "),
        (["http://127.0.0.1/", "--var", "A=b"], "HTTP has no variables"),
        (["http://127.0.0.1/", "--data", "/no/such/file"], "cannot read /no/such/file: No such"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_status_2(
    capfd: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert reason in fails(capfd, *arguments, status=2)
