"""Reader of ``subscription-check``: health checks of announced nodes."""

import re

from uwsgi_router.router.config import values
from uwsgi_router.router.config.health_checks import Checks
from uwsgi_router.router.config.values import Kind, integer

_DEFAULT = Checks()
_NAMES = ("path", "status", "host", "interval", "rise", "fall", "timeout", "first")
_PATH = re.compile(r"/[!-~]*")
_STATUSES = re.compile(r"([2-5][0-9]{2})(?:-([2-5][0-9]{2}))?")
_COUNT = integer("N", 1, 1000)
_HOST = re.compile(r"[A-Za-z0-9._~:\[\]-]{1,255}")


def _check(text: str) -> Checks:
    given: dict[str, str] = {}
    ping = False
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if name.startswith("/"):
            name, value = "path", part.strip()
        elif name == "ping" and not equals:
            if ping:
                raise ValueError("expected ping only once")
            ping = True
            continue
        elif not equals or name not in _NAMES:
            raise ValueError(
                f"expected ping, /PATH, or one of {', '.join(_NAMES)} and its value, not {part!r}"
            )
        if name in given:
            raise ValueError(f"expected {name} only once")
        given[name] = value.strip()
    if not ping and "path" not in given:
        raise ValueError("expected ping (uwsgi nodes), /PATH (HTTP nodes) or both")
    for name in ("status", "host"):
        if name in given and "path" not in given:
            raise ValueError(f"expected a path with {name}: a ping has none")
    if given.get("first", "check") != "check":
        raise ValueError("expected first=check, or nothing: then a new node is used at once")
    return Checks(
        ping=ping,
        path=_matching(_PATH, "path", given, "a path of printable ASCII that begins with /"),
        host=_matching(_HOST, "host", given, "a host name"),
        statuses=_statuses(given["status"]) if "status" in given else _DEFAULT.statuses,
        interval=_seconds("interval", given, _DEFAULT.interval),
        rise=_number("rise", given, _DEFAULT.rise),
        fall=_number("fall", given, _DEFAULT.fall),
        timeout=_seconds("timeout", given, _DEFAULT.timeout),
        first="first" in given,
    )


def _matching(pattern: re.Pattern[str], name: str, given: dict[str, str], what: str) -> str | None:
    text = given.get(name)
    if text is not None and not pattern.fullmatch(text):
        raise ValueError(f"expected {what} for {name}")
    return text


def _statuses(text: str) -> tuple[tuple[int, int], ...]:
    """Read ``200-399|401``."""
    found = []
    for part in text.split("|"):
        match = _STATUSES.fullmatch(part)
        if match is None or match[1] > (match[2] or match[1]):
            raise ValueError(
                "expected statuses from 200 to 599 with | between them, for example 200-299|401"
            )
        found.append((int(match[1]), int(match[2] or match[1])))
    return tuple(found)


def _seconds(name: str, given: dict[str, str], default: float) -> float:
    return float(_read(values.SECONDS, name, given, default))


def _number(name: str, given: dict[str, str], default: int) -> int:
    return int(_read(_COUNT, name, given, default))


def _read(kind: Kind, name: str, given: dict[str, str], default: float) -> float:
    if name not in given:
        return default
    try:
        value = kind.parse(given[name])
    except ValueError as error:
        raise ValueError(f"{error} for {name}") from None
    assert isinstance(value, int | float)
    return value


CHECK = Kind("ping,/PATH,…", _check)
