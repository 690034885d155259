"""Real clients of https: curl, openssl, h2load, Chromium, a WebSocket, and much data and many half handshakes."""

import base64
import hashlib
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.sync.client import connect

from tests.lab import programs
from tests.lab.commands import HttpRouter
from tests.lab.place import Place, temporary
from tests.lab.processes import free_port, run
from tests.lab.tls import Authority
from tests.peers.app import pattern
from tests.protocol.tls import hellos
from uwsgi_router.router.cli.tls import TlsSocket, tls_client

pytestmark = pytest.mark.peers

NAME, GUARDED = "www.example.com", "guarded.example.com"
MEGABYTE = 1_000_000
_OLD = "ALL:@SECLEVEL=0"


class Site:
    """A router with two names, one of which is for clients with a certificate, before a server."""

    def __init__(self, lab: Place) -> None:
        self.lab = lab
        self.authority = Authority.made(lab.directory / "tls")
        self.port = free_port()
        files, guarded = self.authority.issue(NAME), self.authority.issue(GUARDED)
        self.certificate = files.certificate
        self.client = self.authority.issue("client.example")
        pair = f"{guarded.certificate},{guarded.key}"
        self.router: HttpRouter = lab.http_before(
            lab.server("uvicorn"),
            f"--https=127.0.0.1:{self.port},{files.certificate},{files.key}",
            f"--sni={GUARDED} {pair},,!{self.authority.file}",
            "--http-websockets",
        )

    def url(self, name: str = NAME, path: str = "/?hello") -> str:
        return f"https://{name}:{self.port}{path}"

    def curl(self, *options: str, name: str = NAME, path: str = "/?hello") -> tuple[int, str]:
        """Run curl; return its exit code and what it printed."""
        words = ["curl", "--silent", "--show-error", "--cacert", self.authority.file]
        words += ["--resolve", f"{name}:{self.port}:127.0.0.1"]
        done = run(*words, *options, self.url(name, path))
        return done.returncode, done.stdout

    def openssl(self, *options: str) -> tuple[int, str]:
        """Run ``openssl s_client`` with one request; return its exit code and what it printed."""
        words = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-ign_eof"]
        asked = f"GET /?hello HTTP/1.0\r\nHost: {NAME}\r\n\r\n"
        done = run(*words, "-CAfile", self.authority.file, *options, input=asked)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with temporary() as lab:
        yield Site(lab)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl(site: Site, version: str) -> None:
    only = (f"--tlsv{version}", "--tls-max", version)
    assert site.curl(*only) == (0, "hello\n")
    # Several requests over one connection.
    several = [site.url(path=f"/?{number}") for number in range(5)]
    connects = ("--write-out", "%{num_connects}\n")
    assert site.curl(*only, *connects, *several, path="/?last") == (
        0,
        "0\n1\n1\n0\n2\n0\n3\n0\n4\n0\nlast\n0\n",
    )


def test_curl_and_a_name_that_demands_a_certificate(site: Site) -> None:
    pair = ("--cert", site.client.certificate, "--key", site.client.key)
    for version in ("1.2", "1.3"):
        only = (f"--tlsv{version}", "--tls-max", version)
        code, out = site.curl(*only, name=GUARDED)
        assert code in {35, 56}
        assert out == ""
        assert site.curl(*only, *pair, name=GUARDED) == (0, "hello\n")
        # Over a connection that was made for another name there is no way to it.
        asked = (
            "--header",
            f"Host: {GUARDED}",
            "--write-out",
            "%{http_code}",
            "--output",
            "/dev/null",
        )
        assert site.curl(*only, *asked) == (0, "421")


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_openssl_resumes(site: Site, version: str) -> None:
    file = str(site.lab.directory / version)
    code, out = site.openssl(f"-{version}", "-servername", NAME, "-sess_out", file)
    assert code == 0
    assert "\nNew, " in out
    assert "Verify return code: 0 (ok)" in out
    assert "hello\n" in out
    code, out = site.openssl(f"-{version}", "-servername", NAME, "-sess_in", file)
    assert code == 0
    assert "\nReused, " in out


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_openssl_gets_no_old_version(site: Site, version: str) -> None:
    code, out = site.openssl(f"-{version}", "-cipher", _OLD, "-servername", NAME)
    assert code == 1
    assert "alert protocol version" in out


def test_h2load(site: Site) -> None:
    url = site.url("127.0.0.1")
    done = run(programs.h2load(), "--h1", "-n1000", "-c10", "--npn-list=http/1.1", url)
    assert "1000 succeeded, 0 failed" in done.stdout, done.stdout


def test_chromium(site: Site) -> None:
    certificate = x509.load_pem_x509_certificate(Path(site.certificate).read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    known = base64.b64encode(hashlib.sha256(key).digest()).decode()
    done = run(
        programs.chromium(),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        f"--user-data-dir={site.lab.directory / 'chromium'}",
        f"--ignore-certificate-errors-spki-list={known}",
        f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
        "--dump-dom",
        site.url(),
    )
    assert re.search(r"<body>.*hello\n?.*</body>", done.stdout, re.DOTALL), done.stderr[-2000:]


def test_websocket(site: Site) -> None:
    context = site.authority.client()
    with (
        socket.create_connection(("127.0.0.1", site.port), 10) as sock,
        connect(f"wss://{NAME}/ws", sock=sock, ssl=context, server_hostname=NAME) as client,
    ):
        for message in ("hello", b"x" * 100_000):
            client.send(message)
            assert client.recv(10) == message


def test_half_handshakes_beside_normal_service(site: Site) -> None:
    """500 clients that send half a hello, a quarter of it, or nothing, and stay."""
    hello = hellos.of_openssl(NAME)
    idle = []
    try:
        for number in range(500):
            sock = socket.create_connection(("127.0.0.1", site.port), 10)
            sock.sendall(hello[: len(hello) * (number % 3) // 4])
            idle.append(sock)
        for _ in range(5):
            assert site.curl("--max-time", "5") == (0, "hello\n")
        # They were not ended for that.
        idle[1].sendall(hello[len(hello) // 4 :])
        assert idle[1].recv(5)[:3] == b"\x16\x03\x03"
    finally:
        for sock in idle:
            sock.close()


def test_100_mb_in_both_directions_at_once(lab: Place) -> None:
    authority = Authority.made(lab.directory / "tls")
    files, port = authority.issue(NAME), free_port()
    secure = f"--https=127.0.0.1:{port},{files.certificate},{files.key}"
    router = lab.http_router(secure, subscriptions=True)
    vassal = lab.vassal("duplex", router)
    router.wait_for_nodes(vassal.address)
    size = 100 * MEGABYTE
    upload = b"".join(pattern(size))
    head = (
        f"POST /duplex?size={size} HTTP/1.0\r\nHost: example.com\r\nContent-Length: {size}\r\n\r\n"
    )
    sock = TlsSocket(
        socket.create_connection(("127.0.0.1", port), 30),
        tls_client(NAME, authority.file, trusting=False),
    )
    with ThreadPoolExecutor() as thread:
        sending = thread.submit(sock.sendall, head.encode() + upload)
        answer = bytearray()
        while data := sock.recv(1 << 16):
            answer += data
        sending.result()
    sock.close()
    start, _, body = bytes(answer).partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 200 "), start
    assert hashlib.sha256(body[:size]).digest() == hashlib.sha256(upload).digest()
    assert body[size:].decode() == hashlib.sha256(upload).hexdigest()
    # What is on its way is bounded, both ways.
    assert router.peak_memory() < 100 * MEGABYTE
