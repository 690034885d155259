"""Started as root, it goes on as another user: what it opened before, and what it can't be led to."""

import os
import signal
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.commands import HttpRouter
from tests.lab.place import Place
from tests.lab.processes import run
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")

USER = 33


@pytest.fixture
def logs(lab: Place) -> Path:
    """The service's own directory for logs, as systemd makes it for ``LogsDirectory=``."""
    lab.directory.chmod(0o755)
    directory = lab.directory / "logs"
    directory.mkdir()
    os.chown(directory, USER, USER)
    return directory


def started(lab: Place, logs: Path) -> HttpRouter:
    return lab.http_router(
        f"--uid={USER}",
        f"--gid={USER}",
        "--http-to=127.0.0.1:9",
        f"--http-access-log={logs / 'access'}",
        f"--logto={logs / 'log'}",
    )


def ask(router: HttpRouter) -> None:
    with router.client() as client:
        client.request("GET", "/", "Connection: close")
        client.ending()


def test_both_logs_are_the_users_and_are_opened_again(lab: Place, logs: Path) -> None:
    router = started(lab, logs)
    ask(router)
    for name in ("access", "log"):
        path = logs / name
        wait_until(path.read_text, "something is logged")
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (USER, USER, 0o640)
        path.rename(logs / f"{name}.1")
    router.signal(signal.SIGUSR1)
    wait_until(lambda: (logs / "access").exists() and (logs / "log").exists(), "they are there")
    ask(router)
    wait_until(lambda: "GET" in (logs / "access").read_text(), "a request is logged")
    wait_until(lambda: "502 connect" in (logs / "log").read_text(), "and its failure")
    assert "SIGUSR1: log files are opened again" in (logs / "log.1").read_text()


def test_a_file_in_a_directory_of_roots_is_opened_again_once_logrotate_has_made_it(
    lab: Place, logs: Path
) -> None:
    os.chown(logs, 0, 0)
    router = started(lab, logs)
    for name in ("access", "log"):
        (logs / name).rename(logs / f"{name}.1")
        (logs / name).touch()
        os.chown(logs / name, USER, USER)
    router.signal(signal.SIGUSR1)
    wait_until(lambda: "opened again" in (logs / "log.1").read_text(), "it has the signal")
    ask(router)
    wait_until(lambda: "GET" in (logs / "access").read_text(), "a request is logged")
    wait_until(lambda: "502 connect" in (logs / "log").read_text(), "and its failure")


@pytest.mark.parametrize("option", ["http-access-log", "logto", "pidfile"])
@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_link_of_the_users_leads_root_nowhere(
    lab: Place, logs: Path, option: str, what: str
) -> None:
    precious = lab.directory / "precious"
    precious.mkdir()
    (precious / "file").write_text("data\n")
    if what == "file":
        (logs / "link").symlink_to(precious / "file")
        path = logs / "link"
    else:
        (logs / "link").symlink_to(precious)
        path = logs / "link" / "file"
    ended = run(
        programs.uwsgi_router(),
        "--http=127.0.0.1:0",
        "--http-to=127.0.0.1:9",
        f"--uid={USER}",
        f"--{option}={path}",
    )
    assert ended.returncode == 1
    assert "a symbolic link that others than root may have made" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
    assert (precious / "file").read_text() == "data\n"
    assert (precious / "file").stat().st_uid == 0


def test_an_error_page_is_not_what_a_link_of_the_users_leads_to(lab: Place, logs: Path) -> None:
    secret = lab.directory / "secret"
    secret.write_text("secret\n")
    (logs / "404.html").symlink_to(secret)
    ended = run(
        programs.uwsgi_router(),
        "--http=127.0.0.1:0",
        "--http-to=127.0.0.1:9",
        f"--uid={USER}",
        f"--http-error-page=404:{logs / '404.html'}",
    )
    assert ended.returncode == 1
    assert "a symbolic link that others than root may have made" in ended.stderr


def test_neither_it_nor_its_children_gain_privileges(lab: Place, logs: Path) -> None:
    router = started(lab, logs)
    children = Path(f"/proc/{router.pid}/task/{router.pid}/children").read_text().split()
    assert children
    for pid in (router.pid, *children):
        status = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1\n" in status
        assert "Umask:\t0027\n" in status
