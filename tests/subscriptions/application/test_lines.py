"""Output of copies: whole lines with names, wherever they were cut; the last ones are kept."""

import fcntl
import os
from collections.abc import Iterator

import pytest

from uwsgi_router.subscriptions.application.lines import KEPT, NamedLines, kept_lines


class Pipe:
    def __init__(self) -> None:
        descriptor, self.end = os.pipe()
        os.set_blocking(descriptor, False)
        self.kept = kept_lines()
        self.shown = b""
        self.lines = NamedLines(descriptor, "app.1", self._show, self.kept)

    def _show(self, data: bytes) -> None:
        self.shown += data

    def says(self, data: bytes) -> bool:
        os.write(self.end, data)
        return self.lines.read()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.lines.close()


def test_lines_are_shown_whole_and_with_the_name(pipe: Pipe) -> None:
    assert pipe.says(b"one\ntw")
    assert pipe.shown == b"app.1 | one\n"
    assert pipe.says(b"o\r\n\nthree")
    assert pipe.shown == b"app.1 | one\napp.1 | two\napp.1 | \n"
    assert list(pipe.kept) == ["one", "two"]
    os.close(pipe.end)
    assert not pipe.lines.read()
    assert pipe.shown.endswith(b"app.1 | three\n")


def test_nothing_there_is_no_end(pipe: Pipe) -> None:
    assert pipe.lines.read()
    os.close(pipe.end)


def test_an_endless_line_is_shown_in_pieces(pipe: Pipe) -> None:
    for _ in range(10):
        pipe.says(b"x" * 8000)
    assert pipe.shown.count(b"\n") >= 3
    os.close(pipe.end)


def test_what_would_act_on_a_terminal_does_not(pipe: Pipe) -> None:
    pipe.says(b"\x1b[31mred\x1b[0m \x07\x00bell\n")
    assert pipe.shown == b"app.1 | \x1b[31mred\x1b[0m ??bell\n"
    os.close(pipe.end)


def test_only_the_last_lines_are_kept(pipe: Pipe) -> None:
    pipe.says(b"".join(b"%d\n" % number for number in range(KEPT + 5)))
    assert (len(pipe.kept), pipe.kept[0]) == (KEPT, "5")
    os.close(pipe.end)


def test_the_rest_is_shown_when_the_copy_has_ended(pipe: Pipe) -> None:
    os.write(pipe.end, b"last words")
    # A process that it left behind has the pipe open.
    pipe.lines.drain()
    assert pipe.shown == b"app.1 | last words\n"
    os.close(pipe.end)


def test_who_writes_on_after_a_copy_has_ended_is_not_waited_for(pipe: Pipe) -> None:
    writes = 0

    def write_on(data: bytes) -> None:
        # As fast as it is read, until nobody could call that what was there.
        nonlocal writes
        writes += 1
        if writes < 100:
            os.write(pipe.end, b"y\n" * 20_000)

    pipe.lines = NamedLines(pipe.lines.fileno(), "app.1", write_on, pipe.kept)
    os.write(pipe.end, b"y\n" * 20_000)
    pipe.lines.drain()
    assert writes == 1
    os.close(pipe.end)


def test_all_that_a_large_pipe_holds_is_shown(pipe: Pipe) -> None:
    fcntl.fcntl(pipe.end, fcntl.F_SETPIPE_SZ, 1 << 18)
    os.write(pipe.end, b"line\n" * 40_000 + b"rest")
    pipe.lines.drain()
    assert pipe.shown.count(b"app.1 | line\n") == 40_000
    assert pipe.shown.endswith(b"app.1 | rest\n")
    os.close(pipe.end)
