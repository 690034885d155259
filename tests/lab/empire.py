"""An Emperor beside an HTTP router, and the directory of its vassals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.lab import programs
from tests.lab.asking import ask
from tests.lab.processes import Process, free_port, run
from tests.lab.waiting import wait_until

#: Programs of ``[app]`` sections, behind the interpreter's name.
PROGRAMS = {
    "gunicorn": "-m gunicorn --no-control-socket -b {address} tests.peers.served:application",
    "uvicorn": "-m uvicorn --no-access-log --port {port} tests.peers.served:asgi",
    "files": "-m http.server --bind 127.0.0.1 {port}",
}


class Empire(Process):
    """An Emperor beside an HTTP router.

    Args:
        directory: for its log, its sockets, and below it its vassals' files.
        options: further ones.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.vassals = directory / "vassals"
        self.vassals.mkdir(exist_ok=True)
        self.port = free_port()
        self.control = directory / "control"
        super().__init__(
            "emperor",
            (
                programs.uwsgi_router(), f"--http=127.0.0.1:{self.port}", "--http-hold=20",
                f"--control-socket={self.control}", f"--emperor={self.vassals}", "--emperor-freq=1", *options,
            ),
            log=directory / "emperor.log",
            env={"XDG_RUNTIME_DIR": str(directory), "PYTHONPATH": str(programs.ROOT)},
            cwd=directory,
        )  # fmt: skip

    def wait_for_http(self) -> None:
        """Wait until the router accepts."""
        self.wait_until_it_accepts(f"127.0.0.1:{self.port}")

    def put(self, name: str, *lines: str) -> Path:
        """Write a vassal's file."""
        path = self.vassals / name
        path.write_text("\n".join(lines) + "\n")
        return path

    def put_app(self, name: str, program: str, *lines: str) -> Path:
        """Write the file of an application that serves ``NAME.example``."""
        command = f"command = {sys.executable} {program}"
        words = (
            f"[app {name}]",
            command,
            f"host = {name}.example",
            f"cwd = {programs.ROOT}",
            *lines,
        )
        return self.put(f"{name}.ini", *words)

    def status(self) -> str:
        """Return what ``status --json`` says."""
        return run(
            programs.uwsgi_router(), "status", "--json", "--control", str(self.control)
        ).stdout

    def count(self, text: str) -> int:
        """Return how often it has printed a text."""
        return self.output().count(text)

    def wait_until_it_is_back(self, name: str) -> None:
        """Wait until a vassal was started for the second time, and serves."""
        wait_until(lambda: self.count(f" {name}.ini: started") == 2, "it comes back")
        wait_until(lambda: ask(self.port, f"{name}.example") == 200, "it serves")

    def touch(self, *names: str) -> None:
        """Change files, beyond what is seen as the same second, and wait until all have reloaded."""
        before = {name: self.count(f"{name}.ini: ready to accept") for name in names}
        for name in names:
            later = max(time.time(), (self.vassals / f"{name}.ini").stat().st_mtime) + 1
            os.utime(self.vassals / f"{name}.ini", (later, later))

        def ready() -> bool:
            return all(self.count(f"{n}.ini: ready to accept") > c for n, c in before.items())

        wait_until(ready, "all reload", 40)

    def kill(self) -> None:
        """End it in order if that goes quickly: vassals are in sessions of their own, and tidy up."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self._popen.wait(20)
            except subprocess.TimeoutExpired:
                pass
        super().kill()
