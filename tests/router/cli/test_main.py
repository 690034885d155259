"""Reserved words are commands; everything else runs routers, or says in one line each why not."""

import socket
from pathlib import Path

import pytest

from tests.lab.processes import run_python
from uwsgi_router.router.cli.command_table import COMMANDS
from uwsgi_router.router.cli.main import main
from uwsgi_router.version import __version__, build


@pytest.mark.parametrize("word", ["--help", "-h", "--usage", "help"])
def test_help(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert capsys.readouterr().out.startswith(
        "usage: uwsgi-router [options] [FILE.ini[:SECTION]]..."
    )


def test_help_on_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help-all"]) == 0
    assert "--http-websocket-max-message BYTES" in capsys.readouterr().out


def test_help_on_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "websocket"]) == 0
    assert "--http-websocket-timeout" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "meant"),
    [("chek", "check"), ("staus", "status"), ("subscibe", "subscribe"), ("--check", "check")],
)
def test_a_mistyped_command(word: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word, "a.ini"]) == 2
    expected = f"uwsgi-router: there is no command {word}; did you mean {meant}?\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["drain", "--timout", "5", "a:1"], "did you mean --timeout?"),
        (["status", "--jsn"], "did you mean --json?"),
        (["subscribe", "--addres=:1"], "did you mean --address?"),
    ],
)
def test_a_mistyped_option_of_a_command(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert hint in capsys.readouterr().err


def test_help_about_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["help", "get"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("usage: uwsgi-router get")


def test_help_about_one_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help", "--fastrouter-to"]) == 0
    assert capsys.readouterr().out.startswith("--fastrouter-to ADDRESS\n")


def test_help_about_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help", "fastrouter-tu"]) == 2
    assert (
        capsys.readouterr().err
        == "uwsgi-router: unknown option fastrouter-tu; did you mean fastrouter-to?\n"
    )


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert capsys.readouterr().out == f"uwsgi-router {__version__} ({build()})\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_its_version(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([name, "--version"])
    except SystemExit as stop:  # argparse
        code = int(stop.code or 0)
    assert code == 0
    assert capsys.readouterr().out == f"uwsgi-router {name} {__version__}\n"


def test_a_wrong_command_line_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--fastruter", ":1"]) == 2
    expected = (
        "uwsgi-router: command line: unknown option --fastruter; did you mean --fastrouter?\n"
    )
    assert capsys.readouterr().err == expected


def test_a_wrong_file_is_1_with_a_line_for_each_mistake(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "a.ini"
    file.write_text("[uwsgi]\nfastrouter = :x\nnosuch = 1\n")
    assert main([str(file)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(f"{file}:")[2][:1] for line in lines] == ["2", "3"]
    assert all(line.startswith("uwsgi-router: ") for line in lines)


def test_exit_in_a_file_is_the_exit_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "a.ini"
    file.write_text("[uwsgi]\nprint = bye\nexit = 7\n")
    assert main([str(file)]) == 7
    assert capsys.readouterr().out == "bye\n"


def test_what_cannot_start_is_1_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        _cannot_start(f"127.0.0.1:{taken.getsockname()[1]}")


def _cannot_start(address: str) -> None:
    arguments = ["--fastrouter", address, "--fastrouter-to", ":1"]
    code = "import sys; from uwsgi_router.router.cli.main import main; "
    code += f"sys.exit(main({[*arguments, '--print', 'hello']!r}))"
    done = run_python(code)
    assert done.returncode == 1
    assert done.stdout == "hello\n"
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("uwsgi-router: ")]
    assert address in line


@pytest.mark.parametrize(
    "command",
    ["get", "demo", "drain", "enable", "pty", "status", "subscribe", "tuntap-device", "weight"],
)
def test_commands_are_reached(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([command, "--no-such-option"])
    except SystemExit as stop:  # argparse
        code = int(stop.code or 0)
    assert code == 2
    assert "usage: uwsgi-router " + command in capsys.readouterr().err
