"""Declarations of options: the name sets the field, the help has the default, what has no effect alone says so."""

import re
from dataclasses import fields
from typing import Any

import pytest

from tests.router.config.samples import sample
from uwsgi_router.router.config import table
from uwsgi_router.router.config.load import examine
from uwsgi_router.router.config.model import (
    Configuration,
    EmperorConfig,
    ForkptyConfig,
    HttpRouterConfig,
    ProcessConfig,
    PtyConfig,
    RawRouterConfig,
    RouterConfig,
    SslRouterConfig,
    SubscriptionConfig,
    TlsConfig,
    TunTapConfig,
)
from uwsgi_router.router.config.option import Option, changed, declared

CONFIGURATIONS: dict[str, type[Any]] = {
    "process": ProcessConfig,
    "subscription": SubscriptionConfig,
    "fastrouter": RouterConfig,
    "http": HttpRouterConfig,
    "rawrouter": RawRouterConfig,
    "sslrouter": SslRouterConfig,
    "forkpty": ForkptyConfig,
    "pty": PtyConfig,
    "tuntap": TunTapConfig,
    "tls": TlsConfig,
    "emperor": EmperorConfig,
}
CLASSES = tuple(CONFIGURATIONS.values())
WORKING = [one for one in table.spelled_out() if one.part]


def part_of(configuration: Configuration, part: str) -> Any:
    if part in ("process", "subscription", "forkpty", "pty", "tuntap", "tls", "emperor"):
        return getattr(configuration, part)
    kind = part.removeprefix("any-")
    (router,) = (one for one in configuration.routers if one.kind == kind)
    return router


@pytest.mark.parametrize("option", WORKING, ids=[one.name for one in WORKING])
def test_every_option_sets_its_field_and_no_other(option: Option) -> None:
    given = sample(option)
    value = option.kind.parse(given)
    wanted: Any = value
    if option.repeatable:
        wanted = tuple(value) if isinstance(value, list) else (value,)
    elif isinstance(value, list):
        wanted = tuple(value)
    if option.field == "env":
        wanted = dict(wanted)
    for name in option.names:
        # Also asks for the router, without which "any" router's options do nothing.
        router = ["--http=:1"] if option.part == "any-http" else []
        argument = [] if option.kind.argument.value == "none" else [given]
        made = examine([*router, f"--{name}" + "".join(f"={one}" for one in argument)], {})
        from_environment = examine(router, {"UWSGI_" + name.upper().replace("-", "_"): given})
        for report in (made, from_environment):
            part = part_of(report.configuration, option.part)
            assert getattr(part, option.field) == wanted
            assert set(changed(part)) - ({"listen"} if router else set()) == {option.field}


@pytest.mark.parametrize("config", CLASSES)
def test_every_field_is_declared(config: type) -> None:
    assert {one.name for one in fields(config)} - set(declared(config)) <= (
        {"kind", "listen"} if config is SslRouterConfig else {"kind"}
    )


@pytest.mark.parametrize("config", CLASSES)
def test_every_declaration_has_a_help_and_needs_what_there_is(config: type) -> None:
    names = declared(config)
    for one in names.values():
        assert one.help.endswith((".", "…"))
        assert all(
            need in names or isinstance(getattr(config, need), property) for need in one.needs
        )


@pytest.mark.parametrize("option", WORKING, ids=[one.name for one in WORKING])
def test_a_default_that_is_a_number_is_in_the_help(option: Option) -> None:
    config = CONFIGURATIONS[option.part.removeprefix("any-")]
    default = getattr(config(), option.field)
    if isinstance(default, bool) or not isinstance(default, int | float) or not default:
        return
    assert re.search(rf"\({re.escape(option.kind.show(default))}[;)]", option.help)


@pytest.mark.parametrize(
    ("option", "needed"),
    [(one, need) for one in WORKING for need in one.needs],
    ids=lambda one: one.name if isinstance(one, Option) else one,
)
def test_an_option_that_needs_another_one_says_so(option: Option, needed: str) -> None:
    argument = "" if option.kind.argument.value == "none" else f"={sample(option)}"
    alone = examine([f"--{option.name}{argument}"], {})
    line = f"{option.name} without {' or '.join(option.needs)} has no effect"
    nobody = f"{option.name} has no effect: there is no subscription server"
    assert {line, nobody} & {problem.message for problem in alone.warnings}
    other = table.find(needed)
    assert other is not None
    value = "" if other.kind.argument.value == "none" else f"={sample(other)}"
    both = examine([f"--{option.name}{argument}", f"--{needed}{value}"], {})
    assert line not in {problem.message for problem in both.warnings}
