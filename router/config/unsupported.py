"""Options of uWSGI's that do not work here, read from ``unsupported.toml``, which says why and what happens instead."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from uwsgi_router.router.config.option import Option, Provenance, Standing
from uwsgi_router.router.config.values import ANY, ANY_OPTIONAL, ANY_SWITCH, COUNT

_NAME: Final = re.compile(r"(?P<name>[^/!?]+)(?P<mark>[!?]?)(?:/(?P<short>.))?")
_SHOWN: Final = {COUNT.shown: COUNT, "": ANY_SWITCH}
_KINDS: Final = {"": ANY, "!": ANY_SWITCH, "?": ANY_OPTIONAL}


@dataclass(frozen=True, slots=True)
class Topic:
    """Options that share one answer.

    Attributes:
        title: what they are about; their heading in the options page.
        standing: their class.
        reason: why nothing is lost, what happens instead, or what to do.
        refused: a *not yet* that stops the start.
        options: one for each name.
    """

    title: str
    standing: Standing
    reason: str
    refused: bool
    options: tuple[Option, ...]


@cache
def topics() -> tuple[Topic, ...]:
    """Return the topics, in the order of the file."""
    return tuple(map(_topic, _data()["topic"]))


def options_of(router: str, group: str) -> list[Option]:
    """Return the options of one router that do not work.

    Args:
        router: its prefix.
        group: the heading of its options.
    """
    return [
        Option(
            name=f"{router}-{one['name']}",
            kind=_SHOWN.get(one["shown"], ANY),
            help=one["help"],
            group=group,
            aliases=tuple(f"{router}-{alias}" for alias in one.get("aliases", ())),
            standing=Standing(one["standing"]),
            instead=one["instead"].replace("{router}", router),
            refused=one.get("refused", False),
            harmless=frozenset(one.get("harmless", ())),
            origin=Provenance.UNRELEASED if one.get("unreleased") else Provenance.UWSGI,
        )
        for one in _data()["option"]
        if router in one["routers"]
    ]


@cache
def _data() -> Mapping[str, Any]:
    import tomllib  # noqa: PLC0415 - most starts do not need it

    with open(os.path.join(os.path.dirname(__file__), "unsupported.toml"), "rb") as file:
        return tomllib.load(file)


def _topic(data: Mapping[str, Any]) -> Topic:
    title, standing, reason = data["title"], Standing(data["standing"]), data["reason"]
    refused = data.get("refused", False)
    found = []
    for word in data["names"].split():
        match = _NAME.fullmatch(word)
        assert match is not None, word
        found.append(
            Option(
                name=match["name"],
                kind=_KINDS[match["mark"]],
                help="",
                group=title,
                short=match["short"] or "",
                repeatable=True,
                standing=standing,
                instead=reason,
                refused=refused,
            )
        )
    return Topic(title, standing, reason, refused, tuple(found))
