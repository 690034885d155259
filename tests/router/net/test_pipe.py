"""Pipes between sockets: filled, emptied, pooled; and what happens where they can't be had."""

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from uwsgi_router.router.net.pipe import Pipe, PipePool

SIZE = 65_536


@pytest.fixture
def pairs() -> Iterator[tuple[socket.socket, socket.socket, socket.socket, socket.socket]]:
    """Somebody who writes, and what is read from; what is written to, and somebody who reads."""
    first, second = socket.socketpair(), socket.socketpair()
    for sock in (*first, *second):
        sock.setblocking(False)
    yield (*first, *second)
    for sock in (*first, *second):
        sock.close()


Pairs = tuple[socket.socket, socket.socket, socket.socket, socket.socket]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_bytes_pass(pairs: Pairs) -> None:
    writer, source, target, reader = pairs
    pipe = Pipe(SIZE)
    writer.send(b"hello")
    assert (pipe.fill(source.fileno()), pipe.held) == (5, 5)
    assert (pipe.empty(target.fileno()), pipe.held) == (5, 0)
    assert reader.recv(100) == b"hello"
    pipe.close()


def test_nothing_is_there_yet(pairs: Pairs) -> None:
    pipe = Pipe(SIZE)
    with pytest.raises(BlockingIOError):
        pipe.fill(pairs[1].fileno())
    pipe.close()


def test_the_end_is_no_bytes(pairs: Pairs) -> None:
    pipe = Pipe(SIZE)
    pairs[0].close()
    assert pipe.fill(pairs[1].fileno()) == 0
    pipe.close()


def test_a_target_that_is_full_leaves_the_rest_inside(pairs: Pairs) -> None:
    writer, source, target, reader = pairs
    pipe = Pipe(SIZE)
    sent = passed = 0
    with pytest.raises(BlockingIOError):  # noqa: PT012
        while True:
            sent += writer.send(b"x" * 10_000)
            pipe.fill(source.fileno())
            while pipe.held:
                passed += pipe.empty(target.fileno())
    assert pipe.held == sent - passed
    rest = pipe.read()
    assert len(rest) == sent - passed
    assert pipe.held == 0
    received = 0
    while received < passed:
        received += len(reader.recv(SIZE))
    pipe.close()


def test_what_is_no_socket_can_not_be_spliced(tmp_path: os.PathLike[str]) -> None:
    pipe = Pipe(SIZE)
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="Invalid argument"):
        pipe.fill(directory)
    os.close(directory)
    pipe.close()


def test_a_pool_lends_so_many_and_no_more() -> None:
    before = descriptors()
    pool = PipePool(most=2, size=SIZE)
    first, second = pool.take(), pool.take()
    assert first is not None
    assert second is not None
    assert pool.take() is None
    pool.give_back(first)
    assert pool.take() is first
    pool.give_back(first)
    pool.give_back(second)
    assert len(pool) == 2
    pool.close_unused()
    assert len(pool) == 0
    assert descriptors() == before


def test_a_pipe_with_bytes_inside_is_not_lent_again(pairs: Pairs) -> None:
    before = descriptors()
    pool = PipePool(most=2, size=SIZE)
    pipe = pool.take()
    assert pipe is not None
    pairs[0].send(b"somebody's")
    pipe.fill(pairs[1].fileno())
    pool.give_back(pipe)
    assert len(pool) == 0
    assert descriptors() == before


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_there_is_none() -> None:
    pool = PipePool(size=SIZE)
    with no_descriptors():
        assert pool.take() is None
    pipe = pool.take()
    assert pipe is not None
    pipe.close()


def test_a_pipe_that_can_not_be_made_large_is_none() -> None:
    """What an unprivileged user may have for all pipes is limited; for all users by ``pipe-max-size``."""
    before = descriptors()
    pool = PipePool(size=1 << 31)
    assert pool.take() is None
    assert descriptors() == before
