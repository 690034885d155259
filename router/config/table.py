"""The option table: every name that uWSGI 2.0.31 knows, and ours."""

import difflib
from collections.abc import Iterable

from uwsgi_router.router.config import (
    application,
    caches,
    fastrouter,
    health,
    http,
    language,
    later,
    process,
    settled,
    subscriptions,
)
from uwsgi_router.router.config.option import Option
from uwsgi_router.router.config.topic import Topic

SPELLED_OUT: tuple[Option, ...] = (
    fastrouter.OPTIONS
    + http.OPTIONS
    + caches.OPTIONS
    + process.OPTIONS
    + subscriptions.OPTIONS
    + health.OPTIONS
    + language.OPTIONS
)
"""Options with a help text of their own, in the order of the help."""

TOPICS: tuple[Topic, ...] = settled.TOPICS + later.TOPICS + application.TOPICS
"""The others."""


def _index(options: Iterable[Option]) -> tuple[dict[str, Option], dict[str, Option]]:
    names: dict[str, Option] = {}
    letters: dict[str, Option] = {}
    for option in options:
        for name in option.names:
            assert name not in names, name
            names[name] = option
        if option.short:
            assert option.short not in letters, option.short
            letters[option.short] = option
    return names, letters


NAMES, LETTERS = _index([*SPELLED_OUT, *(option for topic in TOPICS for option in topic.options())])


def find(name: str) -> Option | None:
    """The option of this name or alias."""
    return NAMES.get(name)


def nearest(name: str) -> str | None:
    """The known name that looks most like this one, if any does."""
    wanted = name.lower().replace("_", "-")
    close = difflib.get_close_matches(wanted, NAMES, n=1, cutoff=0.75)
    return close[0] if close else None
