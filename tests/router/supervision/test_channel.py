"""Channels: messages with descriptors, their bounds, the end of the other side."""

import os

import pytest

from uwsgi_router.router.supervision.channel import Channel, Message
from uwsgi_router.router.supervision.memory_file import read_memory_file, write_memory_file


def test_messages_come_whole_one_by_one() -> None:
    one, other = Channel.pair()
    assert one.receive() is None
    assert other.send({"do": "stop", "mercy": 1.5})
    assert other.send({"text": "ä" * 10_000})
    assert one.receive() == Message({"do": "stop", "mercy": 1.5})
    assert one.receive() == Message({"text": "ä" * 10_000})
    assert one.receive() is None
    one.close()
    other.close()


def test_descriptors_come_beside_a_message_and_no_child_inherits_them() -> None:
    one, other = Channel.pair()
    reader, writer = os.pipe()
    assert other.send({}, [writer])
    message = one.receive()
    assert message is not None
    (copy,) = message.descriptors
    assert copy != writer
    assert not os.get_inheritable(copy)
    os.write(copy, b"x")
    assert os.read(reader, 1) == b"x"
    message.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(copy)
    for end in (reader, writer):
        os.close(end)
    one.close()
    other.close()


def test_the_end_of_the_other_side_is_told() -> None:
    one, other = Channel.pair()
    other.send({"last": True})
    other.close()
    assert one.receive() == Message({"last": True})
    with pytest.raises(EOFError):
        one.receive()
    assert not one.send({})
    one.close()


def test_a_side_that_reads_nothing_can_not_hear() -> None:
    one, other = Channel.pair()
    sent = 0
    while other.send({"text": "x" * 1000}):
        sent += 1
    assert sent > 10
    one.close()
    other.close()


def test_a_memory_file_is_read_whole_by_several() -> None:
    data = os.urandom(3 << 20)
    descriptor = write_memory_file("test", data)
    assert not os.get_inheritable(descriptor)
    assert read_memory_file(descriptor) == data
    assert read_memory_file(descriptor) == data
    os.close(descriptor)
