"""An Emperor with an HTTP router, and ``[app]`` files in its directory: announced, rolled, crashed."""

import http.client
import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab.asking import Asking, ask
from tests.lab.empire import PROGRAMS
from tests.lab.namespaces import need_namespaces
from tests.lab.place import Place
from tests.lab.processes import children_of, free_port, run
from tests.lab.programs import uwsgi_router
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.sources


def test_apps_are_rolled_under_load_and_come_back_after_a_crash(lab: Place) -> None:
    empire = lab.empire()
    for name, program in PROGRAMS.items():
        empire.put_app(name, program, "replicas = 2")
    empire.wait_for_http()
    for name in PROGRAMS:
        assert ask(empire.port, f"{name}.example") == 200
    with ExitStack() as stack:
        loads = [stack.enter_context(Asking(empire.port, f"{name}.example")) for name in PROGRAMS]
        for _ in range(2):
            empire.touch(*PROGRAMS)
    for load in loads:
        assert set(load.statuses) == {200}
        assert len(load.statuses) > 20
    # The supervisor of each is killed, and its copies with it.
    for name in PROGRAMS:
        (line,) = (x for x in empire.output().splitlines() if f" {name}.ini: started" in x)
        os.kill(int(line.rpartition(" ")[2]), signal.SIGKILL)
    for name in PROGRAMS:
        empire.wait_until_it_is_back(name)
    empire.signal(signal.SIGTERM)
    assert empire.wait(40) == 0


def test_a_file_that_is_removed_is_withdrawn_and_a_mixture_is_refused(lab: Place) -> None:
    empire = lab.empire()
    path = empire.put_app("files", PROGRAMS["files"], "replicas = 1")
    empire.put("mixed.ini", "[uwsgi]", "http = :1", "module = shop")
    empire.wait_for_http()
    assert ask(empire.port, "files.example") == 200
    assert "mixed.ini: not started: this program would run http (" in empire.output()
    path.unlink()
    empire.wait_for_output("[files.example] no nodes left")
    empire.wait_for_output("files.ini: removed")


def test_a_broken_deploy_is_not_accepted_and_the_old_copies_go_on(lab: Place) -> None:
    empire = lab.empire()
    empire.put_app("files", PROGRAMS["files"], "replicas = 1")
    empire.wait_for_http()
    assert ask(empire.port, "files.example") == 200
    empire.wait_for_output("files.ini: ready to accept")
    accepted = empire.count("files.ini: ready to accept")
    later = time.time() + 1
    os.utime(empire.put_app("files", "-c raise(SystemExit(9))", "replicas = 1"), (later, later))
    empire.wait_for_output("rollout of files failed: files.2 ended with exit code 9")
    assert ask(empire.port, "files.example") == 200
    assert empire.count("files.ini: ready to accept") == accepted


def test_an_emperor_without_routers_serves_what_is_there(lab: Place) -> None:
    directory = lab.directory / "vassals"
    directory.mkdir()
    own = free_port()
    command = f"command = {sys.executable} -m http.server --bind 127.0.0.1 {{port}}"
    (directory / "a.ini").write_text(
        f"[app a]\n{command}\nreplicas = 1\n[uwsgi]\nhttp = 127.0.0.1:{own}\n"
    )
    process = lab.program(
        "emperor", uwsgi_router(), f"--emperor={directory}",
        env={"XDG_RUNTIME_DIR": str(lab.directory)},
    )  # fmt: skip
    process.wait_for_output("a.ini: spawned")
    process.wait_for_output(f"listening on 127.0.0.1:{own}")
    wait_until(lambda: ask(own) == 200, "it answers")


def test_operators_see_vassals_and_give_orders(lab: Place) -> None:
    stats = free_port()
    empire = lab.empire(f"--emperor-stats=127.0.0.1:{stats}", "--stats-http")
    empire.put_app("files", PROGRAMS["files"], "replicas = 1")
    empire.put("mixed.ini", "[uwsgi]", "http = :1", "module = shop")
    empire.wait_for_http()
    empire.wait_for_output("files.ini: ready to accept")

    def vassals(*words: str) -> str:
        # The router says where its Emperor is.
        done = run(uwsgi_router(), "vassals", "--control", str(empire.control), *words)
        return done.stdout + done.stderr

    def state(name: str) -> str:
        found: str = json.loads(vassals(name, "--json"))["vassals"][0]["state"]
        return found

    heading, files, mixed = sorted(vassals().splitlines(), key=lambda line: line[:6] != "vassal")
    assert heading.split() == [
        "vassal",
        "state",
        "pid",
        "since",
        "reloads",
        "restarts",
        "socket",
        "why",
    ]
    assert files.split()[:2] == ["files.ini", "serving"]
    assert "this program would run http (" in mixed
    status = run(uwsgi_router(), "status", "--control", str(empire.control)).stdout
    assert "files.ini  serving" in status
    assert "files.example" in status
    assert vassals("reload", "files") == "files.ini: reloading\n"
    wait_until(lambda: empire.count("files.ini: ready to accept") == 2, "it reloads")
    assert vassals("stop", "files.ini") == "files.ini: stopping\n"
    wait_until(lambda: state("files") == "stopped", "it stops")
    assert "it is stopped: start it" in vassals("reload", "files")
    assert vassals("start", "files") == "files.ini: waiting\n"
    wait_until(lambda: state("files") == "serving", "it serves")
    assert "serve: files.1 serves after" in vassals("log", "files")
    assert vassals("reset", "files") == "files.ini: serving\n"
    assert "there is no vassal none" in vassals("stop", "none")
    connection = http.client.HTTPConnection("127.0.0.1", stats, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    assert 'uwsgi_router_vassals{state="serving"} 1' in text
    assert 'uwsgi_router_vassal_up{vassal="files.ini"} 1' in text
    assert 'uwsgi_router_vassal_up{vassal="mixed.ini"} 0' in text


def test_an_app_in_a_jail_has_its_terminals_beside_it(lab: Place) -> None:
    """Nobody else could have them: another vassal has namespaces of its own."""
    empire, path = lab.empire(), lab.directory / "pty.sock"
    inside = ("replicas = 1", "[uwsgi]", f"forkptyurouter = {path}", "pidfile = app.pid")

    def said() -> str:
        return run(uwsgi_router(), "pty", str(path)).stdout.replace("\r", "")

    def reload(*lines: str) -> None:
        later = (empire.vassals / "files.ini").stat().st_mtime + 1
        os.utime(empire.put_app("files", PROGRAMS["files"], *lines), (later, later))

    empire.put_app("files", PROGRAMS["files"], *inside, "forkptyrouter-command = echo one")
    empire.wait_for_http()
    assert ask(empire.port, "files.example") == 200
    wait_until(lambda: "one\n" in said(), "there are terminals")
    # The application's own, all the same.
    (line,) = (x for x in empire.output().splitlines() if " files.ini: started" in x)
    supervisor = int(line.rpartition(" ")[2])
    assert int((empire.vassals / "app.pid").read_text()) == supervisor
    # Other terminals, with the next reload.
    reload(*inside, "forkptyrouter-command = echo two")
    wait_until(lambda: "two\n" in said(), "they are others")
    # Killed, they come back; copies notice nothing.
    (beside,) = (
        pid
        for pid in children_of(supervisor)
        if b"--no-apps" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(beside, signal.SIGKILL)
    empire.wait_for_output("the routers and devices of the jail have ended")
    wait_until(lambda: "two\n" in said(), "they are back")
    assert empire.count("files.1 ended by") == 1
    assert empire.count("files.2 ended by") == 0
    reload("replicas = 1")
    empire.wait_for_output("no reload, everything goes on as before: a file that has got a forkpty")
    assert "two\n" in said()
    (empire.vassals / "files.ini").unlink()
    empire.wait_for_output("files.ini: removed")
    assert not path.exists()


def test_in_a_network_of_its_own_an_app_is_reached_by_a_socket_only(lab: Place) -> None:
    need_namespaces()
    empire = lab.empire("--emperor-use-clone=net")
    served = PROGRAMS["gunicorn"].replace("{address}", "unix:{socket}")
    empire.put_app("inside", served, "replicas = 1")
    # Its port is another program's here, or nobody's.
    empire.put_app("files", PROGRAMS["files"], "replicas = 1")
    empire.wait_for_http()
    assert ask(empire.port, "inside.example") == 200
    refusal = "[app files] would listen on the loopback of a network of its own"
    empire.wait_for_output(f"files.ini | uwsgi-router: {refusal}")
    assert "files.example" not in empire.status()
    # A reload that brings it about is refused, and the copies stay.
    later = (empire.vassals / "inside.ini").stat().st_mtime + 1
    os.utime(empire.put_app("inside", PROGRAMS["gunicorn"], "replicas = 1"), (later, later))
    empire.wait_for_output("no reload, everything goes on as before: [app inside] would listen")
    assert ask(empire.port, "inside.example") == 200
