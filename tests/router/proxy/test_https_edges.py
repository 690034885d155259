"""What https adds to requests: HSTS, challenges of ACME."""

from typing import Any

import pytest

from tests.lab.inside import only_node
from tests.lab.lab import Lab
from tests.lab.messages import ask
from tests.lab.nodes import Node
from tests.lab.router import Router
from tests.lab.scripts import always
from tests.lab.tls import Authority

STRICT = "strict-transport-security"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


async def both(lab: Lab, authority: Authority, *nodes: Node, **options: Any) -> Router:
    """A router for clients with TLS and without."""
    listen = ("127.0.0.1:0",)
    return await lab.to(*nodes, listen=listen, secure=(authority.listener(),), **options)


@pytest.mark.parametrize("seconds", [None, 0, 31_536_000])
async def test_browsers_are_told_to_come_over_tls_only_over_tls(
    lab: Lab, authority: Authority, seconds: int | None
) -> None:
    router = await both(lab, authority, lab.http_node(), hsts=seconds)
    client = await lab.tls_open(router, authority.client())
    expected = None if seconds is None else b"max-age=%d" % seconds
    for data in (ask(), ask(), b"no request\r\n\r\n"):
        await client.send(data)
        answer = await client.answer()
        assert answer.get(STRICT) == expected
    assert (await lab.get(router)).get(STRICT) is None


async def test_a_node_has_the_say_of_what_browsers_are_told(lab: Lab, authority: Authority) -> None:
    own = b"HTTP/1.1 200 OK\r\nstrict-Transport-Security: max-age=5\r\nContent-Length: 0\r\n\r\n"
    router = await both(lab, authority, lab.http_node(always(own)), hsts=7)
    client = await lab.tls_open(router, authority.client())
    await client.send(ask())
    assert (await client.answer()).values(STRICT) == [b"max-age=5"]


async def test_challenges_are_answered_over_tls(lab: Lab, authority: Authority) -> None:
    folder = lab.tmp_path / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_bytes(b"token.hash")
    node = lab.http_node()
    router = await both(lab, authority, node, hsts=7, acme_webroot=str(lab.tmp_path))
    client = await lab.tls_open(router, authority.client())
    await client.send(ask("/.well-known/acme-challenge/token"))
    answer = await client.answer()
    assert (answer.body, answer.closes) == (b"token.hash", True)
    assert answer.get(STRICT) == b"max-age=7"
    assert await client.rest() == b""
    assert only_node(router).requests == 0
