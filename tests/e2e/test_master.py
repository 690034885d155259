"""The master: signals, pid files, fifos, touched files, workers that end, an Emperor above it, zerg pools."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.place import Place
from tests.lab.processes import children_of, free_port, run
from tests.lab.reloaded import Reloaded, name_of
from tests.lab.steady import NamedNodes
from tests.lab.waiting import wait_until

# --- workers that end ---


def test_a_worker_that_dies_is_replaced_at_once_and_the_log_says_by_what(router: Reloaded) -> None:
    (worker,) = router.workers()
    os.kill(worker, signal.SIGKILL)
    router.command.wait_for_output(
        f"worker 1 (pid {worker}) has ended (signal 9, SIGKILL), it starts again at once"
    )
    # Who comes meanwhile waits.
    assert router.ask() == "one"
    assert router.workers() != [worker]


def test_a_worker_that_is_stuck_says_where_and_is_replaced(lab: Place, nodes: NamedNodes) -> None:
    code = lab.directory / "stuck.py"
    code.write_text(
        "import time\n\ndef choose(key):\n    if key == b'stuck':\n        time.sleep(1000)\n"
        f"    return 'http://{nodes.addresses['one']}'\n"
    )
    router = Reloaded(lab, "http-harakiri = 1")
    router.write(f"http-use-code-string = 0:{code}:choose")
    router.start(lab)
    (worker,) = router.workers()
    with Client(router.address) as client:
        client.request("GET", "/", host="stuck")
        router.command.wait_for_output(f"worker 1 (pid {worker}) is stuck for ")
        router.command.wait_for_output('stuck.py", line 5 in choose')
        router.command.wait_for_output("has ended (signal 6, SIGABRT), it starts again at once")
    assert router.ask() == "one"


def test_workers_finish_when_the_master_is_killed(router: Reloaded) -> None:
    (worker,) = router.workers()
    os.kill(router.command.pid, signal.SIGKILL)
    wait_until(lambda: not name_of(worker), "the worker has ended")
    assert "the master is gone: finishing the requests under way" in router.command.output()


# --- commands ---


def test_letters_of_a_fifo_and_touched_files(lab: Place, nodes: NamedNodes) -> None:
    fifo, touched = (lab.directory / name for name in ("fifo", "touched"))
    log = lab.directory / "own.log"
    router = Reloaded(lab, f"master-fifo = {fifo}", f"touch-reload = {touched}", f"logto = {log}")
    router.write(Reloaded.to(nodes, "one"))
    router.start(lab)
    router.write(Reloaded.to(nodes, "two"))
    fifo.write_text("r")
    router.command.wait_ready(60.0)
    assert router.ask() == "two"
    router.write(Reloaded.to(nodes, "one"))
    touched.touch()
    router.command.wait_ready(60.0)
    assert router.ask() == "one"
    log.rename(lab.directory / "rotated.log")
    fifo.write_text("ls")
    wait_until(lambda: log.exists() and "worker 1, pid" in log.read_text(), "a status is logged")
    assert "1 answered or failed" in log.read_text()
    fifo.write_text("q")
    assert router.command.wait() == 0


def test_a_pid_file_is_enough_to_reload_and_to_stop(router: Reloaded, nodes: NamedNodes) -> None:
    router.write(Reloaded.to(nodes, "two"))
    assert run(programs.uwsgi_router(), "--reload", router.pidfile).returncode == 0
    router.command.wait_ready(60.0)
    assert router.ask() == "two"
    assert run(programs.uwsgi_router(), f"--stop={router.pidfile}").returncode == 0
    assert router.command.wait() == 0
    missing = run(programs.uwsgi_router(), "--stop", router.pidfile)
    assert missing.returncode == 1
    assert missing.stderr == (f"uwsgi-router --stop: {router.pidfile}: no such file or directory\n")


def test_there_is_no_reload_without_a_master(lab: Place, nodes: NamedNodes) -> None:
    router = Reloaded(lab, "no-master = true")
    router.write(Reloaded.to(nodes, "one"))
    router.start(lab)
    assert children_of(router.command.pid) == []
    done = router.reload_and_wait()
    assert done.returncode == 1
    assert "there is no master process that could reload: restart it" in done.stderr
    assert router.ask() == "one"
    router.command.stop()


def test_a_second_router_on_the_same_address_is_refused(lab: Place, router: Reloaded) -> None:
    second = run(programs.uwsgi_router(), "--http", router.address, "--http-to=127.0.0.1:1")
    assert second.returncode == 1
    assert second.stderr.endswith(
        f"`ss -lntup sport = :{router.address.split(':')[1]}` names who has it\n"
    )


# --- others who start us, and whom we give sockets ---


@pytest.mark.peers
def test_a_real_zerg_pool_gives_its_listeners_and_that_alone_is_enough(
    lab: Place, nodes: NamedNodes
) -> None:
    pool, port = lab.directory / "pool.sock", free_port()
    lab.program(
        "pool",
        programs.uwsgi(),
        "--master",
        "--need-app=false",
        f"--zerg-pool={pool}:127.0.0.1:{port}",
    )
    wait_until(pool.exists, "the pool is there")
    argv = (f"--http-zerg={pool}", f"--http-to=http://{nodes.addresses['one']}")
    command = lab.command(*argv)
    with Client(f"127.0.0.1:{port}") as client:
        assert client.get("/").body == b"one"
    command.stop()
    # They are the pool's.
    socket.create_connection(("127.0.0.1", port)).close()


def test_a_zerg_pool_of_ours_gives_sockets_to_another_router(
    lab: Place, router: Reloaded, nodes: NamedNodes
) -> None:
    pool, port = lab.directory / "pool.sock", free_port()
    router.write(Reloaded.to(nodes, "one"), f"zerg-pool = {pool}:127.0.0.1:{port}")
    router.reload()
    argv = [
        programs.uwsgi_router(),
        f"--http-zerg={pool}",
        f"--http-to=http://{nodes.addresses['two']}",
    ]
    other = lab.program("other", *argv)
    other.wait_for_output("is ready")
    with Client(f"127.0.0.1:{port}") as client:
        assert client.get("/").body == b"two"


@pytest.mark.peers
def test_a_real_emperor_starts_reloads_and_stops_us(lab: Place, nodes: NamedNodes) -> None:
    vassals = lab.directory / "vassals"
    vassals.mkdir()
    router = Reloaded(lab)
    router.ini = vassals / "router.ini"
    router.write(Reloaded.to(nodes, "one"), "heartbeat = 1")
    emperor = lab.program(
        "emperor",
        *(programs.uwsgi(), f"--emperor={vassals}", "--emperor-freq=1"),
        *(f"--emperor-wrapper={programs.uwsgi_router()}", "--emperor-required-heartbeat=20"),
    )
    emperor.wait_for_output("vassal router.ini has been spawned")
    emperor.wait_for_output("vassal router.ini is ready to accept requests")
    assert router.ask() == "one"
    emperor.wait_for_output("vassal router.ini is now loyal")
    pid = int(Path(router.pidfile).read_text())
    length = len(emperor.output())
    router.write(Reloaded.to(nodes, "two"), "heartbeat = 1")
    later = time.time() + 5
    os.utime(router.ini, (later, later))
    emperor.wait_for_output(
        "vassal router.ini is ready to accept requests", after=length, seconds=60.0
    )
    assert router.ask() == "two"
    assert int(Path(router.pidfile).read_text()) == pid
    router.ini.unlink()
    wait_until(lambda: not name_of(pid), "the Emperor has stopped it")
    assert not os.path.exists(router.pidfile)
