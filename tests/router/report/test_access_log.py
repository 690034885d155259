"""The access log: nobody forges a line, nothing holds the router up, and what is lost is counted."""

import asyncio
import fcntl
import json
import logging
import os
import re
import resource
import socket
import stat
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.clock import TimedLoop
from tests.lab.waiting import until
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.report.access_entry import AccessEntry, json_line, text_line, timestamp
from uwsgi_router.router.report.access_log import DELAY, FULL, LOOK, MAX_PENDING, AccessLog

ENTRY = AccessEntry(
    id="ab12cd-1f",
    client=b"192.0.2.7",
    method=b"GET",
    target=b"/path?x=1",
    protocol=b"HTTP/1.1",
    key=b"www.example.com",
    status=200,
    bytes_in=512,
    bytes_out=12345,
    node="10.0.0.7:3031",
    tries=1,
    connect=0.000123,
    first_byte=0.0123,
    total=0.25,
)
FAILED = replace(
    ENTRY, key=b"", status=0, node="", tries=0, connect=None, first_byte=None, reason="unknown-key"
)


class Loop(TimedLoop):
    """A loop whose time the test moves."""

    stdout = 1

    def open(self, path: Path | str, form: Literal["text", "json"] = "text") -> AccessLog:
        # 2026-01-02T03:04:05.678 is when the requests of these tests begin.
        log = AccessLog(
            str(path),
            form,
            wall_clock=lambda: 1_767_323_045.678 + ENTRY.total,
            stdout=self.stdout,
        )
        log.start(self.as_loop)
        return log


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def read(file: Path) -> dict[str, str]:
    return cast("dict[str, str]", json.loads(file.read_bytes()))


def numbered(number: int) -> AccessEntry:
    return replace(ENTRY, id=str(number))


def numbers(data: bytes) -> list[int]:
    """The ids of the lines, each of which must be whole."""
    lines = data.decode().splitlines(keepends=True)
    for line in lines:
        assert line.endswith(" reason=-\n")
    return [int(line.split(" ")[1]) for line in lines]


# --- what a line says ---


def test_a_text_line() -> None:
    assert text_line(ENTRY, "TIME") == (
        b'TIME ab12cd-1f 192.0.2.7 "GET /path?x=1 HTTP/1.1" www.example.com 200 in=512 out=12345'
        b" node=10.0.0.7:3031 tries=1 connect=0.000123 first_byte=0.012300 total=0.250000 reason=-\n"
    )


def test_a_text_line_of_a_request_that_failed() -> None:
    assert text_line(FAILED, "TIME").endswith(
        b'HTTP/1.1" - 0 in=512 out=12345'
        b" node=- tries=0 connect=- first_byte=- total=0.250000 reason=unknown-key\n"
    )


def test_a_json_line() -> None:
    line = json_line(ENTRY, "TIME")
    assert json.loads(line) == {
        "time": "TIME",
        "id": "ab12cd-1f",
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/path?x=1",
        "protocol": "HTTP/1.1",
        "key": "www.example.com",
        "status": 200,
        "bytes_in": 512,
        "bytes_out": 12345,
        "node": "10.0.0.7:3031",
        "tries": 1,
        "connect": 0.000123,
        "first_byte": 0.0123,
        "total": 0.25,
        "reason": "-",
    }
    failed = json.loads(json_line(FAILED, "TIME"))
    assert (failed["connect"], failed["first_byte"]) == (None, None)
    assert (failed["node"], failed["reason"]) == ("", "unknown-key")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_767_323_045.678, "2026-01-02T03:04:05.678Z"),
        (1_767_323_045.9996, "2026-01-02T03:04:06.000Z"),
    ],
)
def test_times_are_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert timestamp(seconds) == text


wild = st.builds(
    replace,
    st.just(ENTRY),
    id=st.text(max_size=5),
    client=st.binary(max_size=20),
    method=st.binary(max_size=20),
    target=st.binary(max_size=60) | st.sampled_from([rb"\x41", b"\\", b'"']),
    protocol=st.binary(max_size=9),
    key=st.binary(max_size=60) | st.sampled_from([b'a" 200 in=0', b"a\nb", "grüße".encode()]),
    node=st.text(st.characters(codec=None), max_size=20),
)


@given(wild)
def test_nothing_that_peers_send_ends_a_text_line_or_makes_a_field(entry: AccessEntry) -> None:
    line = text_line(entry, "TIME").decode("ascii")
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert len(line.split(" ")) == len(text_line(ENTRY, "TIME").decode().split(" "))
    assert line.count('"') == 2
    shown = line.split(" ")[4]
    if entry.target:
        plain = re.sub(r"\\x(..)", lambda found: chr(int(found[1], 16)), shown)
        assert plain.encode("latin-1") == entry.target


@given(wild)
def test_nothing_that_peers_send_breaks_out_of_json(entry: AccessEntry) -> None:
    line = json_line(entry, "TIME").decode("ascii")
    assert line[:-1].isprintable()
    fields = json.loads(line)
    assert fields.keys() == json.loads(json_line(ENTRY, "TIME")).keys()
    assert fields["target"] == entry.target.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("make", [text_line, json_line])
def test_a_line_is_bounded(make: Callable[[AccessEntry, str], bytes]) -> None:
    long = b"\xff" * 70_000
    entry = replace(
        ENTRY, client=long, method=long, target=long, protocol=long, key=long, node="x" * 70_000
    )
    assert len(make(entry, "TIME")) < 20_000
    assert b"/" + b"a" * 2047 + b"..." in make(replace(ENTRY, target=b"/" + b"a" * 2048), "TIME")
    assert b"..." not in make(replace(ENTRY, target=b"/" + b"a" * 2047), "TIME")


# --- the file ---


async def test_a_line_comes_by_itself_with_the_time_of_its_beginning(file: Path) -> None:
    log = AccessLog(str(file), "json")
    log.start(asyncio.get_running_loop())
    log.write(replace(ENTRY, total=3600.0))
    await until(lambda: file.stat().st_size > 0)
    begun = datetime.fromisoformat(read(file)["time"])
    assert 3600 <= (datetime.now(UTC) - begun).total_seconds() < 3660
    log.close()


@pytest.mark.parametrize("form", ["text", "json"])
def test_lines_come_together_and_soon(
    loop: Loop, file: Path, form: Literal["text", "json"]
) -> None:
    file.write_bytes(b"yesterday\n")
    log = loop.open(file, form)
    log.write(ENTRY)
    log.write(FAILED)
    assert file.read_bytes() == b"yesterday\n"
    loop.after(1.0)
    make, begun = (text_line if form == "text" else json_line), "2026-01-02T03:04:05.678Z"
    assert file.read_bytes() == b"yesterday\n" + make(ENTRY, begun) + make(FAILED, begun)
    assert not loop.timers
    log.close()


def test_many_lines_are_not_waited_with(loop: Loop, file: Path) -> None:
    log = loop.open(file)
    for number in range(1000):
        log.write(numbered(number))
    assert len(file.read_bytes()) >= FULL
    log.close()
    assert numbers(file.read_bytes()) == list(range(1000))


def test_close_writes_what_is_left(loop: Loop, file: Path) -> None:
    log = loop.open(file)
    log.write(numbered(1))
    log.close()
    assert numbers(file.read_bytes()) == [1]
    loop.after(10)


def test_a_line_after_the_end_is_counted_and_hurts_nobody(loop: Loop, file: Path) -> None:
    log = loop.open(file)
    log.close()
    with file.with_name("other").open("wb") as other:  # gets the number of the closed one
        log.write(numbered(1))
        loop.after(DELAY)
    assert log.dropped == 1
    assert Path(other.name).read_bytes() == b""


def test_others_may_not_read_it(loop: Loop, file: Path) -> None:
    loop.open(file).close()
    assert not file.stat().st_mode & stat.S_IRWXO


def test_a_file_that_cannot_be_opened_is_one_clear_line(loop: Loop, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "access.log"
    with pytest.raises(StartError, match=rf"cannot write the access log {missing}: No such file"):
        loop.open(missing)


def test_reopen_follows_logrotate(loop: Loop, file: Path) -> None:
    log = loop.open(file)
    log.write(numbered(1))
    loop.after(DELAY)
    file.rename(file.with_suffix(".1"))
    log.write(numbered(2))
    log.reopen()
    log.write(numbered(3))
    log.close()
    assert numbers(file.with_suffix(".1").read_bytes()) == [1]
    assert numbers(file.read_bytes()) == [2, 3]


@pytest.mark.parametrize("made_again", [True, False])
def test_a_renamed_file_is_noticed_within_a_second(
    loop: Loop, file: Path, made_again: bool
) -> None:
    log = loop.open(file)
    file.rename(file.with_suffix(".1"))
    if made_again:
        file.touch()
    loop.after(LOOK)
    log.write(numbered(1))
    loop.after(DELAY)
    assert numbers(file.read_bytes()) == [1]
    log.close()


def test_a_file_that_cannot_be_opened_again_is_kept(
    loop: Loop, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = loop.open(file)
    moved = file.rename(file.with_suffix(".1"))
    file.mkdir()
    log.reopen()
    for number in range(5):
        log.write(numbered(number))
        loop.after(LOOK)
    log.close()
    assert numbers(moved.read_bytes()) == list(range(5))
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot open {file} again, the old one is kept: Is a directory"
    ]


def test_on_a_full_disk_lines_are_counted_and_the_log_says_so_once(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    log = loop.open("/dev/full")
    for number in range(10):
        log.write(numbered(number))
        loop.after(DELAY)
    assert log.dropped == 10
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        "access log: /dev/full takes no more lines, 1 are lost by now: No space left on device"
    )
    log.close()


@pytest.mark.parametrize("reopened", [False, True])
def test_a_line_that_was_cut_by_a_full_disk_spoils_no_other(
    loop: Loop, file: Path, reopened: bool
) -> None:
    log = loop.open(file)
    line = text_line(numbered(1), "2026-01-02T03:04:05.678Z")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(line) + 10, before[1]))
    try:
        log.write(numbered(1))
        log.write(numbered(2))
        log.write(numbered(3))
        loop.after(DELAY)
        assert log.dropped == 2
        log.write(numbered(4))
        loop.after(DELAY)
        assert log.dropped == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    if reopened:
        file = file.rename(file.with_suffix(".1"))
        log.reopen()
    log.write(numbered(5))
    log.close()
    first, cut, *last = file.read_bytes().splitlines(keepends=True)
    assert cut.rstrip(b"\n") == line.replace(b" 1 ", b" 2 ", 1)[:10]
    if reopened:
        last = [file.with_suffix(".log").read_bytes()]
    assert numbers(first + b"".join(last)) == [1, 5]


def test_a_named_pipe_is_never_opened_again(
    loop: Loop, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(file)
    with pytest.raises(StartError, match="No such device"):
        loop.open(file)  # nobody reads it
    reader = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    log = loop.open(file)
    log.write(numbered(1))
    log.reopen()
    log.close()
    assert numbers(os.read(reader, 1000)) == [1]
    os.close(reader)
    log.reopen()
    assert not caplog.records


# --- standard output ---


class Reader:
    """The other end of what stands for standard output."""

    def __init__(self, ours: int, theirs: int) -> None:
        self.fd = theirs
        self.ours = ours
        os.set_blocking(theirs, False)

    def read(self) -> bytes:
        data = b""
        while True:
            try:
                more = os.read(self.fd, 1 << 20)
            except BlockingIOError:
                return data
            if not more:
                return data
            data += more


def pipe() -> tuple[int, int]:
    theirs, ours = os.pipe()
    return ours, theirs


def stream() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def terminal() -> tuple[int, int]:
    theirs, ours = os.openpty()
    attributes = termios.tcgetattr(ours)
    attributes[1] = 0  # as they are: no "\r\n"
    termios.tcsetattr(ours, termios.TCSANOW, attributes)
    return ours, theirs


@pytest.fixture(params=[pipe, stream, terminal, "another user's pipe"])
def reader(
    request: pytest.FixtureRequest, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Reader]:
    if callable(request.param):
        ours, theirs = request.param()
    else:
        ours, theirs = pipe()

        def refuse(path: str, *args: object) -> int:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(os, "open", refuse)
    loop.stdout = ours
    yield Reader(ours, theirs)
    os.close(ours)
    os.close(theirs)


def test_lines_go_to_standard_output(loop: Loop, reader: Reader) -> None:
    log = loop.open("")
    log.write(numbered(1))
    log.write(numbered(2))
    loop.after(DELAY)
    assert numbers(reader.read()) == [1, 2]
    log.reopen()
    log.write(numbered(3))
    log.close()
    assert numbers(reader.read()) == [3]


def test_a_reader_that_has_stopped_holds_nothing_up_and_loses_only_what_is_too_much(
    loop: Loop, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    log = loop.open("")
    count = 0
    while not log.dropped:
        log.write(numbered(count))
        count += 1
        loop.after(0.001)
    assert len(log._pending) <= MAX_PENDING
    assert len(caplog.records) == 1
    assert "its reader is too slow" in caplog.text
    data = b""
    while log._pending:
        data += reader.read()
        loop.after(DELAY)
    data += reader.read()
    assert numbers(data) == list(range(count - 1))
    log.close()


def test_a_slow_reader_is_not_asked_for_every_line(loop: Loop, reader: Reader) -> None:
    log = loop.open("")
    while len(log._pending) < 2 * FULL:
        log.write(numbered(1))
    reader.read()
    before = len(log._pending)
    log.write(numbered(2))
    assert len(log._pending) > before
    log.close()


def test_a_slow_reader_gets_the_rest_soon_and_a_stopped_one_is_asked_seldom(
    loop: Loop, reader: Reader
) -> None:
    log = loop.open("")
    while len(log._pending) < 10 * FULL:
        log.write(numbered(1))
    loop.after(DELAY)
    before = loop.calls
    loop.after(10.0)
    assert loop.calls - before <= 10.0 / DELAY + 1
    pending, begun = len(log._pending), loop.now
    reader.read()
    loop.after(DELAY)
    taken = pending - len(log._pending)
    assert taken > 0
    while log._pending:
        reader.read()
        loop.after(0.01)
    assert loop.now - begun < DELAY + 0.03 * (pending / taken + 2)
    log.close()


def test_close_does_not_wait_for_a_reader(loop: Loop, reader: Reader) -> None:
    log = loop.open("")
    for number in range(4000):
        log.write(numbered(number))
    log.close()
    assert log.dropped > 0


def test_other_processes_still_write_to_it_as_before(loop: Loop, reader: Reader) -> None:
    log = loop.open("")
    log.write(numbered(1))
    log.close()
    assert not fcntl.fcntl(reader.ours, fcntl.F_GETFL) & os.O_NONBLOCK
    assert os.write(reader.ours, b"still open\n") == 11


def test_a_reader_that_went_away_is_an_error_of_the_log_only(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = pipe()
    loop.stdout = ours
    log = loop.open("")
    os.close(theirs)
    log.write(numbered(1))
    loop.after(DELAY)
    assert log.dropped == 1
    assert "standard output takes no more lines, 1 are lost by now: Broken pipe" in caplog.text
    log.close()
    os.close(ours)


def test_standard_output_may_be_a_file(loop: Loop, file: Path) -> None:
    with file.open("wb", buffering=0) as stdout:
        loop.stdout = stdout.fileno()
        stdout.write(b"before\n")
        log = loop.open("")
        log.write(numbered(1))
        log.close()
        stdout.write(b"after\n")
    before, line, after = file.read_bytes().splitlines(keepends=True)
    assert (before, after) == (b"before\n", b"after\n")
    assert numbers(line) == [1]


def test_without_standard_output_the_program_does_not_start(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    with pytest.raises(StartError, match="to standard output: it was closed before the program"):
        loop.open("")


def write_many(path: Path, name: bytes, lines: int) -> None:
    """Log as another process of the same program does."""
    loop = TimedLoop()
    log = AccessLog(str(path), "text", wall_clock=lambda: 0.0)
    log.start(cast("asyncio.AbstractEventLoop", loop))
    for _ in range(lines):
        log.write(replace(ENTRY, target=b"/" + name * 100))
    log._flush()
    while log._pending:
        log._flush()
    log.close()


def test_lines_of_several_processes_stay_whole_in_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 8_192)
    writers = []
    for name in (b"a", b"b", b"c"):
        pid = os.fork()
        if not pid:
            try:
                write_many(path, name, 300)
            finally:
                os._exit(0)
        writers.append(pid)
    os.set_blocking(reading, True)
    received = bytearray()
    while received.count(b"\n") < 900:
        data = os.read(reading, 3_000)
        assert data, "the writers have ended"
        received += data
    os.close(reading)
    for pid in writers:
        assert os.waitpid(pid, 0)[1] == 0
    expected = {
        text_line(replace(ENTRY, target=b"/" + name * 100), timestamp(-ENTRY.total))
        for name in (b"a", b"b", b"c")
    }
    assert set(bytes(received).splitlines(keepends=True)) == expected
