"""A log that takes no lines stops neither requests nor the program's end."""

import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.lab import programs
from tests.lab.place import Place
from tests.lab.processes import accepts, free_port
from tests.lab.waiting import wait_until


class Pipe:
    """A pipe that is full."""

    def __init__(self) -> None:
        self._read, self.write = os.pipe()
        fcntl.fcntl(self.write, fcntl.F_SETPIPE_SZ, 4096)
        os.write(self.write, b"." * 4096)

    def read(self) -> str:
        os.set_blocking(self._read, False)
        try:
            return os.read(self._read, 65_536).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        os.close(self._read)
        os.close(self.write)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


class Router:
    """A router whose standard error is that pipe, and that has something to say about each request."""

    def __init__(self, stderr: int, *options: str) -> None:
        self.address, self.stats = (f"127.0.0.1:{free_port()}" for _ in range(2))
        argv = [programs.uwsgi_router(), f"--http={self.address}", f"--http-stats={self.stats}"]
        argv += [f"--http-to=127.0.0.1:{free_port()}", "--stats-http", *options]
        self.process = subprocess.Popen(argv, stderr=stderr, stdout=subprocess.DEVNULL)
        wait_until(lambda: accepts(self.address), "it accepts")

    def fail(self) -> None:
        """Send a request that fails."""
        with pytest.raises(OSError, match="502"):
            urlopen(f"http://{self.address}/", timeout=10)

    def dropped(self) -> int:
        with urlopen(f"http://{self.stats}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("uwsgi_router_log_lines_dropped_total{"):
                    return int(float(line.split()[1]))
        raise AssertionError("no such metric")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_standard_error_that_nobody_reads(pipe: Pipe, number: signal.Signals) -> None:
    router = Router(pipe.write)
    try:
        router.fail()
        dropped = router.dropped()
        assert dropped >= 3
        assert pipe.read() == "." * 4096
        router.fail()
        lines = pipe.read().splitlines()
        assert f"warning log: {dropped} lines were dropped: its reader is too slow" in lines[0]
        assert "failed: 502 connect" in "".join(lines[1:])
        os.write(pipe.write, b"." * 4096)
        assert router.end(number) == 0
    finally:
        router.process.kill()
        router.process.wait()


def test_a_program_is_announced_all_the_same(pipe: Pipe) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, socket.socket() as program:
        for sock in (server, program):
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(10)
        program.listen()
        host, port = server.getsockname()
        address = "{}:{}".format(*program.getsockname())
        argv = [programs.uwsgi_router(), "subscribe", f"--server={host}:{port}", "--key=a.example"]
        argv += [f"--address={address}", "--interval=1s", "--drain=0s", "--", "sleep", "60"]
        announcer = subprocess.Popen(argv, stderr=pipe.write, stdout=subprocess.DEVNULL)
        try:
            for _ in range(2):
                assert address.encode() in server.recv(4096)
            announcer.send_signal(signal.SIGTERM)
            assert announcer.wait(10) in {0, 128 + signal.SIGTERM}
        finally:
            announcer.kill()
            announcer.wait()


def test_a_disk_that_is_full(lab: Place) -> None:
    stderr = lab.directory / "stderr"
    with stderr.open("wb") as file:
        router = Router(file.fileno(), "--logto=/dev/full", "--http-access-log=/dev/full")
    try:
        for _ in range(20):
            router.fail()
        assert router.dropped() >= 20
        assert router.end(signal.SIGTERM) == 0
        lines = stderr.read_text().splitlines()
        # The master and its worker, once each.
        assert len(lines) == 2
        for line in lines:
            assert (
                "/dev/full can't be written, lines are dropped until it can: No space left" in line
            )
    finally:
        router.process.kill()
        router.process.wait()


def test_a_pipe_as_logto_that_nobody_reads(lab: Place, pipe: Pipe) -> None:
    fifo = Path(lab.directory, "fifo")
    os.mkfifo(fifo)
    router = Router(pipe.write, f"--logto={fifo}")
    try:
        router.fail()
        with fifo.open("rb", buffering=0) as file:
            said = b""
            while b"is ready" not in said:
                said += file.read(65_536)
        assert router.end(signal.SIGTERM) == 0
    finally:
        router.process.kill()
        router.process.wait()
