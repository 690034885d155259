"""The Emperor with vassals that do what their files say: start, reload, stop, respawn, blacklist, heartbeats, stats."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import programs
from tests.lab.emperors import Emperor, alive, read_all, touch
from tests.lab.place import Place
from tests.lab.processes import run
from tests.lab.vassals import Vassals, python_of_all, vassals
from tests.lab.waiting import wait_until

#: uWSGI's keys, in its order (2.0.31), and ours behind them.
KEYS = [
    *("version", "pid", "uid", "gid", "cwd", "emperor", "emperor_tyrant", "throttle_level"),
    *("vassals", "blacklist", "ending"),
]
VASSAL_KEYS = [
    *("id", "pid", "born", "last_mod", "last_heartbeat", "loyal", "ready", "accepting"),
    *("last_loyal", "last_ready", "last_accepting", "first_run", "last_run", "cursed", "zerg"),
    *("on_demand", "uid", "gid", "monitor", "respawns"),
    *("state", "restarts", "last_end", "last_end_at", "next_start", "last_lines"),
]


@pytest.fixture
def place() -> Iterator[Vassals]:
    with vassals() as found:
        yield found


# --- the loop, monitors, changes ---


def test_files_come_change_and_go(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    place.put("two.yml")
    place.put("other.txt")
    emperor = Emperor(lab, place, "emperor-freq = 60")
    first = emperor.wait_for_state("one.ini", "serving")
    assert first["pid"] == place.report("one.ini")["pid"]
    assert place.report("two.yml")["argv"][1:] == ["--yaml", "two.yml"]
    # Though it looks only once a minute by itself.
    three = place.put("three.ini")
    pid = emperor.wait_for_state("three.ini", "serving")["pid"]
    touch(three)
    told = emperor.wait_for("three.ini", lambda one: one["respawns"] == 1 and one["accepting"])
    assert (told["pid"], told["ready"], told["state"]) == (pid, 0, "serving")
    assert told["last_mod"] == int(three.stat().st_mtime)
    three.unlink()
    emperor.wait_gone("three.ini")
    assert not alive(pid)
    assert emperor.vassal("one.ini")["pid"] == first["pid"]
    log = emperor.log()
    assert "three.ini: told to reload" in log
    assert "three.ini: told to stop: its file is gone" in log
    assert f"three.ini (pid {pid}) has stopped: exit code 0" in log
    assert "three.ini: removed" in log


def test_older_files_and_other_contents_reload_nothing(lab: Place, place: Vassals) -> None:
    path = place.put("one.ini")
    emperor = Emperor(lab, place, "emperor-freq = 0.1")
    before = emperor.wait_for_state("one.ini", "serving")
    now = path.stat()
    path.write_text("[uwsgi]\nanswers = 5\n")
    os.utime(path, (now.st_atime - 50, now.st_mtime - 50))
    # A vassal that comes later is seen in a look at all files that comes after this.
    place.put("two.ini")
    emperor.wait_for_state("two.ini", "serving")
    after = emperor.vassal("one.ini")
    assert (after["respawns"], after["last_mod"]) == (0, before["last_mod"])


def test_changes_within_a_second_count(lab: Place, place: Vassals) -> None:
    path = place.put("one.ini")
    emperor = Emperor(lab, place)
    emperor.wait_for_state("one.ini", "serving")
    for count in (1, 2, 3):
        touch(path)
        emperor.wait_for_respawns("one.ini", count)


def test_several_places_and_a_name_that_is_there_twice(lab: Place, place: Vassals) -> None:
    other = place.directory / "other"
    other.mkdir()
    place.put("one.ini")
    for name in ("one.ini", "two.ini"):
        (other / name).write_text("[uwsgi]\n")
    emperor = Emperor(lab, place, f"emperor = glob://{other}/*.ini", f"emperor = {other}")
    emperor.wait_for_state(f"{other}/two.ini", "serving")
    assert emperor.wait_for_state("one.ini", "serving")["monitor"] == str(place.place)
    assert emperor.stats()["emperor"] == [str(place.place), f"{other}/*.ini", str(other)]
    assert (
        f"{other}/one.ini is not run: there is a vassal one.ini already, {place.place}/one.ini"
        in emperor.log()
    )
    emperor.wait_for_state(f"{other}/one.ini", "serving")


def test_names_may_be_any_bytes(lab: Place, place: Vassals) -> None:
    odd = os.fsencode(place.place) + b"/\xff\n2026 info emperor: all is well.ini"
    with open(odd, "w") as file:
        file.write("[uwsgi]\nprints = here\n")
    emperor = Emperor(lab, place)
    shown = "\\xff\n2026 info emperor: all is well.ini"
    pid = emperor.wait_for_state(shown, "serving")["pid"]
    emperor.command.wait_for_output("all is well.ini | here\n")
    os.kill(pid, signal.SIGKILL)
    emperor.wait_for(shown, lambda one: one["pid"] not in (-1, pid))
    emperor.signal(signal.SIGUSR1)
    emperor.command.wait_for_output("SIGUSR1: vassal")
    assert not any(line.startswith("2026 ") for line in emperor.log().splitlines())
    os.unlink(odd)
    emperor.wait_gone(shown)
    emperor.command.stop()


def test_links_reload_by_themselves_with_nofollow(lab: Place, place: Vassals) -> None:
    skeleton = place.directory / "skeleton"
    skeleton.write_text("[uwsgi]\n")
    links = [place.place / name for name in ("one.ini", "two.ini")]
    for link in links:
        link.symlink_to(skeleton)
    emperor = Emperor(lab, place, "emperor-nofollow = true", "emperor-freq = 0.2")
    for link in links:
        emperor.wait_for_state(link.name, "serving")
    touch(skeleton)
    touch(links[0], link=True)
    emperor.wait_for("one.ini", lambda one: one["respawns"] == 1)
    assert emperor.vassal("two.ini")["respawns"] == 0
    links[0].unlink()
    emperor.wait_gone("one.ini")


def test_links_follow_their_target_without(lab: Place, place: Vassals) -> None:
    skeleton = place.directory / "skeleton"
    skeleton.write_text("[uwsgi]\n")
    (place.place / "one.ini").symlink_to(skeleton)
    emperor = Emperor(lab, place, "emperor-freq = 0.2")
    emperor.wait_for_state("one.ini", "serving")
    touch(skeleton)
    emperor.wait_for("one.ini", lambda one: one["respawns"] == 1)
    skeleton.unlink()
    emperor.wait_gone("one.ini")


# --- the end of a vassal, and what follows ---


def test_a_vassal_that_was_loyal_is_replaced_at_once(lab: Place, place: Vassals) -> None:
    place.put("one.ini", "says = 1 5 17")
    emperor = Emperor(lab, place)
    before = emperor.wait_for("one.ini", lambda one: one["loyal"])
    os.kill(before["pid"], signal.SIGSEGV)
    after = emperor.wait_for("one.ini", lambda one: one["pid"] != before["pid"] and one["loyal"])
    assert (after["restarts"], after["respawns"]) == (1, 0)
    assert after["last_end"] == "signal 11, SIGSEGV"
    assert emperor.stats()["blacklist"] == []


def test_each_death_says_how_and_what_was_written_last(lab: Place, place: Vassals) -> None:
    place.put("code.ini", "prints = ModuleNotFoundError: no shop", "exits = 22")
    place.put("killed.ini", "dies = 9")
    emperor = Emperor(lab, place)
    emperor.command.wait_for_output("code.ini | ModuleNotFoundError: no shop\n")
    one = emperor.wait_for("code.ini", lambda one: one["last_end"])
    other = emperor.wait_for("killed.ini", lambda one: one["last_end"])
    assert (one["last_end"], other["last_end"]) == ("exit code 22", "signal 9, SIGKILL")
    assert one["last_lines"][-1] == "ModuleNotFoundError: no shop"
    wait_until(
        lambda: (
            "has ended: exit code 22; it wrote last: ModuleNotFoundError: no shop" in emperor.log()
        ),
        "the log says so",
    )
    assert "killed.ini (pid " in emperor.log()
    assert "has ended: signal 9, SIGKILL; it wrote nothing" in emperor.log()


def test_the_blacklist_grows_and_is_cleared(lab: Place, place: Vassals) -> None:
    bad = place.put("bad.ini", "exits = 1")
    emperor = Emperor(lab, place, "emperor-throttle = 400")

    def entries() -> list[dict[str, Any]]:
        return [one for one in emperor.stats()["blacklist"] if one["attempt"] == 2]

    (entry,) = wait_until(entries, "three failures")
    assert (entry["id"], entry["throttle_level"]) == ("bad.ini", 800)
    assert entry["first_attempt"] <= entry["last_attempt"]
    throttled = emperor.wait_for_state("bad.ini", "throttled")
    assert throttled["pid"] == -1
    assert throttled["next_start"] >= throttled["last_end_at"]
    assert "bad.ini has failed 3 times before it answered a request: next start in 0.8 s" in (
        emperor.log()
    )
    emperor.signal(signal.SIGURG)
    emperor.command.wait_for_output("SIGURG: cleaning up the blacklist")
    # A file that changes is tried at once, and who answers is forgiven.
    bad.write_text("[uwsgi]\nsays = 1 5 17\n")
    emperor.wait_for("bad.ini", lambda one: one["loyal"])
    assert emperor.stats()["blacklist"] == []


def test_without_blacklist_nobody_is_delayed_for_long(lab: Place, place: Vassals) -> None:
    place.put("bad.ini", "exits = 1")
    emperor = Emperor(lab, place, "emperor-no-blacklist = true")
    started = place.report("bad.ini", 4)
    assert started["pid"]
    assert emperor.stats()["blacklist"] == []


def test_an_exile_is_delayed_although_it_was_loyal(lab: Place, place: Vassals) -> None:
    place.put("one.ini", "says = 1 5 17", "exits = 26")
    emperor = Emperor(lab, place)
    wait_until(lambda: emperor.stats()["blacklist"], "it is in the blacklist")


def test_a_program_that_is_not_there_ends_with_26(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    emperor = Emperor(lab, place, "emperor-wrapper = /nowhere/at/all")
    emperor.command.wait_for_output("one.ini | [emperor] cannot execute /nowhere/at/all")
    emperor.wait_for("one.ini", lambda one: one["last_end"] == "exit code 26")


def test_who_closes_the_pipe_and_stays_is_killed(lab: Place, place: Vassals) -> None:
    silent = place.directory / "silent"
    silent.write_text(
        f"#!{python_of_all()}\nimport os, time\nos.close(int(os.environ['UWSGI_EMPEROR_FD']))\n"
        "time.sleep(50)\n"
    )
    silent.chmod(0o755)
    place.put("one.ini")
    emperor = Emperor(lab, place, f"emperor-wrapper = {silent}", "emperor-curse-tolerance = 0.5")
    cursed = emperor.wait_for_state("one.ini", "cursed")
    assert cursed["cursed"] >= cursed["first_run"]
    emperor.command.wait_for_output("is killed: it closed its pipe and did not end")
    wait_until(lambda: not alive(cursed["pid"]), "it is dead")
    emperor.command.wait_for_output("signal 9, SIGKILL, sent by the Emperor")


def test_who_does_not_stop_is_killed_with_all_that_it_has_started(
    lab: Place, place: Vassals
) -> None:
    family = place.directory / "family"
    family.write_text("#!/bin/sh\nsleep 50 &\nsleep 51 &\necho $! started\nwait\n")
    family.chmod(0o755)
    path = place.put("one.ini")
    emperor = Emperor(lab, place, f"emperor-wrapper = {family}", "emperor-curse-tolerance = 0.5")
    emperor.command.wait_for_output(" started\n")
    leader = emperor.vassal("one.ini")["pid"]
    child = int(emperor.log().partition("one.ini | ")[2].partition(" ")[0])
    assert alive(child)
    path.unlink()
    emperor.wait_gone("one.ini")
    assert not alive(leader)
    assert not alive(child)
    assert "is killed: it was told to stop and did not end" in emperor.log()


def test_what_a_dead_vassal_has_left_ends_with_it(lab: Place, place: Vassals) -> None:
    family = place.directory / "family"
    family.write_text("#!/bin/sh\nsleep 50 &\necho $! left\nexit 3\n")
    family.chmod(0o755)
    place.put("one.ini")
    emperor = Emperor(lab, place, f"emperor-wrapper = {family}")
    emperor.command.wait_for_output(" left\n")
    child = int(emperor.log().partition("one.ini | ")[2].partition(" ")[0])
    wait_until(lambda: not alive(child), "it is gone")


def test_a_voluntary_stop_is_followed_by_a_start(lab: Place, place: Vassals) -> None:
    place.put("one.ini", "says = 1 5 22")
    emperor = Emperor(lab, place)
    place.report("one.ini", 2)
    assert emperor.stats()["blacklist"] == []
    assert "one.ini: told to stop: it wants to be stopped" in emperor.log()


def test_a_graceful_stop_is_another_byte(lab: Place, place: Vassals) -> None:
    path = place.put("one.ini", "ignores = 0")
    emperor = Emperor(lab, place, "emperor-graceful-shutdown = true")
    emperor.wait_for_state("one.ini", "serving")
    path.unlink()
    emperor.wait_gone("one.ini")
    assert "has stopped: exit code 0" in emperor.log()


# --- heartbeats ---


def test_silence_reloads_and_then_kills(lab: Place, place: Vassals) -> None:
    place.put("one.ini", "says = 1 5 26", "answers = 5")
    emperor = Emperor(lab, place, "emperor-required-heartbeat = 1")
    first = emperor.wait_for_state("one.ini", "serving")
    assert first["last_heartbeat"] >= first["first_run"]
    told = emperor.wait_for("one.ini", lambda one: one["respawns"] == 1)
    assert told["pid"] == first["pid"]
    emperor.wait_for("one.ini", lambda one: one["pid"] not in (-1, first["pid"]))
    log = emperor.log()
    assert "one.ini sent no heartbeat within 1 s: told to reload" in log
    assert "is killed: it sent no heartbeat, and did not reload" in log


def test_who_sends_none_needs_none(lab: Place, place: Vassals) -> None:
    place.put("quiet.ini")
    place.put("one.ini", "says = 1 5 26", "answers = 5 26")
    emperor = Emperor(lab, place, "emperor-required-heartbeat = 0.5")
    emperor.wait_for("one.ini", lambda one: one["respawns"] >= 2)
    assert emperor.vassal("quiet.ini")["respawns"] == 0


# --- limits ---


def test_without_descriptors_vassals_wait_and_nobody_is_stopped(lab: Place, place: Vassals) -> None:
    for number in range(40):
        place.put(f"vassal-{number}.ini")
    emperor = Emperor(lab, place, "emperor-throttle = 10", open_files=64)
    emperor.command.wait_for_output("not started: no process can be made: Too many open files")
    lines = [line for line in emperor.log().splitlines() if "started, pid" in line]
    pids = [int(line.rpartition(" ")[2]) for line in lines]
    assert len(pids) > 5
    emperor.command.signal(signal.SIGWINCH)
    (place.place / "vassal-0.ini").unlink()
    emperor.command.wait_for_output("vassal-0.ini: removed")
    assert all(map(alive, pids[1:5]))
    emperor.command.stop()
    assert not any(map(alive, pids))


# --- statistics ---


def test_the_document_has_uwsgi_s_keys_in_its_order(lab: Place, place: Vassals) -> None:
    place.put('quo"te.ini', "says = 1 5 17")
    place.put("bad.ini", "exits = 1")
    emperor = Emperor(lab, place)
    emperor.wait_for("bad.ini", lambda one: one["last_end"])
    one = emperor.wait_for('quo"te.ini', lambda one: one["loyal"])
    document = emperor.stats()
    assert list(document) == KEYS
    assert list(one) == VASSAL_KEYS
    assert (document["pid"], document["uid"]) == (emperor.pid(), os.getuid())
    assert document["emperor"] == [str(place.place)]
    assert (one["ready"], one["accepting"], one["loyal"], one["cursed"]) == (1, 1, 1, 0)
    now = time.time()
    for key in ("born", "last_mod", "last_loyal", "last_ready", "last_accepting", "first_run"):
        assert now - 60 < one[key] <= now
    assert list(document["blacklist"][0]) == [
        *("id", "throttle_level", "attempt", "first_attempt", "last_attempt")
    ]
    raw = read_all(emperor.stats_path).decode()
    assert raw.startswith('{\n\t"version":"uwsgi-router ')


def test_statistics_over_http_and_a_client_that_reads_nothing(lab: Place, place: Vassals) -> None:
    for number in range(60):
        place.put(f"vassal-{number}.ini")
    emperor = Emperor(lab, place, "stats-http = true", "stats-minified = true")
    with socket.socket(socket.AF_UNIX) as lazy:
        lazy.connect(str(emperor.stats_path))
        lazy.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = read_all(emperor.stats_path, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.0 200 OK",
        b"Connection: close",
        b"Access-Control-Allow-Origin: *",
        b"Content-Type: application/json",
    ]
    assert b"\n" not in body
    assert len(json.loads(body)["vassals"]) == 60


# --- signals ---


def test_signals_to_the_emperor(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    emperor = Emperor(lab, place, "emperor-freq = 60", master=True)
    before = emperor.wait_for_state("one.ini", "serving")
    emperor.signal(signal.SIGUSR1)
    emperor.command.wait_for_output(
        f"SIGUSR1: vassal one.ini: serving, pid {before['pid']}, last modified"
    )
    emperor.signal(signal.SIGHUP)
    after = emperor.wait_for("one.ini", lambda one: one["respawns"] == 1)
    assert after["pid"] == before["pid"]
    assert after["last_mod"] >= before["last_mod"]
    emperor.signal(signal.SIGWINCH)
    emperor.signal(signal.SIGTERM)
    # Without a router the Emperor is all there is.
    assert emperor.command.wait() == 0
    assert not alive(before["pid"])
    assert "The Emperor is buried." in emperor.log()
    assert not emperor.pidfile.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_emperor_without_a_master(number: signal.Signals, lab: Place, place: Vassals) -> None:
    place.put("one.ini", "says = 1 5 17")
    place.put("stuck.ini", "ignores = 0")
    emperor = Emperor(lab, place, "reload-mercy = 1")
    assert emperor.pid() == emperor.command.pid
    pids = [emperor.wait_for_state(name, "serving")["pid"] for name in ("one.ini", "stuck.ini")]
    began = time.monotonic()
    emperor.command.signal(number)
    assert emperor.command.wait() == 0
    assert 0.5 < time.monotonic() - began < 10
    assert not any(alive(pid) for pid in pids)
    assert "Ragnarok: the end of 2 vassals within 1 s" in emperor.log()


def test_the_place_and_the_combination_are_checked_before_the_start(tmp_path: Path) -> None:
    command = programs.uwsgi_router()
    missing = run(command, "--emperor", f"{tmp_path}/missing")
    assert missing.returncode == 1
    assert f"emperor = {tmp_path}/missing: there is no such directory or file" in missing.stderr
    database = run(command, "check", "--", "--emperor", "pg://dbname=x")
    assert database.returncode == 1
    assert "emperor = pg://…: not here: an Emperor that asks a database runs" in database.stderr + (
        database.stdout
    )
    alone = run(command, "--emperor", str(tmp_path), "--no-master", "--http=127.0.0.1:1")
    assert alone.returncode == 1
    assert "no-master: an Emperor beside routers needs the master" in alone.stderr
    listing = run(command, "--imperial-monitor-list")
    assert (listing.returncode, listing.stderr) == (0, "")
    assert listing.stdout.startswith("dir://  each configuration file in a directory")
