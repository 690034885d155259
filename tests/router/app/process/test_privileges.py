"""Who we become."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from uwsgi_router.router.app.process.identity import ProcessIdentity, identity
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import ProcessConfig, RouterConfig

root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")


def test_names_and_numbers_name_users_and_groups() -> None:
    process = ProcessConfig(uid="nobody", gid="7", additional_gids=("daemon", "8"))
    assert identity(process, [RouterConfig()]) == ProcessIdentity(65534, 7, (1, 8))
    assert identity(ProcessConfig(), []) == ProcessIdentity(None, None)


def test_the_routers_own_identity_wins() -> None:
    process = ProcessConfig(uid="1", gid="1")
    routers = [RouterConfig(uid="nobody"), RouterConfig(uid="nobody", gid="2"), RouterConfig()]
    assert identity(process, routers) == ProcessIdentity(65534, 2)


@pytest.mark.parametrize(
    ("process", "routers", "reason"),
    [
        (ProcessConfig(uid="nobody-here"), [], "uid = nobody-here: no such user"),
        (ProcessConfig(gid="-1"), [], "gid = -1: no such group"),
        (ProcessConfig(uid="99999999999"), [], "uid = 99999999999: no such user"),
        (ProcessConfig(additional_gids=("x-x",)), [], "add-gid = x-x: no such group"),
        (ProcessConfig(), [RouterConfig(gid="x-x")], "fastrouter-gid = x-x: no such group"),
        (
            ProcessConfig(),
            [RouterConfig(uid="1"), RouterConfig(uid="2")],
            "routers of one process cannot run as 1 and 2: give one uid",
        ),
    ],
)
def test_who_is_unknown_is_told(
    process: ProcessConfig, routers: list[RouterConfig], reason: str
) -> None:
    with pytest.raises(StartError) as caught:
        identity(process, routers)
    assert str(caught.value) == reason


BECOME = """
import logging, os, sys
sys.path.insert(0, sys.argv[1])
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.app.process.identity import ProcessIdentity
from uwsgi_router.router.app.process.privileges import drop
logging.basicConfig(level="INFO", format="%(levelname)s %(message)s", stream=sys.stdout)
os.setgroups([4, 5])
try:
    for wanted in eval(sys.argv[2]):
        drop(wanted)
except StartError as exc:
    print(exc)
print(os.getresuid(), os.getresgid(), os.getgroups())
"""


def become(*wanted: ProcessIdentity) -> list[str]:
    """Drop to each of ``wanted`` in turn, in a child; return its log and who it was then."""
    root = str(Path(__file__).parents[4])
    command = [sys.executable, "-c", BECOME, root, repr(wanted)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@root_only
def test_user_group_and_supplementary_groups_change_for_good() -> None:
    assert become(ProcessIdentity(65534, 65533, (8,))) == [
        "INFO running as uid 65534, gid 65533, groups [8]",
        "(65534, 65534, 65534) (65533, 65533, 65533) [8]",
    ]


@root_only
def test_supplementary_groups_of_root_are_dropped() -> None:
    assert become(ProcessIdentity(65534, 65534))[-1].endswith("[]")


@root_only
def test_a_user_without_a_group_keeps_roots_and_is_told() -> None:
    lines = become(ProcessIdentity(65534, None))
    assert lines[1] == "WARNING uid without gid: the process still has the group root"
    assert lines[2] == "(65534, 65534, 65534) (0, 0, 0) []"


@root_only
def test_without_root_the_options_are_ignored_with_a_warning() -> None:
    lines = become(
        ProcessIdentity(65534, 65534), ProcessIdentity(65534, 65534), ProcessIdentity(1, 1)
    )
    assert lines[1:] == [
        "WARNING uid and gid are ignored: only root can change them (we are 65534)",
        "(65534, 65534, 65534) (65534, 65534, 65534) []",
    ]


@root_only
def test_staying_root_is_told() -> None:
    lines = become(ProcessIdentity(None, None))
    assert "give uid = USER and gid = GROUP" in lines[0]
    assert "or User= in the systemd unit" in lines[0]
    assert lines[1:] == ["(0, 0, 0) (0, 0, 0) [4, 5]"]


@root_only
def test_a_refusal_of_the_system_is_one_clear_line() -> None:
    lines = become(ProcessIdentity(1, 2**32 - 1))
    assert lines[0] == "cannot change to uid 1, gid 4294967295: Invalid argument"
