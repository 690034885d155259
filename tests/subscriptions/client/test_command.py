"""The command line is understood, or refused in one line."""

import sys

import pytest

from uwsgi_router.subscriptions.client.command import main, parse
from uwsgi_router.subscriptions.client.drain import Drain
from uwsgi_router.version import __version__

GOOD = ["--server", "127.0.0.1:3032", "--key", "example.com", "--address", "127.0.0.1:8000"]
PROGRAM = ["--", "gunicorn", "-b", "{address}", "--", "x"]


def test_everything() -> None:
    plan = parse(
        [
            *GOOD,
            *("--server", "/run/announce.sock", "--key", "b.example", "--proto", "uwsgi"),
            *("--weight", "3", "--sign", "SHA256:/k.pem", "--check", "/health", "--drain", "1m"),
            *("--drain-delay", "500ms", "--interval", "5", "--notify", "/run/n", *PROGRAM),
        ]
    )
    told = [(str(a.server), a.key, a.address, a.proto, a.weight) for a in plan.announcements]
    assert told == [
        (server, key, "127.0.0.1:8000", "uwsgi", 3)
        for server in ("127.0.0.1:3032", "/run/announce.sock")
        for key in ("example.com", "b.example")
    ]
    assert all(a.signer is not None for a in plan.announcements)
    assert plan.program == ("gunicorn", "-b", "{address}", "--", "x")
    assert (plan.check.path, plan.check.host) == ("/health", "example.com")
    assert (plan.drain, plan.interval, plan.notify) == (Drain(60, 0.5), 5, "/run/n")


def test_defaults() -> None:
    plan = parse([*GOOD, *PROGRAM])
    (announced,) = plan.announcements
    assert (announced.proto, announced.weight, announced.signer) == ("http", 1, None)
    assert (plan.drain, plan.interval, plan.check.path) == (Drain(8, 5), 10, None)


@pytest.mark.parametrize(
    ("options", "proto"),
    [
        (["--address", "http://127.0.0.1:8000"], "http"),
        (["--address", "uwsgi://127.0.0.1:8000"], "uwsgi"),
        (["--address", "uwsgi://127.0.0.1:8000", "--proto", "uwsgi"], "uwsgi"),
        (["--address", "127.0.0.1:8000", "--proto", "uwsgi"], "uwsgi"),
    ],
)
def test_the_address_may_say_what_is_spoken_there(options: list[str], proto: str) -> None:
    (announced,) = parse([*GOOD[:4], *options, *PROGRAM]).announcements
    assert (announced.address, announced.proto) == ("127.0.0.1:8000", proto)


def test_address_and_protocol_must_not_contradict_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--address", "uwsgi://127.0.0.1:8000", "--proto", "http"]
    assert main([*GOOD[:4], *options, *PROGRAM]) == 2
    assert (
        capsys.readouterr().err
        == "uwsgi-subscribe: address 'uwsgi://127.0.0.1:8000' says uwsgi, the protocol is http\n"
    )


def test_strings_of_uwsgi() -> None:
    strings = ["--subscribe-to", "127.0.0.1:3032:a", "--subscribe2", "server=/run/s,key=b,addr=@b"]
    plan = parse([*strings, "--address", "127.0.0.1:8000", *PROGRAM])
    told = [(str(a.server), a.key, a.address, a.proto) for a in plan.announcements]
    assert told == [
        ("127.0.0.1:3032", "a", "127.0.0.1:8000", "http"),
        ("/run/s", "b", "@b", "http"),
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([*GOOD], "there is no program: write -- and then the program"),
        ([*GOOD, "--"], "there is no program"),
        (
            [*GOOD, "gunicorn", "-b", "{address}"],
            "write -- before the program: -- gunicorn -b '{address}'",
        ),
        ([*PROGRAM], "nothing to announce: write --router HOST:PORT --host HOST"),
        ([*GOOD[:2], *GOOD[4:], *PROGRAM], "there is no host: write --host"),
        ([*GOOD[2:], *PROGRAM], "there is no router: write --router"),
        ([*GOOD[:4], *PROGRAM], "there is no address"),
        ([*GOOD, "--key", "x" * 256, *PROGRAM], "the key has 256 bytes"),
        ([*GOOD, "--sign", "SHA999:/k", *PROGRAM], "no digest"),
        ([*GOOD, "--check", "health", *PROGRAM], "write a path such as /health"),
        ([*GOOD, "--weight", "0", *PROGRAM], "weight 0"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments, "uwsgi-subscribe") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("uwsgi-subscribe: ")
    assert reason in line


@pytest.mark.parametrize(
    "wrong",
    [
        ["--drain", "soon"],
        ["--interval", "0"],
        ["--proto", "gopher"],
        ["--weight", "x"],
        ["--adress", "a"],
    ],
)
def test_wrong_use_is_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*GOOD, *wrong, *PROGRAM])
    assert caught.value.code == 2
    assert "usage: uwsgi-subscribe --router" in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    names = "server key address proto weight sign check drain drain-delay interval notify subscribe-to subscribe2"
    assert [name for name in names.split() if f"--{name}" not in text] == []
    assert "{address}" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"uwsgi-subscribe {__version__}\n"


def test_the_module_is_the_command() -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "uwsgi_router.subscriptions.client", "--help"],
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"usage: uwsgi-subscribe --router")
