"""``uwsgi-router get https://…``, against a router of our own."""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from tests.lab.clients import Peer
from tests.lab.lab import Lab
from tests.lab.messages import Message, says
from tests.lab.nodes import Node
from tests.lab.tls import Authority
from uwsgi_router.router.cli import get

BIG = 3_000_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


async def digest(peer: Peer, request: Message) -> bool:
    """Answers with what it was asked, and what became of the body on its way."""
    host = request.get("host") or b""
    text = b"%b %b %b" % (request.method, host, hashlib.sha256(request.body).hexdigest().encode())
    await peer.send(says(text))
    return True


async def url(lab: Lab, authority: Authority, node: Node | None = None) -> str:
    router = await lab.to(
        node or lab.http_node(digest), secure=(authority.listener(),), body_limit=2 * BIG
    )
    return f"https://{router.secure[0][0]}:{router.secure[0][1]}"


async def run(*args: str) -> int:
    return await asyncio.to_thread(get.main, list(args))


async def test_an_answer_over_tls(
    lab: Lab, authority: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    at = await url(lab, authority)
    assert await run(at, "-H", "localhost", "--cacert", authority.file, "-v") == 0
    out, err = capfd.readouterr()
    assert out.startswith("GET localhost ")
    assert "ms  shook hands: TLSv1.3, TLS_" in err
    # The port belongs to the host, and not to the name.
    assert await run(at, "-H", "localhost:8443", "--cacert", authority.file) == 0
    assert capfd.readouterr().out.startswith("GET localhost:8443 ")


async def test_a_certificate_that_nobody_vouches_for(
    lab: Lab, authority: Authority, capfd: pytest.CaptureFixture[str]
) -> None:
    at = await url(lab, authority)
    assert await run(at, "-H", "localhost") == 1
    text = "--cacert FILE names who is to be believed, -k takes any certificate"
    assert text in capfd.readouterr().err
    assert await run(at, "-k") == 0
    assert await run(at, "--cacert", authority.file, "-H", "other.example") == 1
    assert "no TLS with 127.0.0.1:" in (err := capfd.readouterr().err)
    assert "other.example: its certificate is refused: " in err
    assert err.count("\n") == 1


async def test_bodies_pass_whole_both_ways_at_once(
    lab: Lab, authority: Authority, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    async def echo(peer: Peer, request: Message) -> bool:
        await peer.send(says(request.body))
        return True

    file = lab.tmp_path / "body"
    file.write_bytes(os.urandom(BIG))
    at = await url(lab, authority, lab.http_node(echo))
    assert await run(f"{at}/", "-k", "--data", str(file)) == 0
    assert capfdbinary.readouterr().out == file.read_bytes()


async def test_a_server_that_speaks_no_tls(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    router = await lab.to(lab.http_node())
    assert await run(f"https://{router.address[0]}:{router.address[1]}", "-k") == 1
    assert "for 127.0.0.1: " in capfd.readouterr().err
    silent = lab.listener()
    port = silent.getsockname()[1]
    assert await run(f"https://127.0.0.1:{port}", "-k", "--timeout", "0.1") == 1
    assert "no answer within 0.1 s" in capfd.readouterr().err
    silent.close()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("https://127.0.0.1:1", "--cacert", "/no/such"), "--cacert /no/such: no such file"),
        (("https://127.0.0.1:1", "--cacert", "{}"), "there is no certificate in PEM"),
        (("http://127.0.0.1:1", "-k"), "--cacert and -k are about https://"),
        (("127.0.0.1:1", "--cacert", "{}"), "--cacert and -k are about https://"),
        (("ftp://127.0.0.1:1",), "only http://, https:// and the uwsgi protocol"),
    ],
)
def test_wrong_use(
    tmp_path: Path, args: tuple[str, ...], text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "empty"
    file.write_text("nothing")
    assert get.main([arg.format(file) for arg in args]) == 2
    assert text in capfd.readouterr().err
