"""Readers of the values of applications: commands, times and sizes with units, cores, signals, paths."""

import re
import shlex
import signal
from typing import Final

from uwsgi_router.protocol.address import AddressError, parse_listen_address
from uwsgi_router.router.config.values import Kind

_TIME: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)?")
_TIMES: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}
_SIZE: Final = re.compile(r"(\d{1,9})([KMG])?(?:i?B)?", re.IGNORECASE)
_SIZES: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "": 2**20}
_LOOPBACK: Final = "127.0.0.1"


def _command(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"expected a command as in a shell: {error}") from None
    if not words:
        raise ValueError("expected a command")
    return words


def _duration(text: str) -> float:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("expected a time, for example 30, 500ms, 5m or 6h")
    return float(found[1]) * _TIMES[found[2]]


def _memory(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("expected a size, for example 512M or 2G (a bare number: MiB)")
    return int(found[1]) * _SIZES[(found[2] or "").upper()]


def _path(text: str) -> str:
    if not text.startswith("/") or re.search(r"\s", text):
        raise ValueError("expected a path of the application, for example /up")
    return text


def _cores(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 1_000_000):
        raise ValueError("expected auto, or how many requests a copy works on at once")
    return int(text)


def _signal(text: str) -> int:
    name = text.upper().removeprefix("SIG")
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise ValueError("expected the name of a signal, for example USR1") from None


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or "\0" in text:
        raise ValueError("expected NAME=VALUE")
    return name.strip(), value.strip()


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", text):
        raise ValueError("expected a name of letters, digits, _ and -, up to 32")
    return text


def _http(text: str) -> str:
    """Read where HTTP is served: a bare port is the loopback's."""
    if text.isascii() and text.isdigit():
        text = f"{_LOOPBACK}:{text}"
    try:
        parse_listen_address(text)
    except AddressError as error:
        raise ValueError(str(error)) from None
    return text


COMMAND = Kind("COMMAND", _command)
TIME = Kind("TIME", _duration)
MEMORY = Kind("SIZE", _memory)
PATH = Kind("PATH", _path)
CORES = Kind("N|auto", _cores)
SIGNAL = Kind("SIGNAL", _signal)
VARIABLE = Kind("NAME=VALUE", _variable, free=True)
NAME = Kind("NAME", _name)
HTTP = Kind("PORT|ADDRESS", _http)
