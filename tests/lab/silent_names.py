"""Start a program in a network of its own whose name server takes every question and answers none.

    unshare --user --map-root-user --net --mount python silent_names.py DIRECTORY PROGRAM [ARGUMENT ...]

Names of ``DIRECTORY/hosts`` are known all the same.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def main() -> None:
    directory, *argv = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    for name in ("resolv.conf", "hosts"):
        subprocess.run(["mount", "--bind", f"{directory}/{name}", f"/etc/{name}"], check=True)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    server.set_inheritable(True)
    os.execv(argv[0], argv)


def prepare(directory: Path) -> list[str]:
    """Write the files, and return what is to be put before a command."""
    (directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (directory / "hosts").write_text("127.0.0.1 localhost known.test\n")
    spaces = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
    return [*spaces, sys.executable, __file__, str(directory)]


if __name__ == "__main__":
    main()
