"""How-tos that change the network of a machine, followed as they stand on their pages, on a machine of their own.

That is a set of name spaces: network, mounts (with a /run and users of its own) and processes. Blocks that say so
belong to it, on whichever page they stand, and files that are saved there.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, Block, blocks, commands, pattern
from tests.lab import programs
from tests.lab.namespaces import need_namespaces
from tests.lab.place import Place

pytestmark = pytest.mark.peers

THERE = "on one of its own, see tests/e2e/test_jails_page.py"
#: Seconds for a command to succeed: the programs before it may still be starting.
PATIENCE = 20.0

_SETUP = """
set -e
mount -t tmpfs run /run
for file in passwd group; do
    cp /etc/$file /run/$file
done
echo router:x:4242:4242::/:/bin/sh >>/run/passwd
echo router:x:4242: >>/run/group
for file in passwd group; do
    mount --bind /run/$file /etc/$file
done
ip link set lo up
echo ready
exec sleep 1000
"""


class Machine:
    """Name spaces that a page is followed in; what runs there ends with them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._home = place.directory / "home"
        self._home.mkdir()
        place.directory.chmod(0o755)
        argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
        self._first = place.program("machine", *argv, "sh", "-c", _SETUP)
        self._first.wait_for_output("ready")
        (init,) = (
            Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split()
        )
        self._inside = ["nsenter", "--target", init, "--mount", "--net", "--pid"]
        self._started = 0

    def follow(self, page: Path) -> None:
        """Save the files of a page, and type the commands that are for such a machine."""
        for block in blocks(page):
            name = block.argument("file")
            if name and not name.startswith("/"):
                (self._home / name).write_text(block.text)
            elif (block.argument("not run") or "").endswith(THERE):
                self._type(block)

    def _type(self, block: Block) -> None:
        for command in commands(block):
            if command.line.endswith("&"):
                self._start(command.line.removesuffix("&").strip())
            else:
                self._run(block, command.line, command.output)

    def _start(self, line: str) -> None:
        self._started += 1
        argv = [*self._inside, "sh", "-c", f"cd {self._home} && exec {line}"]
        self._place.program(f"command-{self._started}", *argv, env=self._environment())

    def _run(self, block: Block, line: str, output: list[str]) -> None:
        """Type a command again and again until it succeeds, as one would who was too fast."""
        until = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(
                [*self._inside, "sh", "-c", f"cd {self._home} && {line}"],
                env={**os.environ, **self._environment()},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            printed = done.stdout.replace("\r", "").splitlines()
            if done.returncode == 0 and _shows(printed, output):
                return
            text = f"{block.where}: $ {line}\n{done.stdout}{done.stderr}exit code {done.returncode}"
            assert time.monotonic() < until, text
            time.sleep(0.1)

    @staticmethod
    def _environment() -> dict[str, str]:
        return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NOTIFY_SOCKET": ""}


def _shows(printed: list[str], output: list[str]) -> bool:
    wanted = [pattern(line) for line in output if line != "…"]
    return all(any(one.search(line) for line in printed) for one in wanted)


@pytest.fixture
def machine(lab: Place) -> Machine:
    need_namespaces()
    for program in ("unshare", "nsenter", "ping", "sysctl"):
        programs.debian(program)
    return Machine(lab)


PAGES_THERE = [page for page in PAGES if THERE in page.read_text()]


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES_THERE])
def test_a_page_can_be_followed_on_a_machine_of_its_own(machine: Machine, page: Path) -> None:
    machine.follow(page)


def test_there_is_such_a_page() -> None:
    assert PAGES_THERE
