"""Starts a command as systemd does: with listening sockets as descriptors 3, 4, … of its own.

Usage: inherit.py FD[,FD…] COMMAND ARGUMENT…
"""

import fcntl
import os
import sys


def main() -> None:
    """Move the descriptors to their places, say so in the environment, become the command."""
    # Copies high up first: a place to fill may be another one's source.
    copies = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split(",")]
    for place, fd in enumerate(copies, 3):
        os.dup2(fd, place, inheritable=True)
        os.close(fd)
    os.environ["LISTEN_FDS"] = str(len(copies))
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
