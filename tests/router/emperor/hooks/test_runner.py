"""Hooks of the Emperor: in processes of their own, whose output and end are logged."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.log import Log
from tests.lab.waiting import turn_until
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.hook_values import read_hook
from uwsgi_router.router.emperor.hooks.runner import HookRunner, run_emperor_start
from uwsgi_router.router.emperor.vassal_file import VassalFile
from uwsgi_router.router.supervision.loop import SelectorLoop


def file_in(directory: Path, name: str = "one.ini") -> VassalFile:
    path = str(directory / name)
    return VassalFile(name, str(directory), path, 1.0, 33, 34, str(directory))


def config(**hooks: Any) -> EmperorConfig:
    found: dict[str, Any] = {
        name: tuple(map(read_hook, one)) if isinstance(one, list) else one
        for name, one in hooks.items()
    }
    return EmperorConfig(**found)


def test_hooks_after_a_start_know_the_vassal(loop: SelectorLoop, tmp_path: Path, log: Log) -> None:
    command = (
        'exec:echo "$UWSGI_VASSAL_CONFIG $UWSGI_VASSAL_PID $UWSGI_VASSAL_UID $UWSGI_VASSAL_GID"'
        ' "$UWSGI_VASSALS_DIR $PWD"'
    )
    runner = HookRunner(loop, config(exec_as_emperor=[command]), dict(os.environ))
    runner.spawned(file_in(tmp_path), 4711)
    assert runner.busy
    turn_until(loop, lambda: not runner.busy)
    assert log.having(f"hooks as Emperor of one.ini: one.ini 4711 33 34 {tmp_path} {tmp_path}")
    assert log.having("hooks as Emperor of one.ini: ended (exit code 0)")


def test_the_emperor_does_not_wait_for_them(loop: SelectorLoop, tmp_path: Path, log: Log) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    runner = HookRunner(loop, config(exec_as_emperor=[f"exec:cat {fifo}"]))
    began = time.monotonic()
    runner.spawned(file_in(tmp_path), 1)
    # It is started again, and again: they do not pile up.
    runner.spawned(file_in(tmp_path), 2)
    runner.spawned(file_in(tmp_path, "two.ini"), 3)
    assert time.monotonic() - began < 5.0
    assert len(log.having("hooks as Emperor of one.ini: not run")) == 1
    for _ in range(2):
        loop.step(0.01)
    assert runner.busy
    turn_until(loop, lambda: len(waiting(fifo)) == 2)
    runner.close()
    # What a hook has started ends with it.
    assert waiting(fifo) == []
    assert not runner.busy


def waiting(fifo: Path) -> list[str]:
    """Return the processes that wait for a fifo."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"cat", os.fsencode(fifo)]:
            found.append(path.parent.name)
    return found


def test_what_fails_is_said_and_the_next_one_runs(
    loop: SelectorLoop, tmp_path: Path, log: Log
) -> None:
    hooks = ["exec:exit 3", "print:next", "!exec:exit 4"]
    runner = HookRunner(loop, config(hook_as_emperor=hooks))
    runner.spawned(file_in(tmp_path), 1)
    turn_until(loop, lambda: not runner.busy)
    assert log.having('hook "exec:exit 3" (as-emperor) has failed')
    assert log.having("hooks as Emperor of one.ini: next")
    assert log.having('hook "!exec:..." (as-emperor) has failed')


def test_an_exit_is_that_of_the_sequence_only(loop: SelectorLoop, tmp_path: Path, log: Log) -> None:
    runner = HookRunner(loop, config(hook_as_emperor=["exit:5", "print:never"]))
    runner.spawned(file_in(tmp_path), 1)
    turn_until(loop, lambda: not runner.busy)
    assert log.having("ended (exit code 5)")
    assert not log.having("never")


def test_the_stop_hook_gets_the_name_and_nothing_else(
    loop: SelectorLoop, tmp_path: Path, log: Log
) -> None:
    hook = tmp_path / "hook"
    hook.write_text('#!/bin/sh\necho "$# $1 $UWSGI_VASSALS_DIR"\nexit 2\n')
    hook.chmod(0o755)
    runner = HookRunner(loop, config(stop_hook=str(hook)))
    idle: list[bool] = []
    runner.on_idle = lambda: idle.append(True)
    runner.stopped(file_in(tmp_path))
    turn_until(loop, lambda: idle)
    assert log.having(f"stop-hook {hook} one.ini: 1 one.ini {tmp_path}")
    assert log.having(f"stop-hook {hook} one.ini: ended (exit code 2)")


def test_without_hooks_there_is_no_process(loop: SelectorLoop, tmp_path: Path) -> None:
    runner = HookRunner(loop, config())
    runner.spawned(file_in(tmp_path), 1)
    runner.stopped(file_in(tmp_path))
    assert not runner.busy


def test_all_that_it_prints_is_logged(loop: SelectorLoop, tmp_path: Path, log: Log) -> None:
    command = "exec:seq 1 20000; printf end"
    runner = HookRunner(loop, config(exec_as_emperor=[command]))
    runner.spawned(file_in(tmp_path), 1)
    turn_until(loop, lambda: not runner.busy)
    assert log.having("hooks as Emperor of one.ini: 20000")
    assert log.having("hooks as Emperor of one.ini: end")


# --- before the first vassal ---


def test_hooks_before_the_start_change_the_emperor(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("OF_THE_EMPEROR", "0")
    hooks = [f"chdir:{tmp_path}", "putenv:OF_THE_EMPEROR=1", "exec:echo $OF_THE_EMPEROR > made"]
    run_emperor_start(config(hook_emperor_start=hooks))
    assert (tmp_path / "made").read_text() == "1\n"
    assert os.environ["OF_THE_EMPEROR"] == "1"
    assert os.getcwd() == str(tmp_path)
    assert log.having(f'running "chdir:{tmp_path}" (emperor-start)...')


@pytest.mark.parametrize(
    ("hook", "words"), [("exec:exit 9", "exit code 9"), ("exit:0", "says exit:0")]
)
def test_one_that_fails_ends_the_start(hook: str, words: str) -> None:
    with pytest.raises(StartError, match=words):
        run_emperor_start(config(hook_emperor_start=[hook]))
