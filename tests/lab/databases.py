"""Redis and PostgreSQL of Debian as nodes of a raw router, in directories of their own."""

import os
import shutil
from pathlib import Path

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.processes import Process, free_port, run


class Redis(Process):
    """A Redis server that writes nothing to disk.

    Args:
        directory: for its log.
        name: of the log.
        options: further options of redis-server.
    """

    def __init__(self, directory: Path, name: str, *options: str) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        argv = [programs.debian("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"]
        argv += ["--save", "", "--appendonly", "no", "--dir", str(directory), *options]
        super().__init__(name, argv, log=directory / f"{name}.log")

    def wait_ready(self) -> None:
        """Wait until it accepts."""
        self.wait_until_it_accepts(self.address)


def command(client: Client, *words: bytes) -> bytes:
    """Ask Redis something over a connection, and return its answer: a line, or what that announces."""
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    client.send(b"*%d\r\n" % len(words) + parts)
    line = client.exactly(1)
    while not line.endswith(b"\r\n"):
        line += client.exactly(1)
    if line.startswith(b"$") and line != b"$-1\r\n":
        return client.exactly(int(line[1:]) + 2)[:-2]
    return line


class Postgres(Process):
    """A PostgreSQL server with a cluster of its own; anybody of this machine may connect, without a password.

    It refuses to be root's: then it runs as the user that its package has made.

    Args:
        directory: for its log and data; everybody may enter it from now on.
        options: further options of postgres.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        directory.chmod(0o711)
        home = directory / "postgres"
        home.mkdir(mode=0o700)
        become = []
        if os.geteuid() == 0:
            shutil.chown(home, "postgres", "postgres")
            become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data = str(home / "data")
        initdb = [_postgres("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
        run(*become, *initdb, check=True, cwd="/")
        argv = [*become, _postgres("postgres"), "-D", data, "-p", str(self.port), "-h", "127.0.0.1"]
        argv += ["-k", str(home), "-c", "fsync=off", *options]
        super().__init__("postgres", argv, log=directory / "postgres.log", cwd=Path("/"))

    def wait_ready(self) -> None:
        """Wait until it takes connections."""
        self.wait_for_output("database system is ready to accept connections")


def _postgres(name: str) -> str:
    """Return the path of one of its programs, which Debian keeps out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else programs.debian(name)
