"""Command and environment of a vassal, word by word."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from uwsgi_router.protocol.emperor import OWN_NETWORK
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.hook_values import Hook
from uwsgi_router.router.emperor.command import (
    arguments_of,
    environment_of,
    hooks_of_vassal,
    launch_of,
)
from uwsgi_router.router.emperor.vassal_file import VassalFile

FILE = VassalFile(
    "one.ini", "/srv/vassals", "/srv/vassals/one.ini", 1.0, 1000, 1001, "/srv/vassals"
)


def environment(**environ: str) -> dict[str, str]:
    return environment_of(FILE, environ, "/usr/bin/uwsgi")


# --- arguments ---


def test_the_arguments_have_uwsgis_order() -> None:
    config = EmperorConfig(
        vassals_inherit_before=("/tb.ini",),
        vassals_include_before=("/ib.ini",),
        vassal_settings=("processes=1", "master=1"),
        vassals_inherit=("/t1.ini",),
        vassals_include=("/i1.ini",),
    )
    expected = (
        "--inherit /tb.ini --include /ib.ini --set processes=1 --set master=1 --json v_d.js"
        " --inherit /t1.ini --include /i1.ini"
    )
    assert arguments_of(replace(FILE, name="v_d.js"), config) == expected.split()


def test_each_group_keeps_its_order() -> None:
    config = EmperorConfig(vassals_include=("b", "a"), vassal_settings=("z=1", "a=2"))
    expected = "--set z=1 --set a=2 --ini one.ini --include b --include a"
    assert arguments_of(FILE, config) == expected.split()


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("a.xml", "--xml"),
        ("a.ini", "--ini"),
        ("a.yml", "--yaml"),
        ("a.yaml", "--yaml"),
        ("a.js", "--json"),
        ("a.json", "--json"),
        ("a.conf", "--config"),
        ("a.conf.ini", "--config"),
    ],
)
def test_the_ending_says_what_reads_it(name: str, loader: str) -> None:
    config = EmperorConfig(extra_extensions=(".conf", ".conf.ini"))
    assert arguments_of(replace(FILE, name=name), config) == [loader, name]


def test_wrappers_are_tried_in_order_with_the_same_arguments() -> None:
    config = EmperorConfig(
        wrapper="/w", wrapper_overrides=("/o1", "/o2"), wrapper_fallbacks=("/f1", "/f2")
    )
    launch = launch_of(FILE, config, {}, ["/usr/bin/uwsgi"])
    assert [argv[0] for argv in launch.argvs] == ["/o1", "/o2", "/w", "/f1", "/f2"]
    assert {tuple(argv[1:]) for argv in launch.argvs} == {("--ini", "one.ini")}


def test_without_a_wrapper_the_program_keeps_its_own_arguments() -> None:
    launch = launch_of(FILE, EmperorConfig(wrapper_fallbacks=("/f",)), {}, ["python", "-m", "us"])
    assert launch.argvs == [
        ["python", "-m", "us", "--ini", "one.ini"],
        ["/f", "--ini", "one.ini"],
    ]


@pytest.mark.parametrize(
    ("mode", "on", "name", "shown"),
    [
        (0o755, True, "x.ini", "exec://{}/x.ini"),
        (0o755, True, "a $b.ini", "exec://'{}/a $b.ini'"),
        (0o644, True, "x.ini", "x.ini"),
        (0o755, False, "x.ini", "x.ini"),
    ],
)
def test_an_executable_configuration_is_run_if_asked_for(
    tmp_path: Path, mode: int, on: bool, name: str, shown: str
) -> None:
    path = tmp_path / name
    path.touch()
    path.chmod(mode)
    file = replace(FILE, name=name, path=str(path))
    expected = ["--ini", shown.format(tmp_path)]
    assert arguments_of(file, EmperorConfig(magic_exec=on)) == expected


def test_a_launch_has_what_the_emperor_says() -> None:
    config = EmperorConfig(tyrant=True, use_clone=("pid", "net"), start_hook="/hook")
    launch = launch_of(FILE, config, {}, ["uwsgi"], open_files=1024)
    assert (launch.name, launch.directory, launch.owner) == (
        "one.ini",
        "/srv/vassals",
        (1000, 1001),
    )
    assert launch.namespaces == {"pid", "net"}
    assert (launch.start_hook, launch.open_files) == ("/hook", 1024)
    assert launch.environ[OWN_NETWORK] == "1"
    # That of an Emperor in a network of its own is its vassals', too.
    plain = launch_of(FILE, EmperorConfig(), {OWN_NETWORK: "1"}, ["uwsgi"])
    assert OWN_NETWORK not in plain.environ
    assert (plain.owner, plain.namespaces, plain.capabilities) == (None, frozenset(), None)


def test_hooks_of_all_families_have_uwsgis_order() -> None:
    config = EmperorConfig(
        exec_as_vassal=(Hook("exec", "e"),),
        umount_as_vassal=(Hook("umount", "u"),),
        mount_as_vassal=(Hook("mount", "m"),),
        hook_as_vassal=(Hook("print", "h"),),
    )
    assert [hook.argument for hook in hooks_of_vassal(config)] == ["h", "m", "u", "e"]


# --- environment ---


def test_variables_for_vassals_lose_that_word_wherever_they_stand() -> None:
    # uWSGI takes the text of the next variable.
    found = environment(
        A="1",
        UWSGI_VASSAL_SOCKET="/x",
        UWSGI_VASSAL_MASTER="true",
        UWSGI_VASSAL_THREADS="2",
        CCCCCCCCCCCCCCCCCCCCC="z",
    )
    found.pop("UWSGI_VASSALS_DIR")
    found.pop("UWSGI_ORIGINAL_PROC_NAME")
    assert found == {
        "A": "1",
        "UWSGI_SOCKET": "/x",
        "UWSGI_MASTER": "true",
        "UWSGI_THREADS": "2",
        "CCCCCCCCCCCCCCCCCCCCC": "z",
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/tmp/%n.sock", "/tmp/one.sock"),
        (
            "%N %s %e %p %d %c %o %v",
            "one one.ini ini /srv/vassals/one.ini /srv/vassals/ vassals one.ini /srv/vassals",
        ),
        ("100%%n", "100%n"),
        ("%(vassal) a%20b 5% %", "%(vassal) a%20b 5% %"),
        ("%q", "%q"),
    ],
)
def test_magic_variables_in_them_stand_for_the_vassal(value: str, expected: str) -> None:
    assert environment(UWSGI_VASSAL_SOCKET=value)["UWSGI_SOCKET"] == expected


def test_they_win_over_the_emperors_own() -> None:
    assert environment(UWSGI_VASSAL_A="new", UWSGI_A="old")["UWSGI_A"] == "new"


def test_magic_stays_out_of_what_is_not_for_vassals() -> None:
    assert environment(UWSGI_SOCKET="/tmp/%n", OTHER="%n") | {} == {
        "UWSGI_SOCKET": "/tmp/%n",
        "OTHER": "%n",
        "UWSGI_VASSALS_DIR": "/srv/vassals",
        "UWSGI_ORIGINAL_PROC_NAME": "/usr/bin/uwsgi",
    }


@pytest.mark.parametrize(
    "name",
    [
        "UWSGI_RELOADS",
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "LISTEN_FDS",
        "UWSGI_EMPEROR_FD",
        "UWSGI_EMPEROR_FD_CONFIG",
        "UWSGI_EMPEROR_PROXY",
        "UWSGI_BROODLORD_NUM",
        "_UWSGI_ROUTER_CHILD",
        "UWSGI_VASSAL_",
        "UWSGI_VASSAL_EMPEROR_FD",
    ],
)
def test_what_is_about_the_emperor_stays_there(name: str) -> None:
    found = environment(**{name: "7"})
    assert "7" not in found.values()


def test_the_directory_is_named_and_the_program_for_wrappers() -> None:
    found = environment(UWSGI_VASSALS_DIR="/old", UWSGI_ORIGINAL_PROC_NAME="old")
    assert found["UWSGI_VASSALS_DIR"] == "/srv/vassals"
    assert found["UWSGI_ORIGINAL_PROC_NAME"] == "/usr/bin/uwsgi"
    assert os.environ.get("UWSGI_VASSALS_DIR") is None
