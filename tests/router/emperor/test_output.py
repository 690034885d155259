"""Output of vassals: pipes of former processes, whose writers may live on."""

import os
from collections.abc import Iterator

import pytest

from uwsgi_router.router.emperor.output import MOST_FORMER, VassalOutput
from uwsgi_router.router.supervision.loop import SelectorLoop


@pytest.fixture
def loop() -> Iterator[SelectorLoop]:
    loop = SelectorLoop()
    yield loop
    loop.close()


def test_processes_that_outlive_their_vassals_do_not_take_all_descriptors(
    loop: SelectorLoop,
) -> None:
    shown: list[bytes] = []
    output = VassalOutput(loop, "shop.ini", shown.append)
    writers = [output.open() for _ in range(3 * MOST_FORMER)]
    assert len(output.descriptors()) == MOST_FORMER + 1
    with pytest.raises(BrokenPipeError):
        os.write(writers[0], b"nobody reads this\n")
    for writer in writers[-2:]:
        os.write(writer, b"somebody reads this\n")
    loop.step(1.0)
    assert b"".join(shown) == b"shop.ini | somebody reads this\n" * 2
    for writer in writers:
        os.close(writer)
    while output.descriptors():
        loop.step(1.0)
