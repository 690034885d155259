"""Commands ``pty`` and ``tuntap-device``: wrong command lines, escapes; what they do is tested end to end."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.cli import pty, tuntap_device
from uwsgi_router.router.cli.terminal import EscapeReader, window_of


@given(st.lists(st.binary(max_size=8).map(lambda data: data.replace(b"~", b"")), max_size=8))
def test_what_is_typed_without_tildes_passes(parts: list[bytes]) -> None:
    reader = EscapeReader()
    assert b"".join(map(reader.read, parts)) == b"".join(parts)
    assert not reader.left


@pytest.mark.parametrize(
    ("typed", "passes", "leaves"),
    [
        (b"~.", b"", True),
        (b"ls\r~.more", b"ls\r", True),
        (b"ls\n~.", b"ls\n", True),
        (b"a~.b", b"a~.b", False),
        (b"~~.", b"~.", False),
        (b"~~\r~.", b"~\r", True),
        (b"~x", b"~x", False),
        (b"~\r~.", b"~\r", True),
        (b"cd ~\r", b"cd ~\r", False),
    ],
)
def test_an_escape_stands_at_the_beginning_of_a_line(
    typed: bytes, passes: bytes, leaves: bool
) -> None:
    for parts in ([typed], [typed[at : at + 1] for at in range(len(typed))]):
        reader = EscapeReader()
        passed = b""
        for part in parts:
            if not reader.left:
                passed += reader.read(part)
        assert (passed, reader.left) == (passes, leaves)


def test_what_is_no_terminal_has_no_window() -> None:
    reading, writing = os.pipe()
    assert window_of(reading) is None
    os.close(reading)
    os.close(writing)


def test_pty_refuses_a_wrong_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert pty.main(["@"]) == 2
    assert capsys.readouterr().err == (
        "uwsgi-router pty: an abstract UNIX name needs at least one character and no NUL\n"
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["uw0", "127.0.0.1:3000"], "expected the path of a UNIX socket, not 127.0.0.1:3000"),
        (
            ["uw0", "/run/a.sock", "--rule", "in 10.0.0.1 10.0.0.2 drop"],
            "expected in or out, SRC[/LEN], DST[/LEN], then allow, deny or gateway ADDRESS:PORT",
        ),
    ],
)
def test_tuntap_device_refuses_what_it_can_t_use(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuntap_device.main(arguments) == 2
    assert capsys.readouterr().err == f"uwsgi-router tuntap-device: {error}\n"
