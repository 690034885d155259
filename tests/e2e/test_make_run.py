"""The first thing a newcomer does: ``make run``, and what it tells them to paste."""

import os
import re
import shutil
import subprocess
import urllib.request

import pytest

from tests.lab.place import Place
from tests.lab.programs import ROOT
from tests.lab.waiting import wait_until


def paste(command: str) -> str:
    """Run a command as a newcomer does: in a shell, in the checkout; return what it prints."""
    done = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def browse(url: str) -> str:
    """Open an address as a browser does."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        page: str = answer.read().decode()
    return page


def running(pid: int) -> bool:
    """Return whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.sources
def test_make_run_shows_routers_and_two_vassals_and_its_commands_work(lab: Place) -> None:
    make = lab.program("make-run", "make", "run", cwd=ROOT, env={"MAKEFLAGS": None})
    make.wait_for_output("Ctrl-C", seconds=50)
    text = make.output()
    commands = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    curl, _curl_for_stats = [command for command in commands if command.startswith("curl ")]
    (get,) = [command for command in commands if " get " in command]
    (kill,) = [command for command in commands if command.startswith("kill ")]
    (stats,) = [command for command in commands if command.startswith("python3 ")]
    pids = {name: int(pid) for name, pid in re.findall(r"(\w+) \(pid (\d+)\)", text)}
    assert sorted(pids) == ["blue", "green"]

    answers = [paste(get), paste(get)]
    assert sorted(name for answer in answers for name in pids if name in answer) == sorted(pids)
    pages = [browse(curl.removeprefix("curl ")) for _ in range(2)]
    assert sorted(name for page in pages for name in pids if name in page) == sorted(pids)
    if shutil.which("curl"):
        assert paste(curl).startswith("Hello from node")
    paste(kill)
    killed = next(name for name, pid in pids.items() if str(pid) in kill)
    (survivor,) = set(pids) - {killed}
    assert all(survivor in paste(get) for _ in range(4))
    assert '"subscriptions"' in paste(stats)

    make.interrupt()
    make.wait()
    wait_until(lambda: not any(running(pid) for pid in pids.values()), "the vassals are gone")
