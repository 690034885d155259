"""What real programs make of https: curl, OpenSSL's s_client, h2load, Chromium, and 500 clients that never finish."""

import asyncio
import base64
import hashlib
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.clients import Peer
from tests.lab.messages import says
from tests.lab.nodes import Node, in_a_thread
from tests.lab.place import Place, temporary
from tests.lab.processes import free_port, run
from tests.lab.scripts import Script
from tests.lab.tls import NAME, Authority

pytestmark = [pytest.mark.peers, pytest.mark.deadline(120)]

MEGABYTE = 1024 * 1024
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAGE = b"""<!doctype html><title>page</title><p id=seen>nothing</p><script>
const seen = document.getElementById("seen")
fetch("/data").then(answer => answer.text()).then(text => {
  const socket = new WebSocket(`wss://${location.host}/socket`)
  socket.onopen = () => socket.send("hello")
  socket.onmessage = message => {
    seen.textContent = `${text} and ${message.data}`
    fetch("/done")
  }
})
</script><img src=/late>"""


def site() -> Script:
    """A page that is loaded when its WebSocket has answered, and an echo of bodies."""
    done = asyncio.Event()
    return lambda peer: served(peer, done)


async def served(peer: Peer, done: asyncio.Event) -> None:
    while True:
        head = await peer.head()
        if head.get("upgrade"):
            await socket_echo(peer, head.get("sec-websocket-key") or b"")
            return
        length = int(head.get("content-length") or 0)
        if length:
            await echo(peer, length)
            continue
        if head.start.startswith(b"GET /done "):
            done.set()
        elif head.start.startswith(b"GET /late "):
            await done.wait()
        page = PAGE if head.start.startswith(b"GET / ") else b"data"
        await peer.send(says(page, "Content-Type: text/html"))


async def echo(peer: Peer, length: int) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
    while length:
        data = await peer.some()
        length -= len(data)
        await peer.send(data)


async def socket_echo(peer: Peer, key: bytes) -> None:
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    await peer.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )
    first, second = await peer.exactly(2)
    mask = await peer.exactly(4)
    payload = await peer.exactly(second & 0x7F)
    plain = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    await peer.send(bytes((first, len(plain))) + plain)
    # Until the browser has gone.
    await peer.rest()


class Secure:
    """A router with https."""

    def __init__(self, lab: Place, node: Node, *options: str) -> None:
        self.authority = Authority.made(lab.directory / "tls")
        files = self.authority.issue()
        self.port = free_port()
        lab.http_before(
            node,
            f"--https=127.0.0.1:{self.port},{files.certificate},{files.key}",
            "--http-websockets",
            *options,
        )
        self.url = f"https://{NAME}:{self.port}"

    def curl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(
            *(programs.curl(), "--silent", "--show-error", "--max-time", "60"),
            *("--cacert", self.authority.file, "--resolve", f"{NAME}:{self.port}:127.0.0.1"),
            *arguments,
        )

    def s_client(self, *arguments: str, text: str = "") -> str:
        """What s_client prints."""
        done = subprocess.run(
            [
                *(programs.openssl(), "s_client", "-connect", f"127.0.0.1:{self.port}"),
                *("-servername", NAME, "-CAfile", self.authority.file, *arguments),
            ],
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def secure() -> Iterator[Secure]:
    """One for all tests: it has no state that they would see."""
    with temporary() as lab, in_a_thread(script=site()) as node:
        yield Secure(lab, node)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl(version: str, secure: Secure) -> None:
    done = secure.curl(
        *(f"--tlsv{version}", "--tls-max", version, "--write-out", "%{num_connects} "),
        *(f"{secure.url}/a", f"{secure.url}/b"),
    )
    assert done.stdout == "data1 data0 ", done.stderr
    refused = secure.curl("--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0", secure.url)
    assert refused.returncode == 35, refused.stderr


def test_a_hundred_megabytes_both_ways_at_once(secure: Secure, lab: Place) -> None:
    sent, got = lab.directory / "sent", lab.directory / "got"
    block = bytes(range(256)) * 4096
    sent.write_bytes(block * 100)
    done = secure.curl(
        "--data-binary", f"@{sent}", "-H", "Expect:", "--output", str(got), f"{secure.url}/echo"
    )
    assert done.returncode == 0, done.stderr
    assert got.stat().st_size == 100 * MEGABYTE
    assert hashlib.sha256(got.read_bytes()).digest() == hashlib.sha256(block * 100).digest()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_client_resumes(version: str, secure: Secure, lab: Place) -> None:
    session = str(lab.directory / "session")
    request = f"GET /a HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"
    how = (version, "-ign_eof", "-verify_return_error")
    first = secure.s_client(*how, "-sess_out", session, text=request)
    assert "\ndata" in first, first
    assert "Verification: OK" in first
    second = secure.s_client(*how, "-sess_in", session, text=request)
    assert "\nReused, " in second, second
    assert "\ndata" in second


def test_s_client_changes_its_keys_and_asks_for_ours(secure: Secure) -> None:
    request = f"GET /a HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
    with subprocess.Popen(
        [
            *(programs.openssl(), "s_client", "-connect", f"127.0.0.1:{secure.port}"),
            *("-servername", NAME, "-tls1_3"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        seen = b""
        for line in (request, b"K\n", request, b"k\n", request):
            client.stdin.write(line)
            client.stdin.flush()
            wanted = b"KEYUPDATE" if len(line) == 2 else b"\ndata"
            while wanted not in seen:
                more = os.read(client.stdout.fileno(), 65_536)
                assert more, seen
                seen += more
            seen = seen[seen.index(wanted) + len(wanted) :]
        client.kill()


def test_h2load_speaks_http_1(secure: Secure) -> None:
    done = run(
        *(programs.h2load(), "--h1", "-n", "400", "-c", "20"),
        *(f"--connect-to=127.0.0.1:{secure.port}", f"{secure.url}/a"),
    )
    assert "400 total, 400 started, 400 done, 400 succeeded, 0 failed" in done.stdout, done.stdout
    assert "TLSv1.3" in done.stdout


def test_chromium_shows_a_page_with_a_websocket(secure: Secure, lab: Place) -> None:
    done = run(
        *(programs.chromium(), "--headless", "--no-sandbox", "--disable-gpu"),
        *("--disable-dev-shm-usage", f"--user-data-dir={lab.directory}/chromium"),
        *("--ignore-certificate-errors", f"--host-resolver-rules=MAP {NAME} 127.0.0.1"),
        *("--timeout=20000", "--dump-dom", secure.url),
    )
    assert '<p id="seen">data and hello</p>' in done.stdout, done.stdout + done.stderr[-2000:]


def test_five_hundred_unfinished_handshakes_beside_normal_service(
    secure: Secure, lab: Place
) -> None:
    context = secure.authority.client()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=NAME).do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    waiting: list[socket.socket] = []
    try:
        for number in range(500):
            sock = socket.create_connection(("127.0.0.1", secure.port))
            waiting.append(sock)
            # Silent ones, halves of a hello, and those that never answer ours.
            sock.sendall((b"", hello[: len(hello) // 2], hello)[number % 3])
        longest = 0.0
        for _ in range(10):
            began = time.monotonic()
            done = secure.curl(f"{secure.url}/a")
            longest = max(longest, time.monotonic() - began)
            assert done.stdout == "data", done.stderr
    finally:
        for sock in waiting:
            sock.close()
    assert longest < 5


def test_a_replaced_certificate_is_served_within_two_seconds(secure: Secure) -> None:
    before = _serial(secure)
    files = secure.authority.issue()
    replaced = time.monotonic()
    assert Path(files.certificate).exists()
    while (now := _serial(secure)) == before:
        assert time.monotonic() - replaced < 2
    assert now != before


def _serial(secure: Secure) -> str:
    context = secure.authority.client()
    with (
        socket.create_connection(("127.0.0.1", secure.port)) as sock,
        context.wrap_socket(sock, server_hostname=NAME) as tls,
    ):
        certificate = tls.getpeercert()
        assert certificate is not None
        serial = certificate["serialNumber"]
        assert isinstance(serial, str)
        assert re.fullmatch(r"[0-9A-F]+", serial)
        return serial
