"""One entry of the option table: a name, how its value is read, and what becomes of it."""

import enum
from dataclasses import dataclass

from uwsgi_router.router.config.values import Kind


class Standing(enum.Enum):
    """What uwsgi-router does about an option that uWSGI knows."""

    WORKS = "works"
    BY_DESIGN = "true by design"
    """Accepted silently: it is always so here, or there is nothing for it to act on."""
    NOT_YET = "not yet"
    """Accepted with one warning that says what happens instead; or refused, where going on would be unsafe."""
    APPLICATION = "application server's"
    """Refused: the file expects us to run an application."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        name: as written after ``--`` and in files.
        kind: how the value is read, and whether there must be one.
        help: one sentence for ``--help`` and the options page.
        group: its heading there.
        target: ``process.``, ``subscription.``, ``fastrouter.`` or ``http.`` and the field's name in
            ``router.config``; ``any-http.`` is the same for an HTTP router that says nothing else, and asks for
            none; empty for options that set nothing.
        aliases: other names of the same option.
        short: letter for ``-x``, or empty.
        repeatable: every occurrence counts, and all of a reader's list, which if empty takes back what was given
            before; otherwise the last one does.
        standing: one of the four classes.
        instead: for any class but *works*: why, what happens instead, or what to do.
        refused: a *not yet* that stops the start.
        harmless: values for which a *not yet* asks for what is so anyway (``fastrouter-workers = 1``).
    """

    name: str
    kind: Kind
    help: str
    group: str
    target: str = ""
    aliases: tuple[str, ...] = ()
    short: str = ""
    repeatable: bool = False
    standing: Standing = Standing.WORKS
    instead: str = ""
    refused: bool = False
    harmless: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The name and all aliases."""
        return (self.name, *self.aliases)
