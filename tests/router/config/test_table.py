"""Every option that uWSGI knows has its place, and is read from the command line as there."""

from pathlib import Path

import pytest

from uwsgi_router.router.config import table
from uwsgi_router.router.config.option import Option, Provenance, Standing
from uwsgi_router.router.config.values import Argument

LINES = (Path(__file__).parent / "uwsgi-2.0.31-options.txt").read_text().splitlines()
KNOWN = dict(line.split() for line in LINES if not line.startswith("#"))
#: Options of plugins, and of libcap, that PyPI's build leaves out.
OF_PLUGINS = 36
OF_LIBCAP = 3
MASTER_ONLY = (  # of uWSGI's unreleased line, written by uwsgiconf
    "fastrouter-force-key",
    "fastrouter-emperor-socket",
    "fastrouter-max-retries",
    "fastrouter-defer-connect-timeout",
    "http-session-context",
    "subscription-mountpoint",
    "subscription-vassal-required",
    "subscription-tolerance-inactive",
    "subscription-clear-on-shutdown",
    "emperor-command-socket",
    "emperor-wait-for-command",
    "emperor-wait-for-command-ignore",
)


def test_there_are_as_many_as_the_program_listed() -> None:
    assert len(KNOWN) == 1015 + OF_PLUGINS + OF_LIBCAP


def test_every_option_of_uwsgi_is_in_the_table() -> None:
    assert set(KNOWN) - set(table.names()) == set()


def test_every_option_that_uwsgiconf_writes_is_in_the_table() -> None:
    assert set(MASTER_ONLY) - set(table.names()) == set()


def test_arguments_are_taken_from_the_command_line_as_uwsgi_does() -> None:
    different = {
        name
        for name, argument in KNOWN.items()
        if table.names()[name].kind.argument.value != argument
    }
    # uWSGI wants a word after these; uwsgi-router takes them with and without.
    assert different == {
        "fastrouter-quiet",
        "http-quiet",
        "http-server-name-as-http-host",
        "rawrouter-quiet",
        "sslrouter-quiet",
    }
    assert {table.names()[name].kind.argument for name in different} == {Argument.WORD}


def test_what_uwsgi_does_not_know_is_told_apart() -> None:
    shown = table.spelled_out()
    told = {name for one in shown if one.origin is not Provenance.UWSGI for name in one.names}
    assert {name for one in shown for name in one.names} - set(KNOWN) == told
    assert {name for name in told if name in MASTER_ONLY} <= {
        name for one in shown if one.origin is Provenance.UNRELEASED for name in one.names
    }


@pytest.mark.parametrize(
    ("letter", "name"),
    [("s", "socket"), ("M", "master"), ("p", "processes"), ("d", "daemonize"), ("C", "chmod-socket"),
     ("l", "listen"), ("w", "module"), ("S", "set"), ("T", "enable-threads"), ("H", "home")],
)  # fmt: skip
def test_letters_are_those_of_uwsgi(letter: str, name: str) -> None:
    assert table.letters()[letter].name == name


def options() -> list[Option]:
    return list({id(option): option for option in table.names().values()}.values())


def test_what_does_not_work_says_why_and_what_instead() -> None:
    silent = [o.name for o in options() if o.standing is not Standing.WORKS and not o.instead]
    assert silent == []


def test_what_works_has_a_help_text() -> None:
    assert [o.name for o in options() if o.standing is Standing.WORKS and not o.help] == []


def test_only_what_is_not_yet_is_refused_or_harmless() -> None:
    odd = [
        o.name
        for o in options()
        if (o.refused or o.harmless) and o.standing is not Standing.NOT_YET
    ]
    assert odd == []


@pytest.mark.parametrize(
    ("name", "standing", "refused"),
    [
        ("master", Standing.BY_DESIGN, False),
        ("force-gateway", Standing.BY_DESIGN, False),
        ("no-orphans", Standing.BY_DESIGN, False),
        ("vacuum", Standing.BY_DESIGN, False),
        ("plugins", Standing.BY_DESIGN, False),
        ("enable-threads", Standing.BY_DESIGN, False),
        ("die-on-term", Standing.BY_DESIGN, False),
        ("thunder-lock", Standing.BY_DESIGN, False),
        ("strict", Standing.BY_DESIGN, False),
        ("need-app", Standing.BY_DESIGN, False),
        ("processes", Standing.BY_DESIGN, False),
        ("log-format", Standing.BY_DESIGN, False),
        ("fastrouter-workers", Standing.WORKS, False),
        ("fastrouter-harakiri", Standing.WORKS, False),
        ("fastrouter-zerg", Standing.WORKS, False),
        ("fastrouter-resubscribe", Standing.WORKS, False),
        ("fastrouter-resubscribe-bind", Standing.WORKS, False),
        ("fastrouter-emperor-socket", Standing.NOT_YET, False),
        ("fastrouter-defer-connect-timeout", Standing.NOT_YET, False),
        ("fastrouter-use-cache", Standing.WORKS, False),
        ("cache2", Standing.WORKS, False),
        ("cache-store", Standing.NOT_YET, False),
        ("cache-sync", Standing.NOT_YET, True),
        ("cache-expire-freq", Standing.BY_DESIGN, False),
        ("fastrouter-use-code-string", Standing.WORKS, False),
        ("http", Standing.WORKS, False),
        ("http-workers", Standing.WORKS, False),
        ("http-harakiri", Standing.WORKS, False),
        ("http-zerg", Standing.WORKS, False),
        ("http-resubscribe", Standing.WORKS, False),
        ("http-stud-prefix", Standing.NOT_YET, True),
        ("http-events", Standing.BY_DESIGN, False),
        ("forkptyrouter", Standing.WORKS, False),
        ("forkpty-urouter", Standing.WORKS, False),
        ("forkptyrouter-workers", Standing.NOT_YET, False),
        ("forkptyrouter-cheap", Standing.BY_DESIGN, False),
        ("tuntap-router", Standing.WORKS, False),
        ("tuntap-device-rule", Standing.WORKS, False),
        ("pty-uconnect", Standing.WORKS, False),
        ("pty-no-isig", Standing.BY_DESIGN, False),
        ("pty-socket", Standing.APPLICATION, False),
        ("https-session-context", Standing.BY_DESIGN, False),
        ("http-session-context", Standing.BY_DESIGN, False),
        ("subscriptions-sign-check", Standing.WORKS, False),
        ("subscriptions-credentials-check", Standing.WORKS, False),
        ("subscription-vassal-required", Standing.NOT_YET, True),
        ("daemonize", Standing.NOT_YET, True),
        ("chroot", Standing.NOT_YET, True),
        ("module", Standing.APPLICATION, False),
        ("wsgi-file", Standing.APPLICATION, False),
        ("psgi", Standing.APPLICATION, False),
        ("rack", Standing.APPLICATION, False),
    ],
)
def test_classes(name: str, standing: Standing, refused: bool) -> None:
    option = table.names()[name]
    assert (option.standing, option.refused) == (standing, refused)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("fastruter", "fastrouter"),
        ("fastrouter_to", "fastrouter-to"),
        ("fastrouter-subscription-servers", "fastrouter-subscription-server"),
        ("subscription-tolerence", "subscription-tolerance"),
        ("Master", "master"),
    ],
)
def test_the_nearest_name_is_the_one_that_was_meant(written: str, meant: str) -> None:
    assert table.nearest(written) == meant


def test_nothing_is_near_to_nonsense() -> None:
    assert table.nearest("qqqqqqqqqq") is None
