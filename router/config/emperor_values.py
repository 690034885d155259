"""Readers of the Emperor's values: places, namespaces, settings for vassals."""

from typing import Final

from uwsgi_router.router.config.values import Kind

#: Names of the namespaces that a vassal may have of its own, by every word for them.
NAMESPACES: Final = {
    "ipc": "ipc",
    "net": "net",
    "pid": "pid",
    "fs": "fs",
    "ns": "fs",
    "mount": "fs",
    "mnt": "fs",
    "user": "user",
    "uts": "uts",
}
_SHARED: Final = frozenset({"files", "io", "parent", "sysvsem"})


def _place(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not text or (separator and not (scheme and rest)):
        raise ValueError("expected a directory, a file or a pattern, for example /etc/vassals")
    return text


def _namespaces(text: str) -> tuple[str, ...]:
    found = []
    for word in map(str.strip, text.split(",")):
        if word in _SHARED:
            raise ValueError(
                f"expected namespaces: {word} is none, with it a vassal would share the Emperor's"
            )
        if word not in NAMESPACES:
            raise ValueError("expected namespaces: ipc, uts, fs, pid, net or user, with commas")
        found.append(NAMESPACES[word])
    return tuple(dict.fromkeys(found))


def _setting(text: str) -> str:
    name, equals, _value = text.partition("=")
    if not name or not equals:
        raise ValueError("expected NAME=VALUE")
    return text


def _suffix(text: str) -> str:
    if not text or "/" in text:
        raise ValueError("expected the end of file names, for example .conf")
    return text


PLACE = Kind("PLACE", _place)
NAMESPACES_KIND = Kind("NAMESPACE,…", _namespaces)
SETTING = Kind("NAME=VALUE", _setting, free=True)
SUFFIX = Kind("SUFFIX", _suffix)
