"""Completion scripts as real shells take them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from uwsgi_router.router.cli.command_table import COMMANDS
from uwsgi_router.router.cli.completion import bash, fish, zsh
from uwsgi_router.router.cli.main import main
from uwsgi_router.router.config import table
from uwsgi_router.router.config.option import Standing

# The last word is what is completed; some of the answers, and some that must not be among them.
CASES = [
    (["che"], {"check"}, {"status"}),
    (["co"], {"completion"}, {"check"}),
    (["--http-websocket-m"], {"--http-websocket-max-frame"}, {"--http-websockets", "--strict"}),
    (["-"], {"--http", "--fastrouter-to", "--uid", "--help-all"}, {"--strict"}),
    (["router.ini", "--http-t"], {"--http-to", "--http-timeout"}, set()),
    (["check", "-"], {"--strict", "--json"}, {"--http"}),
    (["check", "--", "--http-t"], {"--http-to"}, set()),
    (["subscribe", "--proto", ""], {"uwsgi", "http"}, {"--key"}),
    (["keys", "n"], {"new"}, set()),
    (["keys", "new", "--type", "rsa2"], {"rsa2048"}, {"ec"}),
    (["completion", ""], {"bash", "zsh", "fish"}, set()),
    (["help", "http-websocket-t"], {"http-websocket-timeout"}, set()),
]


def run(program: str, *arguments: str) -> set[str]:
    """Run a shell; return the first words of its lines."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not there: `make peers`, as root, installs it")
    done = subprocess.run(
        [found, *arguments], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize(("words", "some", "none"), CASES)
def test_bash(words: list[str], some: set[str], none: set[str], tmp_path: Path) -> None:
    file = tmp_path / "script"
    arguments = 'COMP_WORDS=(uwsgi-router "$@")\nCOMP_CWORD=$#\n'
    call = "_uwsgi_router\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    file.write_text(f"{bash()}\n{arguments}{call}")
    found = run("bash", "--norc", str(file), *words)
    assert some <= found
    assert not none & found


@pytest.mark.parametrize(("words", "some", "none"), CASES)
def test_zsh(words: list[str], some: set[str], none: set[str], tmp_path: Path) -> None:
    file = tmp_path / "script"
    # What completion functions of zsh call, reduced to what they would offer.
    functions = """
compdef() { : }
_files() { : }
_normal() { : }
compadd() { shift; for one in "$@"; [[ $one == "$words[CURRENT]"* ]] && print -r -- $one; true }
_describe() { local one; for one in "${(@P)@[-1]}"; compadd -- "${one%%:*}" }
"""
    file.write_text(
        f'{functions}{zsh()}\nwords=(uwsgi-router "$@")\nCURRENT=$#words\n_uwsgi_router\n'
    )
    found = run("zsh", "-f", str(file), *words)
    assert some <= found
    assert not none & found


@pytest.mark.parametrize(("words", "some", "none"), CASES)
def test_fish(words: list[str], some: set[str], none: set[str], tmp_path: Path) -> None:
    file = tmp_path / "script"
    line = " ".join(["uwsgi-router", *words])
    file.write_text(f"{fish()}\ncomplete -C '{line}'\n")
    found = run("fish", "--no-config", str(file))
    assert some <= found
    assert not none & found


@pytest.mark.parametrize("script", [bash, zsh, fish])
def test_every_command_and_option_is_there(script: object) -> None:
    assert callable(script)
    text = script()
    for name in COMMANDS:
        assert f" {name}" in text or f"'{name}:" in text
    for option in table.spelled_out():
        if option.standing is Standing.WORKS:
            assert option.name in text


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == bash()
    with pytest.raises(SystemExit) as stop:
        main(["completion", "tcsh"])
    assert stop.value.code == 2
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err
