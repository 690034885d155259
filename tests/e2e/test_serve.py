"""``serve``: HTTP at once, copies of a program behind it, rollouts, broken builds, recycling, stops."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.place import Place
from tests.lab.processes import run
from tests.lab.programs import uwsgi_router
from tests.lab.serving import ASGI, GUNICORN, UVICORN, WSGI, Served
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.sources


def test_requests_wait_until_the_first_copy_is_healthy(lab: Place) -> None:
    late = "import time; time.sleep(2); import runpy; runpy.run_module('gunicorn', run_name='__main__')"
    served = lab.served("--", sys.executable, "-c", late, "-b", "{address}", WSGI)
    served.wait_for_http()
    assert served.copies() == [] or served.copies()[0]["state"] == "starting"
    assert served.get()[0] == 200
    assert served.stop() == 0


def test_a_rollout_starts_new_copies_first_and_then_ends_the_old_ones(lab: Place) -> None:
    served = lab.served("--", *GUNICORN, WSGI)
    old = {copy["pid"] for copy in served.wait_for_copies(2)}
    done = served.rollout()
    assert (done.returncode, done.stdout) == (0, "rolled out 1 application\n")
    new = served.wait_for_copies(2)
    assert not old & {copy["pid"] for copy in new}
    assert {copy["generation"] for copy in new} == {2}
    assert not any(os.path.exists(f"/proc/{pid}") for pid in old)
    status = run(uwsgi_router(), "status", "--json", "--control", served.control)
    shown = {copy["copy"]: copy["pid"] for copy in json.loads(status.stdout)["copies"]}
    assert shown == {copy["copy"]: copy["pid"] for copy in new}


def test_hup_is_a_rollout(lab: Place) -> None:
    served = lab.served("--surge", "--", *GUNICORN, WSGI)
    old = {copy["pid"] for copy in served.wait_for_copies(2)}
    served.signal(signal.SIGHUP)
    served.wait_for_output("rollout is done")
    assert not old & {copy["pid"] for copy in served.wait_for_copies(2)}


def test_a_broken_build_is_refused_with_its_last_lines(lab: Place) -> None:
    served = lab.served("--", *GUNICORN, WSGI)
    old = {copy["pid"] for copy in served.wait_for_copies(2)}
    served.broken.touch()
    done = served.rollout()
    assert done.returncode == 1
    assert "RuntimeError: this build is broken" in done.stderr
    assert "exit code 3" in done.stderr.splitlines()[-1]
    assert {copy["pid"] for copy in served.wait_for_copies(2)} == old
    assert served.get()[0] == 200
    served.broken.unlink()
    assert served.rollout().returncode == 0


def test_what_is_broken_from_the_beginning_ends_it_with_its_code(lab: Place) -> None:
    served = lab.served("--replicas", "1", "--", *GUNICORN, "tests.peers.served:nothing")
    assert served.wait(30) == 4
    assert "Failed to find attribute 'nothing'" in served.output()


def test_a_program_that_is_not_there_is_127(lab: Place) -> None:
    served = lab.served("--replicas", "1", "--", "no-such-program", "{port}")
    assert served.wait(30) == 127
    assert "no-such-program: no such program" in served.output()


def test_who_listens_elsewhere_is_told_what_to_write(lab: Place) -> None:
    elsewhere = str(lab.directory / "elsewhere.sock")
    served = lab.served("--replicas", "1", "--", *UVICORN[:3], ASGI, "--uds", elsewhere)
    served.wait_for_output("and was expected on 127.0.0.1:")
    line = next(line for line in served.output().splitlines() if "was expected" in line)
    assert f"it listens on {elsewhere}" in line
    assert line.endswith("write uvicorn … --port {port}, or --uds {socket}")


def test_a_copy_that_is_killed_is_replaced(lab: Place) -> None:
    served = lab.served("--replicas", "1", "--", *UVICORN, ASGI)
    (copy,) = served.wait_for_copies(1)
    os.kill(copy["pid"], signal.SIGKILL)
    served.wait_for_output("ended by signal 9, SIGKILL: killed by somebody")
    assert served.get()[0] == 200
    assert served.wait_for_copies(1)[0]["pid"] != copy["pid"]


def test_no_process_of_a_copy_outlives_it(lab: Place) -> None:
    served = lab.served("--replicas", "1", "--", *GUNICORN, WSGI, "--workers", "2")
    (copy,) = served.wait_for_copies(1)
    children = Path(f"/proc/{copy['pid']}/task/{copy['pid']}/children")
    wait_until(lambda: len(children.read_text().split()) == 2, "two workers")
    workers = children.read_text().split()
    os.kill(copy["pid"], signal.SIGKILL)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), "workers end")


def test_copies_end_with_a_supervisor_that_is_killed(lab: Place) -> None:
    served = lab.served("--", *UVICORN, ASGI)
    pids = [copy["pid"] for copy in served.wait_for_copies(2)]
    os.kill(served.pid, signal.SIGKILL)
    served.wait()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "copies end")


def test_what_a_killed_supervisor_has_left_is_removed_by_the_next_one(lab: Place) -> None:
    served = lab.served("--", *UVICORN, ASGI)
    served.wait_for_copies(2)
    (left,) = lab.directory.glob("uwsgi-serve-*")
    router = int((left / "router.pid").read_text())
    os.kill(served.pid, signal.SIGKILL)
    served.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{router}"), "its router ends")
    assert left.exists()
    lab.served("--", *UVICORN, ASGI).wait_for_copies(2)
    assert not left.exists()


def test_copies_are_recycled_by_requests(lab: Place) -> None:
    served = lab.served("--replicas", "1", "--max-requests", "20", "--", *UVICORN, ASGI)
    served.wait_for_copies(1)
    for _ in range(30):
        assert served.get()[0] == 200
    served.wait_for_output("is replaced: it has had")
    served.wait_for_copies(1)
    assert served.get()[0] == 200


def test_copies_are_recycled_by_memory(lab: Place) -> None:
    served = lab.served("--replicas", "1", "--max-rss", "1M", "--", *UVICORN, ASGI)
    # Who asks for copies has their memory measured.
    wait_until(lambda: served.copies() and "is replaced: it uses" in served.output(), "replaced")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_copy_that_is_stuck_shows_its_stacks_and_is_replaced(lab: Place, workers: int) -> None:
    options = ("--replicas", "1", "--request-timeout", "1s", "--http-processes", str(workers))
    # Each router process has some of a copy's connections.
    served = lab.served(*options, "--", *GUNICORN, "--threads", "2", WSGI)
    (copy,) = served.wait_for_copies(1)
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    # A GET would be sent again to the next copy.
    connection.request("POST", "/stuck", b"")
    served.wait_for_output("every request in it is stuck")
    served.wait_for_output('tests/peers/served.py", line')
    assert served.wait_for_copies(1)[0]["pid"] != copy["pid"]
    assert connection.getresponse().status == 502
    connection.close()


def test_a_rollout_takes_the_release_that_a_link_points_to_now(lab: Place) -> None:
    for release in ("one", "two"):
        directory = lab.directory / release
        directory.mkdir()
        (directory / "index.html").write_text(release)
    current = lab.directory / "current"
    current.symlink_to("one")
    served = lab.served(
        "--cwd", str(current), "--", sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "{port}"
    )  # fmt: skip
    served.wait_for_copies(2)
    assert served.get()[1] == "one"
    fresh = lab.directory / "fresh"
    fresh.symlink_to("two")
    fresh.rename(current)
    assert served.rollout().returncode == 0
    assert served.get()[1] == "two"


def test_a_stop_waits_for_requests(lab: Place) -> None:
    served = lab.served("--replicas", "1", "--", *UVICORN, ASGI)
    served.wait_for_copies(1)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("GET", "/slow?1.5")
    wait_until(lambda: served.copies()[0].get("running"), "the request runs")
    served.signal(signal.SIGTERM)
    assert connection.getresponse().status == 200
    assert served.wait(20) == 0
    connection.close()


def test_output_has_the_names_of_copies(lab: Place) -> None:
    served = lab.served("--name", "shop", "--", *UVICORN, ASGI)
    served.wait_for_copies(2)
    for number in (1, 2):
        assert f"shop.{number} | INFO:     Application startup complete." in served.output()


def test_options_come_from_the_environment_too(lab: Place) -> None:
    env = {"UWSGI_ROUTER_REPLICAS": "1", "UWSGI_ROUTER_NAME": "env", "UWSGI_HTTP": ":1"}
    served = lab.served("--", *UVICORN, ASGI, env=env)
    assert served.wait_for_copies(1)[0]["app"] == "env"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--replica", "3", "--", "x"), "there is no option --replica; did you mean --replicas?"),
        (("--replicas", "0", "--", "x"), "--replicas: expected a whole number from 1 to 1000"),
        ((), "there is no command"),
        (("gunicorn", "app:app"), "write -- before the command: -- gunicorn app:app"),
        (
            ("--stacks-signal", "USR1", "--", "x"),
            "stacks-signal without request-timeout has no effect",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: tuple[str, ...], says: str) -> None:
    done = run(uwsgi_router(), "serve", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_sections_of_a_file_are_applications(lab: Place) -> None:
    served = _from_file(
        lab,
        "[uwsgi]\nhttp = 127.0.0.1:{port}\ncontrol-socket = {control}\n\n"
        "[app shop]\ncommand = {python} -m uvicorn --no-access-log tests.peers.served:asgi --port {{port}}\n"
        "host = shop.example\nreplicas = 1\ncwd = {root}\n\n"
        "[app rest]\ncommand = {python} -m http.server --bind 127.0.0.1 {{port}}\nreplicas = 1\n",
    )
    assert served.get(host="shop.example")[1].endswith("served\n")
    assert "Directory listing" in served.get(host="other.example")[1]
    copies = served.wait_for_copies(2)
    assert [copy["app"] for copy in copies] == ["shop", "rest"]
    assert served.rollout("--app", "shop").returncode == 0
    assert [copy["generation"] for copy in served.wait_for_copies(2)] == [2, 1]
    assert (
        served.rollout("--app", "none").stderr
        == "uwsgi-router rollout: there is no application none\n"
    )
    served.signal(signal.SIGHUP)
    served.wait_for_output("rest rollout is done")
    assert served.stop(80) == 0


def _from_file(lab: Place, text: str) -> Served:
    from tests.lab.processes import free_port
    from tests.lab.serving import ROOT

    port, control = free_port(), str(lab.directory / "serve.sock")
    file = lab.directory / "apps.ini"
    file.write_text(text.format(port=port, control=control, python=sys.executable, root=ROOT))
    served = lab.served(argv=(uwsgi_router(), str(file)))
    served.port = port
    served.wait_for_http()
    return served


def test_mistakes_in_sections_are_named(lab: Place) -> None:
    file = lab.directory / "apps.ini"
    file.write_text("[app shop]\ncomand = x\nreplicas = many\n[app bad name]\n")
    done = subprocess.run(
        [uwsgi_router(), "check", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "apps.ini:2: comand is no option of applications; did you mean command?" in done.stdout
    assert "apps.ini:3: replicas: expected a whole number" in done.stdout
    assert "[app shop] has no command" in done.stdout


def test_a_second_signal_hurries(lab: Place) -> None:
    served = lab.served("--replicas", "1", "--", *UVICORN, ASGI)
    served.wait_for_copies(1)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("GET", "/slow?60")
    wait_until(lambda: served.copies()[0].get("running"), "the request runs")
    began = time.monotonic()
    served.signal(signal.SIGTERM)
    served.wait_for_output("SIGTERM: stopping")
    served.signal(signal.SIGTERM)
    served.wait(20)
    assert time.monotonic() - began < 10
    connection.close()


def test_the_service_manager_hears_when_it_serves_and_stops(lab: Place) -> None:
    path = str(lab.directory / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(20)
        served = lab.served("--", *UVICORN, ASGI, env={"NOTIFY_SOCKET": path})
        assert manager.recv(4096) == b"READY=1\nSTATUS=serving"
        assert served.get()[0] == 200
        served.signal(signal.SIGTERM)
        assert manager.recv(4096).startswith(b"STOPPING=1")
        assert served.wait(30) == 0


@pytest.mark.parametrize("given", [None, "from-a-proxy"])
def test_copies_clients_and_the_log_know_a_request_by_one_id(lab: Place, given: str | None) -> None:
    trusted = "127.0.0.1" if given else "none"
    served = lab.served("--replicas", "1", "--http-trusted-proxy", trusted, "--", *GUNICORN, WSGI)
    served.wait_for_copies(1)
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    try:
        connection.request("GET", "/id", headers={"X-Request-ID": given or "forged"})
        answer = connection.getresponse()
        told, body = answer.headers.get_all("X-Request-ID"), answer.read().decode()
    finally:
        connection.close()
    assert told is not None
    assert body.split()[1:] == told
    if given:
        assert told == [given]
    else:
        served.wait_for_output(f"Z {told[0]} 127.0.0.1")
