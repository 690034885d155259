"""Sessions: all that is in one is found and ended, and nothing else."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab.waiting import wait_until
from uwsgi_router.router.supervision.sessions import end_sessions, members, session_of

# A leader, a child of it, and a grandchild in a process group of its own whose parent has ended.
FAMILY = """
import os, sys, time
between = os.fork()
if between == 0:
    if os.fork() == 0:
        os.setpgid(0, 0)
        os.write(1, b"grandchild\\n")
    else:
        os._exit(0)
else:
    os.waitpid(between, 0)
    if os.fork() == 0:
        os.write(1, b"child\\n")
    else:
        os.write(1, b"leader\\n")
time.sleep(60)
"""


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", FAMILY], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert {process.stdout.readline().strip() for _ in range(3)} == {
        "leader",
        "child",
        "grandchild",
    }
    yield process
    end_sessions({process.pid})
    process.wait()
    process.stdout.close()


def living(leader: int) -> set[int]:
    return {pid for pid, _ in members({leader})}


def test_everybody_of_a_session_is_found(family: "subprocess.Popen[str]") -> None:
    assert len(living(family.pid)) == 3
    assert session_of(family.pid) == family.pid
    assert session_of(os.getpid()) == os.getsid(0)


def test_the_rest_of_a_session_ends_and_its_leader_is_spared(
    family: "subprocess.Popen[str]",
) -> None:
    assert end_sessions({family.pid}, spared={family.pid}) == 2
    assert living(family.pid) == {family.pid}


def test_the_rest_ends_also_behind_a_leader_that_nobody_has_waited_for(
    family: "subprocess.Popen[str]",
) -> None:
    os.kill(family.pid, signal.SIGKILL)
    wait_until(lambda: session_of(family.pid) == -1, "the leader has ended")
    assert end_sessions({family.pid}, spared={family.pid}) == 2
    assert living(family.pid) == set()


def test_numbers_that_no_session_has_end_nobody() -> None:
    assert end_sessions([]) == 0
    assert end_sessions([0, -1, 1]) == 0
    assert session_of(2**22 + 1) == -1
