"""Cores of a copy: requests that it works on at once, where a server's arguments say so plainly.

Servers that work on any number of requests at once (uvicorn, hypercorn, daphne, gunicorn with an asynchronous worker)
have none: the router would take the number for a limit of connections.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

# Classes of gunicorn's workers that work on one request in each thread.
_SYNC: Final = frozenset({"sync", "gthread"})
_MOST: Final = 1_000_000


def cores_of(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return the cores of a copy that is started with this command; 0: that is not known, or there is no limit.

    Args:
        command: the program and its arguments.
        environ: its environment: WEB_CONCURRENCY is gunicorn's number of workers.
    """
    for position, word in enumerate(command[:4]):
        name = os.path.basename(word)
        arguments = command[position + 1 :]
        if name == "gunicorn":
            return _gunicorn(arguments, environ)
        if name == "granian":
            return _granian(arguments, environ)
    return 0


def _gunicorn(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    given = " ".join([environ.get("GUNICORN_CMD_ARGS", ""), *arguments])
    words = given.split()
    if _value(words, "--config", "-c") is not None:
        return 0
    kind = _value(words, "--worker-class", "-k") or "sync"
    workers = _number(_value(words, "--workers", "-w") or environ.get("WEB_CONCURRENCY") or "1")
    threads = _number(_value(words, "--threads", "") or "1")
    # With threads gunicorn takes gthread for sync.
    return workers * threads if kind in _SYNC else 0


def _granian(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    interface = _value(arguments, "--interface", "") or environ.get("GRANIAN_INTERFACE")
    threads = _value(arguments, "--blocking-threads", "") or environ.get("GRANIAN_BLOCKING_THREADS")
    if interface != "wsgi" or threads is None:
        return 0
    workers = _value(arguments, "--workers", "") or environ.get("GRANIAN_WORKERS") or "1"
    return _number(workers) * _number(threads)


def _value(words: Sequence[str], long: str, short: str) -> str | None:
    """Return the value of an option, written in any of the usual ways; the last one counts."""
    found = None
    for position, word in enumerate(words):
        following = words[position + 1] if position + 1 < len(words) else None
        if word in (long, short):
            found = following
        elif word.startswith(f"{long}="):
            found = word.partition("=")[2]
        elif short and word.startswith(short) and re.fullmatch(r"-\w.+", word):
            found = word[2:].removeprefix("=")
    return found


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _MOST else 0
