"""Members of a shared table that are closed at the end."""

from collections.abc import AsyncIterator, Callable

import pytest

from tests.router.table.feed.shared import Member


@pytest.fixture
async def closing() -> AsyncIterator[Callable[..., None]]:
    """Have members closed at the end of the test."""
    members: list[Member] = []
    yield lambda *more: members.extend(more)
    for member in members:
        member.close()
