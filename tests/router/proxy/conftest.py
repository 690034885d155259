"""A lab for HTTP, with deadlines that are met soon."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.router.proxy.http_lab import Web, open_sockets
from tests.router.proxy.nodes import Log
from uwsgi_router.router.proxy.context import Timing


@pytest.fixture
async def web(tmp_path: Path, log: Log) -> AsyncIterator[Web]:
    """A lab that fails the test if a session, a place at a node or a socket is left at its end."""
    before = len(open_sockets())
    web = Web(tmp_path, log)
    web.timing = Timing(tick=0.02)
    yield web
    await web.close()
    assert len(open_sockets()) <= before
