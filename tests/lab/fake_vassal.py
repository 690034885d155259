"""Vassal for tests: writes down how it was started, sends and obeys bytes as its configuration says, and accepts.

It runs in any Python, without this repository. Its configuration is the last argument that is a file; of its lines
these count:

    says = 1 5 17       bytes that it sends at its start (1 and 5 if there is no such line)
    answers = 5         bytes that it sends when it is told to reload
    ignores = 0 2       bytes that it does not obey
    exits = 3           it ends at once with this status, after what it says
    dies = 9            it ends by this signal, likewise
    accepts = yes       it answers each connection to its standard input with its process id, and says 17
    rests = yes         it wants to be stopped after its first answer
    prints = words      it prints them

Each start writes a report, ``<directory>/<name of the file>.<nanoseconds>.json``; the directory is in the variable
``FAKE_VASSAL_REPORTS``.
"""

import json
import os
import select
import socket
import sys
import time
from typing import Any


def report(directory: str, name: str) -> None:
    """Write down how this process was started."""
    descriptors = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            descriptors[number] = os.readlink("/proc/self/fd/" + number)
        except OSError:
            pass  # the one that has listed them
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    found: dict[str, Any] = {
        "argv": sys.argv,
        "environ": dict(os.environ),
        "cwd": os.getcwd(),
        "descriptors": descriptors,
        "pid": os.getpid(),
        "sid": os.getsid(0),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "umask": status.get("Umask"),
        "effective": int(status["CapEff"], 16),
        "bounding": int(status["CapBnd"], 16),
        "blocked": int(status["SigBlk"], 16),
        "ignored": int(status["SigIgn"], 16),
        "hostname": socket.gethostname(),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "namespaces": {
            one: os.readlink("/proc/self/ns/" + one)
            for one in ("ipc", "mnt", "net", "pid", "user", "uts")
        },
    }
    path = os.path.join(directory, f"{name}.{time.time_ns()}.json")
    with open(path + ".new", "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(found, file)
    os.rename(path + ".new", path)


def configured(path: str) -> dict[str, str]:
    """Return the lines of the configuration."""
    with open(path, encoding="utf-8") as file:
        pairs = [line.partition("=") for line in file if "=" in line]
    return {name.strip(): value.strip() for name, _, value in pairs}


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def main() -> int:
    files = [word for word in sys.argv[1:] if os.path.isfile(word)]
    words = configured(files[-1]) if files else {}
    if "FAKE_VASSAL_REPORTS" in os.environ:
        name = os.path.basename(files[-1]) if files else "none"
        report(os.environ["FAKE_VASSAL_REPORTS"], name)
    pipe = int(os.environ.get("UWSGI_EMPEROR_FD", "-1"))
    if words.get("prints"):
        sys.stdout.write(words["prints"] + "\n")
        sys.stdout.flush()
    if pipe >= 0:
        os.write(pipe, bytes(numbers(words.get("says", "1 5"))))
    if words.get("dies"):
        os.kill(os.getpid(), int(words["dies"]))
    if words.get("exits"):
        return int(words["exits"])
    return serve(pipe, words)


def serve(pipe: int, words: dict[str, str]) -> int:
    """Obey the Emperor, and answer connections, until one of them says stop."""
    listener = socket.socket(fileno=0) if words.get("accepts") == "yes" else None
    watched = [one for one in (pipe, listener) if one is not None and one != -1]
    ignored = numbers(words.get("ignores", ""))
    while True:
        for one in select.select(watched, [], [])[0]:
            if one is listener:
                connection, _ = listener.accept()
                connection.sendall(f"{os.getpid()}\n".encode())
                connection.close()
                os.write(pipe, b"\x11\x16" if words.get("rests") == "yes" else b"\x11")
                continue
            byte = os.read(pipe, 1)
            if not byte:
                return 1
            if byte[0] in ignored:
                continue
            if byte[0] in (0, 2):
                return 0
            os.write(pipe, bytes(numbers(words.get("answers", "5"))))


if __name__ == "__main__":
    sys.exit(main())
