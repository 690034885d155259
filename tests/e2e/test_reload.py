"""Reload: new processes take over under load, nothing is lost; what can't be used changes nothing."""

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.place import Place
from tests.lab.processes import children_of, free_port, run
from tests.lab.reloaded import Reloaded, name_of
from tests.lab.steady import NamedNodes, SteadyLoad
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.subscription import Subscription, encode

# --- what is not lost ---


@pytest.mark.parametrize(
    ("workers", "names"), [(1, ("one", "two")), (2, ("two",))], ids=["one", "two"]
)
def test_under_load_no_request_is_lost_and_each_gets_the_node_of_its_time(
    lab: Place, nodes: NamedNodes, workers: int, names: tuple[str, ...]
) -> None:
    router = Reloaded(lab, f"http-workers = {workers}", "drain-grace = 1")
    router.write(Reloaded.to(nodes, "one"))
    router.start(lab)
    # As fast as they can, they would only make the reload slow.
    load = SteadyLoad(router.address, 16, pause=0.02)
    try:
        load.wait_for(200)
        since = []
        for name in names:
            router.write(Reloaded.to(nodes, name))
            since.append(router.reload())
            load.wait_for(200)
    finally:
        load.stop()
    assert load.lost() == {}
    ready = since[-1]
    assert load.answered_on_new("one", ready) == 0
    # On connections that were there a last answer each.
    assert all(count <= 1 for count in load.answered_by("one", ready).values())
    assert load.answered_on_new("two", ready) > 0


def test_an_idle_connection_has_one_last_request_and_is_told_to_close(
    lab: Place, nodes: NamedNodes
) -> None:
    router = Reloaded(lab, "drain-grace = 20")
    router.write(Reloaded.to(nodes, "one"))
    router.start(lab)
    with Client(router.address, 30.0) as idle:
        assert idle.get("/").body == b"one"
        router.write(Reloaded.to(nodes, "two"))
        router.reload()
        answer = idle.get("/")
        # With the configuration that it began with.
        assert answer.body == b"one"
        assert answer.get("connection") == b"close"
        assert idle.ending() == (b"", "closed")
    assert router.ask() == "two"


def test_an_idle_connection_ends_after_the_grace(lab: Place, nodes: NamedNodes) -> None:
    router = Reloaded(lab, "drain-grace = 0.2")
    router.write(Reloaded.to(nodes, "one"))
    router.start(lab)
    with Client(router.address, 30.0) as idle:
        assert idle.get("/").body == b"one"
        done = router.reload_and_wait()
        assert (done.returncode, done.stderr) == (0, "")
        assert idle.ending() == (b"", "closed")


def test_the_process_id_stays_and_the_old_worker_goes(router: Reloaded) -> None:
    pid, before = router.command.pid, router.workers()
    assert len(before) == 1
    assert router.reload_and_wait(router.pidfile).returncode == 0
    after = router.workers()
    assert len(after) == 1
    assert after != before
    assert router.command.pid == pid
    assert router.command.running()


def test_announced_nodes_drains_and_weights_stay(lab: Place, nodes: NamedNodes) -> None:
    announce = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    router = Reloaded(lab, f"http-subscription-server = {announce}")
    router.write()
    router.start(lab)
    one, two = (nodes.addresses[name] for name in ("one", "two"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for node in (one, two):
            data = encode(Subscription("subscribe", b"example.com", node, proto="http"))
            host, port = announce.split(":")
            sock.sendto(data, (host, int(port)))
    argv = [programs.uwsgi_router(), "status", "--json", "--control", router.control]
    wait_until(lambda: run(*argv).stdout.count('"node"') == 2, "both are known")
    for words in (("drain", one), ("weight", two, "7")):
        run(programs.uwsgi_router(), *words, "--control", router.control)
    assert {router.ask() for _ in range(5)} == {"two"}
    assert router.reload_and_wait().returncode == 0
    # Nobody has announced anything meanwhile.
    assert {router.ask() for _ in range(5)} == {"two"}
    status = run(*argv).stdout
    assert '"state": "drained"' in status
    assert '"weight": 7' in status


def test_addresses_come_and_go_and_files_with_them(lab: Place, nodes: NamedNodes) -> None:
    router = Reloaded(lab)
    old, new = (str(lab.directory / name) for name in ("old.sock", "new.sock"))
    router.write(Reloaded.to(nodes, "one"), f"http = {old}")
    router.start(lab)
    kept = Client(old)
    assert kept.get("/").body == b"one"
    router.write(Reloaded.to(nodes, "two"), f"http = {new}")
    router.reload()
    assert not os.path.exists(old)
    with Client(new) as client:
        assert client.get("/").body == b"two"
    # Who was connected is served to the end.
    assert kept.get("/").body == b"one"
    kept.sock.close()


def test_a_websocket_goes_on_and_is_told_at_the_end_of_its_time_to_come_again(lab: Place) -> None:
    server = lab.server("uvicorn")
    router = Reloaded(lab, "http-websockets = true", "http-websocket-check = true")
    router.write(f"http-to = http://{server.address}", "drain-streams = 2")
    router.start(lab)
    with connect(f"ws://{router.address}/echo", compression=None) as websocket:
        websocket.send("before")
        assert websocket.recv() == "before"
        router.reload()
        websocket.send("after")
        assert websocket.recv() == "after"
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


# --- what changes nothing ---


def refused(router: Reloaded, *words: str, targets: tuple[str, ...] = ()) -> None:
    """Reload in both ways; each is refused for this reason, in one line of the log, and the old processes serve on."""
    before = router.workers()
    for target in targets or (router.control, router.pidfile):
        length = len(router.command.output())
        done = router.reload_and_wait(target)
        assert done.returncode == 1
        assert all(word in done.stderr for word in words), done.stderr
        lines = [
            line for line in router.command.output()[length:].splitlines() if " error " in line
        ]
        assert len(lines) == 1
        assert "reload: nothing has changed: " in lines[0]
    assert router.workers() == before
    assert router.ask() == "one"


def test_a_broken_file_changes_nothing(router: Reloaded, nodes: NamedNodes) -> None:
    router.write(Reloaded.to(nodes, "two"), "no-such-option = 1")
    refused(router, "router.ini:", "unknown option no-such-option")


def test_an_address_that_is_taken_changes_nothing(router: Reloaded, nodes: NamedNodes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        router.write(Reloaded.to(nodes, "two"), f"http = {address}")
        # Known only once the master has executed itself: who waits does so over that.
        refused(router, address, "address already in use", targets=(router.control,))


def test_a_program_that_can_not_be_imported_changes_nothing(lab: Place, nodes: NamedNodes) -> None:
    path = lab.directory / "path"
    router = Reloaded(lab)
    router.write(Reloaded.to(nodes, "one"))
    router.start(lab, env={"PYTHONPATH": str(path)})
    package = path / "uwsgi_router"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('half an update')\n")
    refused(router, "the check of the configuration has ended (exit code 1)")
    assert "half an update" in router.command.output()


def test_new_processes_that_hang_are_given_up(lab: Place, nodes: NamedNodes) -> None:
    hangs = lab.directory / "hangs.py"
    hangs.write_text(
        "import time\nwhile True:\n    time.sleep(1)\n\ndef choose(key): return None\n"
    )
    router = Reloaded(lab, "reload-timeout = 5")
    router.write(Reloaded.to(nodes, "one"))
    router.start(lab)
    router.write(f"http-use-code-string = 0:{hangs}:choose")
    why = "worker 1: not ready within 5 s (reload-timeout)"
    refused(router, why, targets=(router.pidfile,))


# --- reloads and signals meanwhile ---


def test_reloads_while_old_processes_drain_leave_two_of_them(lab: Place, nodes: NamedNodes) -> None:
    router = Reloaded(lab, "reload-mercy = 50")
    slow = socket.create_server(("127.0.0.1", 0))
    lab.closing(slow)
    router.write(f"http-to = http://127.0.0.1:{slow.getsockname()[1]}")
    router.start(lab)
    clients, asked, workers = [], [], []
    for _ in range(3):
        # Of each generation one request that does not end.
        client = Client(router.address, 30.0)
        lab.closing(client.sock)
        client.request("GET", "/")
        sock, _address = slow.accept()
        lab.closing(sock)
        clients.append(client)
        asked.append(sock)
        workers.append(next(pid for pid in router.workers() if pid not in workers))
        router.reload()
        wait_until(lambda: len(router.workers()) <= 3, "two old processes at most")
    router.command.wait_for_output("generation 1 is cut off: two others drain")
    output = router.command.output()
    assert output.count("1 requests are finishing, they have 60 s") == 3
    wait_until(lambda: not name_of(workers[0]), "the oldest one has ended")
    # Who was in it is told at once that there is no answer.
    clients[0].ending()
    for client, sock in zip(clients[1:], asked[1:], strict=True):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        assert client.answer().body == b"late"
    wait_until(lambda: not any(map(name_of, workers)), "all old processes have ended")
    router.command.wait_for_output("the reload is over")


def test_hups_during_a_reload_are_one_more_reload(router: Reloaded, nodes: NamedNodes) -> None:
    router.write(Reloaded.to(nodes, "two"))
    router.command.signal(signal.SIGHUP)
    router.command.wait_for_output("SIGHUP: the configuration is read again")
    for _ in range(3):
        router.command.signal(signal.SIGHUP)
    router.command.wait_for_output("another reload follows")
    assert router.reload_and_wait(router.pidfile).returncode == 0
    assert router.ask() == "two"
    assert router.command.output().count("is ready") <= 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_a_reload_ends_everything(router: Reloaded, number: signal.Signals) -> None:
    router.command.signal(signal.SIGHUP)
    router.command.wait_for_output("the configuration is read again")
    everybody = [router.command.pid, *children_of(router.command.pid)]
    router.command.signal(number)
    assert router.command.wait() == 0
    wait_until(lambda: not any(map(name_of, everybody)), "everybody has ended")
    assert not os.path.exists(router.control)
    assert not os.path.exists(router.pidfile)


# --- where it runs ---


def test_what_a_link_names_now_is_read_and_chdir_changes_nothing_of_that(
    lab: Place, nodes: NamedNodes
) -> None:
    releases = [lab.directory / name for name in ("first", "second")]
    current = lab.directory / "current"
    router = Reloaded(lab, "chdir = /")
    for release, name in zip(releases, ("one", "two"), strict=True):
        release.mkdir()
        router.ini = release / "router.ini"
        router.write(Reloaded.to(nodes, name))
    current.symlink_to(releases[0])
    router.command = lab.command("router.ini", cwd=current, env={"PWD": str(current)})
    assert router.ask() == "one"
    fresh = lab.directory / "fresh"
    fresh.symlink_to(releases[1])
    fresh.rename(current)
    assert router.reload_and_wait().returncode == 0
    assert router.ask() == "two"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_workers_are_the_users_and_root_opens_what_only_root_can(
    lab: Place, nodes: NamedNodes
) -> None:
    lab.directory.chmod(0o755)
    router = Reloaded(lab, "uid = 1234", "gid = 1234")
    router.write(Reloaded.to(nodes, "one"))
    # The user that it becomes can't tell the test's socket.
    router.start(lab)
    closed = lab.directory / "closed"
    closed.mkdir(mode=0o700)
    router.write(Reloaded.to(nodes, "two"), f"http = {closed}/new.sock")
    done = router.reload_and_wait()
    assert (done.returncode, done.stderr) == (0, "")
    (worker,) = router.workers()
    assert "Uid:\t1234\t1234\t1234\t1234" in Path(f"/proc/{worker}/status").read_text()
    with Client(f"{closed}/new.sock") as client:
        assert client.get("/").body == b"two"


def test_sockets_of_systemd_survive(lab: Place, nodes: NamedNodes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    lab.closing(listener)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    router = Reloaded(lab)
    router.address = address
    router.write(Reloaded.to(nodes, "one"), f"http = {address}")
    router.start(lab, inherit=[listener])
    assert router.ask() == "one"
    router.write(Reloaded.to(nodes, "two"), f"http = {address}")
    for _ in range(2):
        assert router.reload_and_wait().returncode == 0
        assert router.ask() == "two"
    router.command.stop()
    # Nobody has closed it.
    socket.create_connection(listener.getsockname()).close()


def test_descriptors_and_processes_do_not_grow(router: Reloaded, nodes: NamedNodes) -> None:
    def held() -> tuple[int, int]:
        return len(os.listdir(f"/proc/{router.command.pid}/fd")), len(
            children_of(router.command.pid)
        )

    router.write(Reloaded.to(nodes, "two"))
    assert router.reload_and_wait().returncode == 0
    before = held()
    for _ in range(2):
        assert router.reload_and_wait().returncode == 0
    # The last connection of the command that asked may still be there, and may have been there before.
    wait_until(
        lambda: all(now <= then for now, then in zip(held(), before, strict=True)), "no more"
    )


def test_counters_never_fall(lab: Place, nodes: NamedNodes) -> None:
    stats = str(lab.directory / "stats.sock")
    router = Reloaded(lab, f"http-stats = {stats}", "stats-http = true")
    router.write(Reloaded.to(nodes, "one"))
    router.start(lab)

    def requests() -> int:
        with Client(stats) as client:
            text = client.get("/metrics").body.decode()
        found = re.search(r"^uwsgi_router_requests_total\{[^}]*\} (\d+)", text, re.MULTILINE)
        assert found is not None, text
        return int(found[1])

    for _ in range(3):
        router.ask()
    assert requests() == 3
    assert router.reload_and_wait().returncode == 0
    router.ask()
    assert requests() == 4


def test_python_runs_the_same_interpreter_and_options(lab: Place, nodes: NamedNodes) -> None:
    router = Reloaded(lab)
    router.write(Reloaded.to(nodes, "one"))
    argv = [sys.executable, "-X", "dev", "-m", "uwsgi_router", str(router.ini)]
    program = lab.program("router", *argv, cwd=programs.ROOT)
    program.wait_for_output("is ready")
    assert router.reload_and_wait(router.pidfile).returncode == 0
    for pid in (program.pid, *children_of(program.pid)):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert words[1:5] == [b"-X", b"dev", b"-m", b"uwsgi_router"]
