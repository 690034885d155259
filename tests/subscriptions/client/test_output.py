"""Lines that nobody takes are dropped and counted, and nobody waits for them."""

import fcntl
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from uwsgi_router.subscriptions.client.output import LineOutput, as_text, open_for_lines

FULL = "its reader is too slow"


def notice(count: int, why: str) -> str:
    return f"{count} dropped: {why}"


class Reader:
    """A pipe or socket that is full, and what is read from it."""

    def __init__(self, stack: ExitStack, kind: str) -> None:
        if kind == "socket":
            reader, writer = socket.socketpair()
            self._fd, self.fd = reader.detach(), writer.detach()
        else:
            self._fd, self.fd = os.pipe()
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)
        for fd in (self._fd, self.fd):
            stack.callback(os.close, fd)

    def fill(self) -> None:
        os.set_blocking(self.fd, False)
        try:
            while True:
                os.write(self.fd, b"x" * 512)
        except BlockingIOError:
            pass
        os.set_blocking(self.fd, True)

    def read(self) -> bytes:
        os.set_blocking(self._fd, False)
        data = b""
        try:
            while True:
                data += os.read(self._fd, 65_536)
        except BlockingIOError:
            return data


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_takes_nothing_is_not_waited_for(stack: ExitStack, kind: str) -> None:
    reader = Reader(stack, kind)
    told: list[str] = []
    output = stack.enter_context(LineOutput(reader.fd, notice, told.append, owned=False))
    lines = as_text(output)
    lines.write("first\n")
    assert reader.read() == b"first\n"
    reader.fill()
    for _ in range(5):
        lines.write("lost\n")
    assert (output.dropped, told) == (5, [FULL])
    reader.read()
    lines.write("second\n")
    lines.write("third\n")
    assert reader.read() == b"5 dropped: its reader is too slow\nsecond\nthird\n"
    assert os.get_blocking(reader.fd), "others write to it, too"


def test_a_line_that_was_cut_off_does_not_begin_another_one(stack: ExitStack) -> None:
    reader = Reader(stack, "pipe")
    output = stack.enter_context(LineOutput(reader.fd, notice, owned=False))
    output.write(b"a" * 6000 + b"\n")
    cut = reader.read()
    assert cut.strip(b"a") == b""
    output.write(b"next\n")
    assert reader.read() == b"\n1 dropped: its reader is too slow\nnext\n"


def test_a_reader_that_has_gone_is_no_error(stack: ExitStack) -> None:
    read, write = os.pipe()
    stack.callback(os.close, write)
    output = stack.enter_context(LineOutput(write, notice, owned=False))
    os.close(read)
    assert output.write(b"line\n") == 5
    assert output.dropped == 1


def test_a_disk_that_is_full_is_told_once_and_is_written_again_when_there_is_room(
    stack: ExitStack, tmp_path: Path
) -> None:
    file = tmp_path / "log"
    told: list[str] = []
    fd = open_for_lines(str(file))
    output = stack.enter_context(LineOutput(fd, notice, told.append, owned=True))
    output.write(b"first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        for _ in range(3):
            output.write(b"second\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert told == ["File too large"]
    output.write(b"third\n")
    assert file.read_bytes() == b"first\nseco\n3 dropped: File too large\nthird\n"


def test_a_pipe_that_nobody_reads_is_opened_all_the_same(stack: ExitStack, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fd = open_for_lines(str(fifo))
    output = stack.enter_context(LineOutput(fd, notice, owned=True))
    for _ in range(2000):
        output.write(b"x" * 100 + b"\n")
    assert output.dropped > 0
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    stack.callback(os.close, reader)
    assert os.read(reader, 102) == b"x" * 100 + b"\nx"
