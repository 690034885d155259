"""Binary patches: a program in the place of uWSGI is an application."""

from pathlib import Path

import pytest

from uwsgi_router.router.config.app import AppConfig
from uwsgi_router.router.config.load import Report, examine


def report(directory: Path, *lines: str, name: str = "shop.example.ini") -> Report:
    path = directory / name
    path.write_text("\n".join(("[uwsgi]", *lines)) + "\n")
    return examine(["--ini", str(path)], {})


def apps(directory: Path, *lines: str) -> tuple[AppConfig, ...]:
    found = report(directory, *lines)
    assert found.problems == ()
    return found.configuration.applications


def test_a_program_gets_our_arguments(tmp_path: Path) -> None:
    (app,) = apps(tmp_path, "privileged-binary-patch = /opt/shop", "chdir = /", "env = A=b")
    path = str(tmp_path / "shop.example.ini")
    assert app.command == ("/opt/shop", "--ini", path)
    assert (app.name, app.hosts, app.replicas) == ("shop-example", ("shop.example",), 1)
    assert (app.cwd, app.env, app.uid) == ("/", (("A", "b"),), None)


def test_a_command_is_the_shells_and_the_unprivileged_ones_change_their_user(
    tmp_path: Path,
) -> None:
    lines = (
        "unprivileged-binary-patch-arg = exec shop --port $PORT",
        "uid = nobody",
        "gid = 65534",
    )
    (app,) = apps(tmp_path, *lines)
    assert app.command == ("/bin/sh", "-c", "exec shop --port $PORT")
    assert (app.uid, app.gid) == ("nobody", "65534")
    (app,) = apps(tmp_path, "privileged-binary-patch-arg = shop", *lines)
    assert (app.command, app.uid) == (("/bin/sh", "-c", "shop"), None)


def test_a_section_without_a_command_has_its_other_words(tmp_path: Path) -> None:
    patch = "unprivileged-binary-patch = /opt/shop"
    words = ("[app shop]", "host = a.example", "replicas = 3", "cwd = /srv", "env = B=c")
    (app,) = apps(tmp_path, patch, "env = A=b", "chdir = /", *words)
    assert app.command[0] == "/opt/shop"
    assert (app.name, app.hosts, app.replicas, app.cwd) == ("shop", ("a.example",), 3, "/srv")
    assert app.env == (("A", "b"), ("B", "c"))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("[app a]", "host = a", "[app b]", "host = b"), "[app a] and [app b] have no command"),
        (("[app a]", "command = x"), "the binary patch has no effect"),
    ],
)
def test_what_can_t_be_meant_is_said(tmp_path: Path, lines: tuple[str, ...], says: str) -> None:
    found = report(tmp_path, "unprivileged-binary-patch = /opt/shop", *lines)
    assert says in str(found.problems[0])


def test_names_of_files_become_names_of_applications(tmp_path: Path) -> None:
    found = report(tmp_path, "privileged-binary-patch = x", name=f"_{'a' * 40}.ini")
    assert found.configuration.applications[0].name == "a" * 32
