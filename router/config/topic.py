"""Compact lists of options that share one answer: the long tail of uWSGI's names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from uwsgi_router.router.config.option import Option, Standing
from uwsgi_router.router.config.values import ANY, ANY_OPTIONAL, ANY_SWITCH

_NAME = re.compile(r"(?P<name>[^/!?]+)(?P<mark>[!?]?)(?:/(?P<short>.))?")
_KINDS = {"": ANY, "!": ANY_SWITCH, "?": ANY_OPTIONAL}


@dataclass(frozen=True, slots=True)
class Topic:
    """Some options and why they are in their class.

    Attributes:
        title: what they are about; their heading in the options page.
        standing: their class.
        reason: why nothing is lost, what happens instead, or what to do.
        names: separated by white space; ``!`` after a name: no argument, ``?``: an optional one, ``/x``: its letter.
        refused: a *not yet* that stops the start.
    """

    title: str
    standing: Standing
    reason: str
    names: str
    refused: bool = False

    def options(self) -> Iterator[Option]:
        """One :class:`Option` per name."""
        for word in self.names.split():
            match = _NAME.fullmatch(word)
            assert match is not None, word
            yield Option(
                name=match["name"],
                kind=_KINDS[match["mark"]],
                help="",
                group=self.title,
                short=match["short"] or "",
                repeatable=True,
                standing=self.standing,
                instead=self.reason,
                refused=self.refused,
            )
