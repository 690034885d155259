"""Values of hooks: what is read, and what is refused at the start."""

import pytest

from uwsgi_router.router.config.capability_values import CAPABILITIES, read_capabilities
from uwsgi_router.router.config.hook_values import (
    COMMAND,
    MOUNT,
    PROGRAM,
    UMOUNT,
    Hook,
    Mount,
    read_hook,
    read_mount,
    read_umount,
)
from uwsgi_router.router.config.load import examine


@pytest.mark.parametrize(
    ("text", "hook"),
    [
        ("exec:echo a:b", Hook("exec", "echo a:b")),
        ("!exec:secret", Hook("exec", "secret", private=True)),
        ("cd:/tmp", Hook("chdir", "/tmp")),
        ("creat:/tmp/x", Hook("create", "/tmp/x")),
        ("log:", Hook("print", "")),
        ("write:/tmp/x a b", Hook("write", "/tmp/x a b")),
        ("chmod:/tmp/x 1777", Hook("chmod", "/tmp/x 1777")),
        ("chown2:/tmp/x 1 2", Hook("chown2", "/tmp/x 1 2")),
        ("putenv:A=b", Hook("putenv", "A=b")),
        ("exit:", Hook("exit", "")),
        ("exit:3", Hook("exit", "3")),
        ("appendn:/tmp/x", Hook("appendn", "/tmp/x")),
        ("mount:proc none /proc", Hook("mount", "proc none /proc")),
        ("wait_for_socket:127.0.0.1:80", Hook("wait_for_socket", "127.0.0.1:80")),
    ],
)
def test_hooks(text: str, hook: Hook) -> None:
    assert read_hook(text) == hook


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exec", "expected ACTION:ARGUMENTS"),
        ("", "expected ACTION:ARGUMENTS"),
        ("fly:away", "expected an action, one of append,"),
        ("call:function", "C function"),
        ("callintret:function", "C function"),
        ("unix_signal:10 f", "C function"),
        ("rpc:f", "uWSGI's RPC"),
        ("alarm:a b", "alarms"),
        ("exec:", "expected an argument"),
        ("putenv:A", "putenv:NAME=VALUE"),
        ("putenv:=A", "putenv:NAME=VALUE"),
        ("write:/tmp/x", "FILE TEXT"),
        ("chmod:/tmp/x 999", "octal"),
        ("chmod:/tmp/x", "octal"),
        ("chown:/tmp/x root", "chown:FILE USER GROUP"),
        ("chown2:/tmp/x root root", "numbers"),
        ("exit:256", "0 to 255"),
        ("exit:x", "0 to 255"),
        ("mount:proc none", "TYPE SOURCE TARGET"),
        ("mount:proc none /proc what", "expected flags"),
        ("umount:", "expected TARGET"),
        ("umount:/x ro", "expected flags"),
        ("wait_for_socket:80", "for a port write :80"),
    ],
)
def test_what_can_not_be_done_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_hook(text)


def test_private_arguments_are_not_shown() -> None:
    assert str(Hook("exec", "a", private=True)) == "!exec:..."
    assert str(Hook("exec", "a")) == "exec:a"


def test_mounts() -> None:
    assert read_mount("none /a /b bind,ro") == Mount("none", "/a", "/b", 4096 | 1)
    assert read_mount("tmpfs none /b nodev,nosuid size=1m,mode=700") == Mount(
        "tmpfs", "none", "/b", 4 | 2, "size=1m,mode=700"
    )
    assert read_umount("/b") == ("/b", 0)
    assert read_umount("/b detach,rec") == ("/b", 2 | 16384)


def test_families_are_hooks_too() -> None:
    assert MOUNT.parse("proc none /proc") == Hook("mount", "proc none /proc")
    assert UMOUNT.parse("/proc detach") == Hook("umount", "/proc detach")
    assert COMMAND.parse("echo hello") == Hook("exec", "echo hello")
    for kind in (MOUNT, UMOUNT, COMMAND):
        with pytest.raises(ValueError, match="expected"):
            kind.parse("")


def test_start_and_stop_hooks_are_programs_alone() -> None:
    assert PROGRAM.parse("/usr/local/bin/hook") == "/usr/local/bin/hook"
    with pytest.raises(ValueError, match="no shell"):
        PROGRAM.parse("echo hello")
    with pytest.raises(ValueError, match="expected a program"):
        PROGRAM.parse(" ")


def test_capabilities() -> None:
    assert read_capabilities("setgid, CAP_SETUID,setgid") == ("setgid", "setuid")
    assert (CAPABILITIES.index("chown"), CAPABILITIES.index("wake_alarm")) == (0, 35)
    assert CAPABILITIES.index("checkpoint_restore") == 40
    for text in ("", "setgid,", "everything"):
        with pytest.raises(ValueError, match="expected capabilities"):
            read_capabilities(text)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("hook-as-vassal", "fly:away", "expected an action"),
        ("hook-as-emperor", "call:function", "C function"),
        ("mount-as-vassal", "proc", "TYPE SOURCE TARGET"),
        ("umount-as-emperor", "/x ro", "expected flags"),
        ("exec-as-vassal", "", "expected an argument"),
        ("vassals-start-hook", "echo hello", "no shell"),
        ("emperor-use-clone", "files", "a vassal would share the Emperor's"),
        ("emperor-use-clone", "moon", "expected namespaces"),
        ("emperor-cap", "everything", "expected capabilities"),
        ("call-as-emperor", "function", "exec-as-emperor run commands"),
        ("cap", "setgid", "use the settings of its systemd unit"),
    ],
)
def test_what_can_not_be_done_is_refused_at_the_start(name: str, value: str, says: str) -> None:
    report = examine(["--emperor=/etc/vassals", f"--{name}={value}"], {})
    (problem,) = report.problems
    assert says in str(problem)
    assert name in str(problem)
