"""A page as a story: what it tells to save is saved, what it tells to type is typed, in order.

The example's fixed ports stand for free ones, and its absolute paths lie in a directory of the test's own; what
programs print is turned back before it is compared.
"""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import Block, Command, commands, pattern
from tests.docs.images import check_dockerfile
from tests.docs.units import check_unit
from tests.lab import programs
from tests.lab.processes import Process, free_port
from tests.lab.waiting import wait_until
from uwsgi_router.router.cli import serve
from uwsgi_router.router.config.lines import Problem
from uwsgi_router.router.config.load import examine
from uwsgi_router.subscriptions.client import command as subscribe
from uwsgi_router.subscriptions.client.arguments import split_at_dashes
from uwsgi_router.subscriptions.client.control import DEFAULT, VARIABLE

_PORT = re.compile(r"(\b127\.0\.0\.1:|\"127\.0\.0\.1\", )(\d{4})\b")
_PATH = re.compile(r"(?<![\w./…])(?=/(?:etc|run|srv|var)/)")
# Seconds for a command, and for a line of a program that runs.
_PATIENCE = 15.0
# After a file's name: a command further down tells what is wrong with it.
_LATER = "; checked below"
_UWSGI_PARAMS = "uwsgi_param QUERY_STRING $query_string;\n"


class Scenario:
    """Runs the blocks of one page.

    Args:
        directory: an empty one.
        stack: ends what was started.
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.home = directory / "home"
        for there in ("home", "etc", "run"):
            (directory / there).mkdir()
        self._root = directory
        stack.callback(self._end)
        self._ports: dict[str, str] = {}
        self._running: dict[str, Process] = {}
        self._kinds: dict[str, Callable[[Block], None]] = {
            "console": self._console,
            "dockerfile": self._dockerfile,
            "ini": self._ini,
            "json": self._json,
            "nginx": self._nginx,
            "python": self._python,
            "sh": self._sh,
            "systemd": self._systemd,
            "text": self._text,
        }

    def run(self, block: Block) -> None:
        """Check one block.

        Raises:
            AssertionError: with the page's line, and what was found instead.
        """
        # What stands in braces is for Sphinx.
        if block.argument("not run") or block.language.startswith("{"):
            return
        assert block.language in self._kinds, f"{block.where}: nobody checks {block.language!r}"
        name = block.argument("file")
        if name:
            self._save(name.removesuffix(_LATER), block.text)
            if name.endswith(_LATER):
                return
        self._kinds[block.language](block)

    # From the page to this machine, and back

    def _here(self, text: str) -> str:
        return _PORT.sub(lambda m: m[1] + self._port(m[2]), _PATH.sub(str(self._root), text))

    def _port(self, shown: str) -> str:
        if shown not in self._ports:
            self._ports[shown] = str(_port_of_both_kinds())
        return self._ports[shown]

    def _shown(self, output: str) -> str:
        for shown, port in self._ports.items():
            output = output.replace(f":{port}", f":{shown}")
        return output.replace(str(self._root), "").replace(str(programs.ROOT), "…")

    def _save(self, name: str, text: str) -> None:
        path = Path(self._here(name)) if name.startswith("/") else self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._here(text))

    # Programs

    def _environment(self) -> dict[str, str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("UWSGI_")}
        environment.pop("NOTIFY_SOCKET", None)
        ours, peers = Path(sys.executable).parent, programs.ROOT / ".peers/venv/bin"
        path = f"{ours}:{peers}:{environment['PATH']}"
        control = self._root / DEFAULT.removeprefix("/")
        if control.exists():
            # On a reader's machine it is where commands look by themselves.
            environment[VARIABLE] = str(control)
        # Its socket would lie outside of the test's directory.
        gunicorn = {"GUNICORN_CMD_ARGS": "--no-control-socket"}
        return {**environment, **gunicorn, "PATH": path, "PYTHONUNBUFFERED": "1"}

    def _console(self, block: Block) -> None:
        typed = commands(block)
        if any(re.match(r"uwsgi\b(?!-)", command.line) for command in typed):
            programs.uwsgi()
        if any(command.line.startswith("redis-") for command in typed):
            programs.debian("redis-server")
        name = block.argument("keeps running")
        if name:
            assert len(typed) == 1, f"{block.where}: one command keeps running"
            self._start(block, name, typed[0])
            return
        expected = re.fullmatch(r"exit (\d+)", block.comment)
        for command in typed:
            self._type(block, command, int(expected[1]) if expected else 0)

    def _type(self, block: Block, command: Command, code: int) -> None:
        done = subprocess.run(
            ["sh", "-c", self._here(command.line)],
            cwd=self.home,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        output = self._shown(done.stdout)
        where = f"{block.where}: $ {command.line}\n{output}"
        assert done.returncode == code, f"{where}exit code {done.returncode}, not {code}"
        if command.output:
            assert _matches(command.output, output.splitlines()), where

    def _start(self, block: Block, name: str, command: Command) -> None:
        if name in self._running:
            # Whoever follows the page has stopped it before.
            self._running[name].kill()
            self._running[name].log.unlink()
        argv = shlex.split(self._here(command.line).replace("\\\n", " "))
        environment = self._environment()
        found = _which(argv[0], environment["PATH"])
        process = Process(
            name,
            [found, *argv[1:]],
            log=self._root / f"{name.replace(' ', '-')}.log",
            env={"NOTIFY_SOCKET": None, **environment},
            cwd=self.home,
        )
        self._running[name] = process
        self._wait_for(block, process, command.output, starting=True)

    def _end(self) -> None:
        for process in self._running.values():
            process.kill()

    def _wait_for(
        self, block: Block, process: Process, lines: list[str], *, starting: bool = False
    ) -> None:
        """Wait until the program has printed each line; a line that begins with blanks continues the one before."""
        for line in re.sub(r"\n\s+", " ", "\n".join(lines)).splitlines():
            wanted = pattern(line)

            def printed(wanted: re.Pattern[str] = wanted) -> bool:
                running = process.running()
                found = wanted.search(self._shown(process.output())) is not None
                assert found or running or not starting
                return found

            try:
                wait_until(printed, line, _PATIENCE)
            except AssertionError:
                shown = self._shown(process.output())
                pytest.fail(f"{block.where}: {process.name} printed only\n{shown}", pytrace=False)

    # Texts

    def _text(self, block: Block) -> None:
        shows = re.fullmatch(r"(.+) shows", block.comment)
        like = re.fullmatch(r"like (http://\S+)", block.comment)
        if like:
            self._metrics(block, like[1])
            return
        assert shows, f"{block.where}: nothing says how this is checked"
        assert shows[1] in self._running, f"{block.where}: {shows[1]} does not run"
        self._wait_for(block, self._running[shows[1]], block.text.splitlines())

    def _json(self, block: Block) -> None:
        like = re.fullmatch(r"like (http://\S+)", block.comment)
        assert like, f"{block.where}: nothing says what it is like"
        assert shape(json.loads(block.text)) == shape(json.loads(self._fetch(like[1]))), block.where

    def _metrics(self, block: Block, url: str) -> None:
        there = set(map(series, self._fetch(url).splitlines()))
        for line in block.text.splitlines():
            assert series(line) in there, f"{block.where}: no such series: {line}"

    def _fetch(self, url: str) -> str:
        with urllib.request.urlopen(self._here(url), timeout=_PATIENCE) as answer:
            text: str = answer.read().decode()
        return text

    def _ini(self, block: Block) -> None:
        file = self.home / "checked.ini"
        file.write_text(self._here(block.text))
        report = examine([str(file)], {})
        found = [str(line) for line in (*report.problems, *report.warnings)]
        assert found == [], block.where

    def _nginx(self, block: Block) -> None:
        text = self._here(block.text)
        if re.match(r"\s*location\b", text):
            text = f"server {{ listen {self._here('127.0.0.1:8080')};\n{text}\n}}"
        (self._root / "uwsgi_params").write_text(_UWSGI_PARAMS)
        file = self._root / "nginx.conf"
        kinds = ("client_body", "uwsgi", "proxy", "fastcgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {self._root}/{kind};\n" for kind in kinds)
        file.write_text(
            f"pid {self._root}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{ access_log off;\n{temporary}{text} }}\n"
        )
        argv = [programs.nginx(), "-t", "-e", "stderr", "-c", str(file)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        assert done.returncode == 0, f"{block.where}: {done.stderr}"
        assert "[warn]" not in done.stderr, f"{block.where}: {done.stderr}"

    def _sh(self, block: Block) -> None:
        argv = ["sh", "-n"]
        done = subprocess.run(
            argv, input=block.text, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
        assert done.returncode == 0, f"{block.where}: {done.stderr}"

    def _python(self, block: Block) -> None:
        if block.argument("file"):
            compile(block.text, block.where, "exec")
            return
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", self._here(block.text)],
            cwd=self.home,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{block.where}: {done.stderr}"

    def _systemd(self, block: Block) -> None:
        for line in check_unit(block.text):
            program, *words = shlex.split(line)
            if program.endswith("/uwsgi-subscribe"):
                subscribe.parse(words)
                continue
            report = examine([self._here(word) for word in words], {})
            assert report.problems == (), f"{block.where}: {line}"

    def _dockerfile(self, block: Block) -> None:
        program, *words = check_dockerfile(block.text)
        if program == "uwsgi-router":
            problems: list[Problem] = []
            own, command = split_at_dashes(words[1:])
            serve.read(own, {}, problems)
            assert (words[0], problems, bool(command)) == ("serve", [], True), block.where
            return
        assert program == "uwsgi-subscribe", block.where
        subscribe.parse(words)


def _matches(expected: list[str], lines: list[str]) -> bool:
    """Tell whether the lines are the expected ones; a line of ``…`` alone stands for any number of them."""
    if not expected:
        return not lines
    if expected[0] == "…":
        return any(_matches(expected[1:], lines[skip:]) for skip in range(len(lines) + 1))
    return (
        bool(lines)
        and pattern(expected[0]).fullmatch(lines[0]) is not None
        and _matches(expected[1:], lines[1:])
    )


def shape(value: Any) -> Any:
    """Return what stays the same when numbers and texts change: keys in their order, and types."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def series(line: str) -> tuple[str, ...]:
    """Return the name and the names of the labels of a line in Prometheus' format."""
    return (re.split(r"[{ ]", line)[0], *re.findall(r'(\w+)="', line))


def _port_of_both_kinds() -> int:
    while True:
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _which(program: str, path: str) -> str:
    for directory in path.split(":"):
        candidate = Path(directory) / program
        if candidate.is_file():
            return str(candidate)
    raise AssertionError(f"{program} is not there")
