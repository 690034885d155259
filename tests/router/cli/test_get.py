"""``uwsgi-router get``, against a server that does as it is told."""

import io
import os
import re
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.router.cli.conftest import OK, Serve, fails
from uwsgi_router.router.cli import get, peer


def test_an_answer_goes_to_standard_output_and_nothing_else(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    assert get.main([server.address]) == 0
    assert capfd.readouterr() == ("hello", "")


def test_the_request_is_what_a_web_server_would_send(serve: Serve) -> None:
    server = serve()
    assert get.main([server.address, "/a%20b/%FF?x=%31", "-H", "demo.example:8080"]) == 0
    assert server.variables == {
        b"QUERY_STRING": b"x=%31",
        b"REQUEST_METHOD": b"GET",
        b"CONTENT_TYPE": b"",
        b"CONTENT_LENGTH": b"",
        b"REQUEST_URI": b"/a%20b/%FF?x=%31",
        b"PATH_INFO": b"/a b/\xff",
        b"SERVER_PROTOCOL": b"HTTP/1.1",
        b"REQUEST_SCHEME": b"http",
        b"REMOTE_ADDR": b"127.0.0.1",
        b"REMOTE_PORT": b"0",
        b"SERVER_PORT": server.address.split(":")[1].encode(),
        b"SERVER_NAME": b"localhost",
        b"HTTP_HOST": b"demo.example:8080",
    }


def test_without_a_host_the_address_is_asked_for(serve: Serve) -> None:
    server = serve()
    get.main([server.address])
    assert server.variables[b"HTTP_HOST"].decode() == server.address
    assert server.variables[b"REQUEST_URI"] == b"/"


def test_headers_work_as_with_curl_and_variables_have_the_last_word(serve: Serve) -> None:
    server = serve()
    arguments = ["-H", "Host: demo.example", "-H", "X-Request-Id: a: b", "--var", "SCRIPT_NAME="]
    get.main([server.address, "x", *arguments, "--var", "REQUEST_METHOD=PUT", "--var", "A=b=c"])
    assert server.variables[b"HTTP_HOST"] == b"demo.example"
    assert server.variables[b"HTTP_X_REQUEST_ID"] == b"a: b"
    assert server.variables[b"SCRIPT_NAME"] == b""
    assert server.variables[b"REQUEST_METHOD"] == b"PUT"
    assert server.variables[b"A"] == b"b=c"
    assert server.variables[b"PATH_INFO"] == b"/x"


def test_verbose_tells_the_phases_and_the_head(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    assert get.main(["-v", server.address]) == 0
    out, err = capfd.readouterr()
    assert out == "hello"
    size = 4 + sum(4 + len(name) + len(value) for name, value in server.variables.items())
    assert re.sub(r" +[\d.]+ ms ", " N ms", err).splitlines() == [
        f"* N ms connected to {server.address}",
        f"* N ms sent {size} bytes of variables",
        "* N ms first byte of the answer",
        "< HTTP/1.1 200 OK",
        "< Content-Length: 5",
        "* N ms complete, 5 bytes of body",
    ]


@pytest.mark.parametrize("where", ["file", "abstract", "[::1]"])
def test_every_kind_of_address_works(serve: Serve, tmp_path: Path, where: str) -> None:
    if where == "file":
        server = serve(OK, socket.AF_UNIX, str(tmp_path / "s"))
    elif where == "abstract":
        server = serve(OK, socket.AF_UNIX, f"\0get-test-{os.getpid()}\0".encode())
    else:
        server = serve(OK, socket.AF_INET6, ("::1", 0))
    assert get.main([server.address]) == 0


@pytest.mark.parametrize(("status", "code"), [(204, 0), (302, 0), (404, 1), (502, 1)])
def test_the_exit_status_tells_failure_and_the_body_is_shown_all_the_same(
    serve: Serve, capfd: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    server = serve(b"HTTP/1.0 %d X\r\n\r\nreason" % status)
    assert get.main([server.address]) == code
    assert capfd.readouterr() == ("reason", "")


def test_an_answer_may_come_byte_by_byte(
    serve: Serve, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "_CHUNK", 1)
    assert get.main([serve().address]) == 0
    assert capfd.readouterr() == ("hello", "")


def test_a_cgi_head_and_bare_newlines_are_understood(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(b"Status: 200 OK\nContent-Type: text/plain\n\n\r\n\r\nbody")
    assert get.main([server.address]) == 0
    assert capfd.readouterr().out == "\r\n\r\nbody"


def test_a_file_is_sent_as_body(serve: Serve, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "upload").write_bytes(content)
    server = serve()
    assert get.main([server.address, "--data", str(tmp_path / "upload")]) == 0
    assert server.variables[b"REQUEST_METHOD"] == b"POST"
    assert server.variables[b"CONTENT_LENGTH"] == b"300000"
    assert server.body == content


def test_standard_input_is_sent_as_body(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"piped")
    os.close(writer)
    with open(reader) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        server = serve()
        assert get.main([server.address, "--data", "-"]) == 0
    assert server.body == b"piped"


def test_a_large_body_that_nobody_reads_does_not_hide_the_answer(
    serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with open(tmp_path / "upload", "wb") as file:
        file.truncate(50_000_000)
    server = serve(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
    server.read_body = False
    assert get.main([server.address, "--data", str(tmp_path / "upload")]) == 1
    assert capfd.readouterr() == ("no!", "")


def test_nobody_there_is_one_clear_line(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    assert fails(capfd, address) == (
        f"cannot connect to {address}: connection refused; nothing listens there"
    )
    missing = str(tmp_path / "s")
    assert fails(capfd, missing) == (
        f"cannot connect to {missing}: no such file or directory; nothing listens there"
    )
    assert "cannot connect to no-such-host.invalid:80: " in fails(capfd, "no-such-host.invalid:80")


def test_closed_without_an_answer_points_to_the_routers_log(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(b"")
    assert fails(capfd, server.address) == (
        f"{server.address} closed the connection without an answer: no node for this host, "
        "or none that could be reached; see the router's log"
    )


def test_silence_ends_after_the_timeout(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve(b"")
    server.hold = threading.Event()
    line = fails(capfd, server.address, "--timeout", "0.1")
    assert line == f"no answer from {server.address} for 0.1 s (--timeout)"


def test_an_answer_that_stops_ends_after_the_timeout(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(OK[:-1])
    server.hold = threading.Event()
    line = fails(capfd, server.address, "--timeout", "0.1")
    assert line == f"the answer of {server.address} stopped for 0.1 s (--timeout)"


def test_a_body_that_is_cut_off_is_told(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve(OK[:-2])
    line = fails(capfd, server.address)
    assert line == f"the answer of {server.address} ended 2 bytes before its Content-Length"


@pytest.mark.parametrize("how", [["-X", "HEAD"], ["--var", "REQUEST_METHOD=HEAD"]])
def test_an_answer_to_head_needs_no_body(
    serve: Serve, capfd: pytest.CaptureFixture[str], how: list[str]
) -> None:
    server = serve(OK[:-5])
    assert get.main([server.address, *how]) == 0
    assert capfd.readouterr() == ("", "")


def test_a_reset_is_told(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve(b"")
    server.reset = True
    line = fails(capfd, server.address)
    assert (
        line == f"{server.address} broke the connection before the answer: connection reset by peer"
    )


@pytest.mark.parametrize("answer", [b"pong", b"\x64\0\0\1", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK"])
def test_what_is_not_http_is_shown_as_it_came(
    serve: Serve, capfdbinary: pytest.CaptureFixture[bytes], answer: bytes
) -> None:
    server = serve(answer)
    assert get.main([server.address]) == 1
    out, err = capfdbinary.readouterr()
    assert out == answer
    assert err.decode().endswith(f"is not HTTP ({len(answer)} bytes, shown as is)\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            ["localhost:8080/a?b=c"],
            "write the path behind a blank, localhost:8080 /a?b=c; or http://localhost:8080/a",
        ),
        (["8080"], "8080: for a port write :8080"),
        (["::1:80"], "write an IPv6 address in brackets"),
        ([":0"], "port 0 means nothing here"),
        ([":1", "--var", "novalue"], "--var novalue: expected NAME=VALUE"),
        ([":1", "--data", "/no/such/file"], "cannot read /no/such/file: No such file"),
        ([":1", "/" + "x" * 70_000], "is longer than 65535 bytes"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_status_2(
    capfd: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert reason in fails(capfd, *arguments, status=2)


@pytest.mark.parametrize("arguments", [[], [":1", "--timeout", "0"], [":1", "--timeout", "x"]])
def test_wrong_use_shows_the_usage(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        get.main(arguments)
    assert stopped.value.code == 2
    assert "usage: uwsgi-router get" in capfd.readouterr().err


def test_400_may_be_what_a_server_that_speaks_http_says(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    line = fails(capfd, server.address, "/a")
    assert line == f"this was asked over uwsgi; over HTTP it is http://{server.address} /a"


def test_a_reader_that_has_seen_enough_is_no_traceback(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with io.TextIOWrapper(io.FileIO(writer, "wb"), write_through=True) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert get.main([serve().address]) == 1
