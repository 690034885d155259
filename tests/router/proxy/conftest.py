"""A lab for HTTP, with deadlines that are met soon."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.router.proxy.http_lab import Web, open_sockets
from tests.router.proxy.nodes import Log


@pytest.fixture
async def web(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    """A lab that fails the test if a session, a place at a node or a socket is left at its end."""
    for module in ("net.deadlines", "proxy.upstream_pool"):
        monkeypatch.setattr(f"uwsgi_router.router.{module}.TICK", 0.02)
    before = len(open_sockets())
    web = Web(tmp_path, log)
    yield web
    await web.close()
    assert len(open_sockets()) <= before
