"""Option declarations: a field of a configuration class and everything that is to be known about its option.

A field says ``max_keys: int = option("subscription-max-keys", COUNT, "Keys that may be known.", default=10_000)``. The
table of options, the help, the options page and the checks of what has an effect are made from these declarations.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final

from uwsgi_router.router.config.values import SWITCH, Kind

_METADATA: Final = "option"


class Standing(enum.Enum):
    """Standing of an option here: one of the four classes."""

    WORKS = "works"
    BY_DESIGN = "true by design"
    """Accepted silently: it is always so here, or there is nothing for it to act on."""
    NOT_YET = "not yet"
    """Accepted with one warning that says what happens instead; or refused, where going on would be unsafe."""
    APPLICATION = "application server's"
    """Refused: the file expects us to run an application."""


class Provenance(enum.Enum):
    """Provenance of an option: the program that knows it."""

    UWSGI = "uWSGI 2.0.31"
    UNRELEASED = "uWSGI's unreleased version"
    OURS = "uwsgi-router"


class Scope(enum.Enum):
    """Scope of an option."""

    PROCESS = "process"
    """The process as a whole, the table of announced nodes included."""
    ROUTER = "router"
    """One router: its listeners, its clients, its statistics."""
    SITE = "site"
    """The requests of one application inside a router: where they go, and within which limits."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option, as the table has it.

    Attributes:
        name: as written after ``--`` and in files.
        kind: how the value is read, and whether there must be one.
        help: one sentence for ``--help`` and the options page, with the default.
        group: its heading there.
        part: ``process``, ``subscription``, ``fastrouter`` or ``http``: the configuration that it sets a field of;
            ``any-http``: the same for an HTTP router that says nothing else, and asks for none; empty for options that
            set nothing.
        field: the name of that field.
        aliases: other names of the same option.
        short: letter for ``-x``, or empty.
        repeatable: every occurrence counts, and all of a reader's list, which if empty takes back what was given
            before; otherwise the last one does.
        standing: one of the four classes.
        instead: for any class but *works*: why, what happens instead, or what to do.
        refused: a *not yet* that stops the start.
        harmless: values for which a *not yet* asks for what is so anyway (``fastrouter-workers = 1``).
        origin: who knows it.
        scope: what it is about.
        needs: options without one of which this one has no effect.
    """

    name: str
    kind: Kind
    help: str
    group: str
    part: str = ""
    field: str = ""
    aliases: tuple[str, ...] = ()
    short: str = ""
    repeatable: bool = False
    standing: Standing = Standing.WORKS
    instead: str = ""
    refused: bool = False
    harmless: frozenset[str] = frozenset()
    origin: Provenance = Provenance.UWSGI
    scope: Scope = Scope.PROCESS
    needs: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The name and all aliases."""
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class Spelling:
    """Another option that sets the same field, in its own way.

    Attributes:
        name: in full, without a router's prefix.
        kind: how its value is read; None: as the option's.
        help: as of the option.
        origin: who knows it.
        any_router: it asks for no router, and is used where there is one.
        only: the routers that have it; (): those of the field.
    """

    name: str
    kind: Kind | None
    help: str
    origin: Provenance = Provenance.UWSGI
    any_router: bool = False
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declaration:
    """Declaration of an option by a field; see :func:`option`."""

    name: str
    kind: Kind
    help: str
    scope: Scope | None
    group: str
    only: tuple[str, ...]
    aliases: tuple[str, ...]
    also: tuple[str, ...]
    short: str
    repeatable: bool
    origin: Provenance | Mapping[str, Provenance]
    needs: tuple[str, ...]
    zero: str
    shown: str | None
    spellings: tuple[Spelling, ...]
    whole: bool

    def full(self, name: str, prefix: str | None) -> str:
        """Return one of its names as it is written, with the router's prefix if it has one."""
        if self.whole or prefix is None:
            return name
        return f"{prefix}-{name}" if name else prefix


def option(
    name: str,
    kind: Kind,
    help: str,  # noqa: A002
    *,
    default: object,
    scope: Scope | None = None,
    group: str = "",
    only: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    short: str = "",
    repeatable: bool = False,
    origin: Provenance | Mapping[str, Provenance] = Provenance.UWSGI,
    needs: tuple[str, ...] = (),
    zero: str = "",
    shown: str | None = None,
    spellings: tuple[Spelling, ...] = (),
    whole: bool = False,
    hash: bool = True,  # noqa: A002
) -> Any:
    """Return a field of a configuration class, which is the option.

    Args:
        name: of the option; in a router's configuration behind its prefix ("" is the prefix itself).
        kind: how its value is read.
        help: one sentence, without the default; ``{router}`` stands for the router's prefix.
        default: of the field, and so of the option.
        scope: what it is about; None: what the class is about.
        group: its heading; "": the class's.
        only: the routers that have it; (): every one.
        aliases: other names; behind the prefix, too.
        also: other names, whole.
        short: letter for ``-x``.
        repeatable: every occurrence counts.
        origin: who knows it; by router, if that differs (others: uWSGI).
        needs: fields, and properties that are true or false; while all of them are as they are by default, this one
            has no effect.
        zero: what 0 means, for the help.
        shown: the default in the help; None: as it is, "": not at all.
        spellings: other options for the same field.
        whole: ``name`` is whole also in a router's configuration.
        hash: the field counts for the hash of the configuration.
    """
    declaration = Declaration(
        name,
        kind,
        help,
        scope,
        group,
        only,
        aliases,
        also,
        short,
        repeatable,
        origin,
        needs,
        zero,
        shown,
        spellings,
        whole,
    )
    metadata = {_METADATA: declaration}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata, hash=hash)
    return field(default=default, metadata=metadata, hash=hash)


def switch(
    name: str,
    help: str,  # noqa: A002
    *,
    kind: Kind = SWITCH,
    default: bool = False,
    **more: Any,
) -> Any:
    """Return a field that is a switch, off unless said otherwise; parameters as of :func:`option`."""
    return option(name, kind, help, default=default, shown="", **more)


def declared(config: type) -> dict[str, Declaration]:
    """Return the declarations of a configuration class by field, in their order."""
    return {
        one.name: one.metadata[_METADATA] for one in fields(config) if _METADATA in one.metadata
    }


def options_of(
    config: type, part: str, group: str, scope: Scope, *, prefix: str | None = None
) -> list[Option]:
    """Make the options of a configuration class.

    Args:
        config: the class.
        part: see :class:`Option`.
        group: heading of those that have none of their own.
        scope: of those that have none of their own.
        prefix: of a router; None: names are whole.
    """
    declarations = declared(config)
    by_name: dict[str, Field[Any]] = {one.name: one for one in fields(config)}
    found: list[Option] = []

    def made(attribute: str, one: Declaration, **own: Any) -> Option:
        return Option(
            field=attribute,
            group=one.group or group,
            repeatable=one.repeatable,
            scope=one.scope or scope,
            **own,
        )

    for attribute, one in declarations.items():
        if one.only and part not in one.only:
            continue
        found.append(
            made(
                attribute,
                one,
                name=one.full(one.name, prefix),
                kind=one.kind,
                help=_help(one, default_of(by_name[attribute]), prefix or ""),
                part=part,
                aliases=(*(one.full(alias, prefix) for alias in one.aliases), *one.also),
                short=one.short,
                origin=one.origin
                if isinstance(one.origin, Provenance)
                else one.origin.get(part, Provenance.UWSGI),
                needs=tuple(
                    declarations[need].full(declarations[need].name, prefix)
                    for need in one.needs
                    if need in declarations
                ),
            )
        )
        found += [
            made(
                attribute,
                one,
                name=other.name,
                kind=other.kind or one.kind,
                help=other.help,
                part=f"any-{part}" if other.any_router else part,
                origin=other.origin,
            )
            for other in one.spellings
            if not other.only or part in other.only
        ]
    return found


def changed(config: Any, *, prefix: str | None = None) -> dict[str, str]:
    """Return the options of a configuration that are not as by default: their names by field.

    Args:
        config: an instance of a class with declarations.
        prefix: as for :func:`options_of`.
    """
    defaults = {one.name: default_of(one) for one in fields(config)}
    return _differing(config, lambda name: defaults[name], prefix)


def differing(config: Any, other: Any) -> list[str]:
    """Return the names of the options whose values differ in two configurations of the same class."""
    return list(_differing(config, lambda name: getattr(other, name), None).values())


def _differing(config: Any, other: Callable[[str], object], prefix: str | None) -> dict[str, str]:
    return {
        name: declaration.full(declaration.name, prefix)
        for name, declaration in declared(type(config)).items()
        if getattr(config, name) != other(name)
    }


def without_effect(config: Any, *, prefix: str | None = None) -> list[str]:
    """Return a line for each option that is given, and has no effect without another one that is not.

    Args:
        config: an instance of a class with declarations.
        prefix: as for :func:`options_of`.
    """
    given, declarations = changed(config, prefix=prefix), declared(type(config))
    found = []
    for attribute, name in given.items():
        needs = declarations[attribute].needs
        options = [need for need in needs if need in declarations]
        if needs and not any(
            need in given if need in declarations else getattr(config, need) for need in needs
        ):
            needed = " or ".join(
                declarations[need].full(declarations[need].name, prefix) for need in options
            )
            found.append(f"{name} without {needed} has no effect")
    return found


def default_of(one: "Field[Any]") -> object:
    """Return the default of a field."""
    if one.default_factory is not MISSING:
        return one.default_factory()
    return one.default


def _help(one: Declaration, default: object, prefix: str) -> str:
    """Return the sentence with the default in parentheses before its full stop."""
    text = one.help.replace("{router}", prefix)
    notes = []
    shown = one.shown
    if shown is None:
        shown = "" if default in (None, ()) or isinstance(default, dict) else one.kind.show(default)
    if shown and not (one.zero and default == 0):
        notes.append(shown.replace("{router}", prefix))
    if one.zero:
        notes.append(f"0: {one.zero}")
    elif one.kind.zero is not None and one.kind.zero == default and default:
        notes.append(f"0 means {one.kind.show(default)}")
    return f"{text.removesuffix('.')} ({'; '.join(notes)})." if notes else text
