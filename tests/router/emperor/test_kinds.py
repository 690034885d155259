"""Kinds of vassals: what a file says decides which program runs it."""

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.emperor.kinds import VassalKind, keys_of, kind_of, program_of
from uwsgi_router.router.emperor.vassal_file import VassalFile, VassalRefused

UWSGI, ROUTER, APPLICATIONS = VassalKind.UWSGI, VassalKind.ROUTER, VassalKind.APPLICATIONS


def vassal(directory: Path, *lines: str, name: str = "shop.ini") -> VassalFile:
    path = directory / name
    path.write_text("\n".join(lines) + "\n")
    return VassalFile(name, str(directory), str(path), 0.0, 0, 0, str(directory))


def kind(directory: Path, *lines: str, **config: object) -> VassalKind:
    file = vassal(directory, *lines)
    return kind_of(file, EmperorConfig(**config), {"STAGE": "test"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("[uwsgi]", "module = shop:app", "socket = /tmp/shop.sock"), UWSGI),
        (("[uwsgi]",), UWSGI),
        (("[uwsgi]", "master = true", "processes = 4", "subscribe-to = a:1:shop"), UWSGI),
        (("[uwsgi]", "http = :8080", "http-to = /tmp/shop.sock", "uid = www-data"), ROUTER),
        (("[uwsgi]", "fastrouter = :3031", "master = true"), ROUTER),
        (("[uwsgi]", "sslrouter = :443,a.pem,a.key"), ROUTER),
        (("[uwsgi]", "emperor = /etc/more", "binary-path = /bin/uwsgi"), ROUTER),
        (("[uwsgi]", "module = shop:app", "binary-path = /bin/uwsgi"), UWSGI),
        (("[app shop]", "command = gunicorn shop:app"), APPLICATIONS),
        (("[app shop]", "command = x", "[uwsgi]", "http = :8080"), APPLICATIONS),
        (("[uwsgi]", "unprivileged-binary-patch-arg = node shop.js"), APPLICATIONS),
        (("[uwsgi]", "privileged-binary-patch = /usr/bin/shop", "http = :80"), APPLICATIONS),
        # What a jail has inside is there for every program; a network for others is a router's.
        (("[uwsgi]", "tuntap-device = uw0 /run/tun.sock", "uid = www-data"), ROUTER),
        (("[uwsgi]", "forkptyurouter = /run/pty.sock"), ROUTER),
        (("[uwsgi]", "tuntap-router = emp0 /run/tun.sock"), ROUTER),
        (("[uwsgi]", "module = shop", "tuntap-device = uw0 /run/tun.sock"), UWSGI),
        (("[uwsgi]", "tuntap-device-rule = in 0.0.0.0 0.0.0.0 allow", "module = shop"), UWSGI),
        (("[uwsgi]", "module = shop", "forkptyrouter = /run/pty.sock"), UWSGI),
        (("[app shop]", "command = x", "[uwsgi]", "tuntap-device = uw0 /run/t"), APPLICATIONS),
        # The program gets the file, and may be another uWSGI.
        (("[uwsgi]", "privileged-binary-patch = /opt/uwsgi", "module = shop:app"), UWSGI),
        # A switch that is off asks for nothing.
        (("[uwsgi]", "vhost = false", "http = :8080"), ROUTER),
        # Conditions, loops and placeholders are read as uWSGI reads them.
        (("[uwsgi]", "if-env = STAGE", "http = :8080", "endif ="), ROUTER),
        (("[uwsgi]", "if-env = NOTHING", "http = :8080", "endif ="), UWSGI),
        (("[uwsgi]", "set-placeholder = module = x", "http = :8080"), ROUTER),
        (("[uwsgi]", "exit = 1"), UWSGI),
        (("http = :8080",), UWSGI),
    ],
)
def test_what_a_file_says_decides(
    tmp_path: Path, lines: tuple[str, ...], expected: VassalKind
) -> None:
    assert kind(tmp_path, *lines) is expected


def test_what_it_includes_counts_too_relative_to_its_directory(tmp_path: Path) -> None:
    (tmp_path / "common.ini").write_text("[uwsgi]\nhttp-timeout = 5\n")
    assert kind(tmp_path, "[uwsgi]", "include = common.ini") is ROUTER
    assert kind(tmp_path, "[uwsgi]", "include = none.ini") is UWSGI


def test_files_of_all_vassals_decide_about_those_that_say_nothing(tmp_path: Path) -> None:
    common = tmp_path / "common.ini"
    common.write_text("[uwsgi]\nmodule = shop:app\n")
    for word in ("vassals_include", "vassals_inherit", "vassals_include_before"):
        assert kind(tmp_path, "[uwsgi]", **{word: (str(common),)}) is UWSGI
        assert kind(tmp_path, "[app x]", "command = y", **{word: (str(common),)}) is APPLICATIONS
    assert kind(tmp_path, "[uwsgi]", "forkptyrouter = x", vassals_include=(str(common),)) is UWSGI
    common.write_text("[uwsgi]\nhttp = :8080\n")
    assert kind(tmp_path, "[uwsgi]", vassals_inherit=(str(common),)) is ROUTER
    assert kind(tmp_path, "[uwsgi]", vassal_settings=("http=:8080",)) is ROUTER


def test_what_is_no_ini_file_is_uwsgis(tmp_path: Path) -> None:
    config = EmperorConfig()
    for name in ("shop.yaml", "shop.xml", "shop.json", "shop.vassal"):
        assert kind_of(vassal(tmp_path, "http: x", name=name), config) is UWSGI
    file = vassal(tmp_path, "[uwsgi]", "http = :8080")
    Path(file.path).chmod(0o755)
    assert kind_of(file, EmperorConfig(magic_exec=True)) is UWSGI
    assert kind_of(file, config) is ROUTER


def test_a_file_that_is_gone_is_left_to_the_program(tmp_path: Path) -> None:
    file = vassal(tmp_path, "[uwsgi]")
    Path(file.path).unlink()
    assert kind_of(file, EmperorConfig()) is UWSGI


def test_mixtures_are_refused_with_how_to_split_them(tmp_path: Path) -> None:
    with pytest.raises(VassalRefused) as error:
        kind(tmp_path, "[uwsgi]", "http = :8080", "module = shop:app", "http-timeout = 5")
    text = str(error.value)
    path = tmp_path / "shop.ini"
    assert text == (
        f"this program would run http ({path}:2), http-timeout ({path}:4), a router, and uWSGI module ({path}:3): write"
        " two files, the router's with http and the others that begin so, and the application's with all that is left"
        " and socket = PATH; the router finds it by http-to = PATH"
    )
    with pytest.raises(VassalRefused, match=r"\[app shop\]: leave the \[app\]"):
        kind(tmp_path, "[uwsgi]", "module = shop:app", "[app shop]", "command = x")


def test_the_program_of_a_kind(tmp_path: Path) -> None:
    this = ("python", "-m", "uwsgi_router")
    assert program_of(ROUTER, EmperorConfig(), this) == this
    assert program_of(APPLICATIONS, EmperorConfig(), this) == this
    assert program_of(UWSGI, EmperorConfig(binary_path="/opt/uwsgi"), this) == ("/opt/uwsgi",)
    uwsgi = tmp_path / "uwsgi"
    uwsgi.write_text("#!/bin/sh\n")
    uwsgi.chmod(0o755)
    assert program_of(UWSGI, EmperorConfig(), this, {"PATH": str(tmp_path)}) == (str(uwsgi),)
    uwsgi.unlink()
    wrapped = EmperorConfig(wrapper_fallbacks=("/a/program",))
    assert program_of(UWSGI, wrapped, this, {"PATH": str(tmp_path)}) == ("uwsgi",)
    with pytest.raises(VassalRefused, match=r"no uwsgi in PATH: install it \(pip install uwsgi\)"):
        program_of(UWSGI, EmperorConfig(), this, {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("[app shop]", "command = x", "host = Shop.example", "host = www.shop.example:80"),
         {b"shop.example", b"www.shop.example:80"}),
        (("[app shop]", "command = x"), {b"shop"}),
        (("[uwsgi]", "privileged-binary-patch = /opt/shop"), {b"shop"}),
        (("[uwsgi]", "module = x", "subscribe-to = /run/router:shop.example,5", "subscribe-to = a:1:b.example"),
         {b"shop.example", b"b.example"}),
        (("[uwsgi]", "module = x", "subscribe2 = server=a:1,key=shop.example,modifier1=5"), {b"shop.example"}),
        (("[uwsgi]", "module = x", "subscribe-to = a:1:@/etc/keys"), set()),
        (("[uwsgi]", "module = x"), set()),
    ],
)  # fmt: skip
def test_the_keys_of_a_file(tmp_path: Path, lines: tuple[str, ...], expected: set[bytes]) -> None:
    assert keys_of(vassal(tmp_path, *lines), EmperorConfig(), {}) == expected
    assert keys_of(vassal(tmp_path, *lines, name="shop.yml"), EmperorConfig(), {}) == frozenset()


def test_a_fifo_does_not_hold_up_the_emperor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert kind(tmp_path, "[uwsgi]", "include = fifo", "http = :80") is ROUTER
    assert kind(tmp_path, "[uwsgi]", "include = /dev/zero", "value = @(fifo)") is UWSGI
    file = vassal(tmp_path, "[app a]", "command = x", "host = @(fifo)", "host = b")
    assert keys_of(file, EmperorConfig(), {}) == {b"b"}


def test_what_is_included_again_and_again_ends(tmp_path: Path) -> None:
    (tmp_path / "large").write_text("#" * 1_000_000 + "\n")
    includes = ["include = large"] * 40_000
    assert kind(tmp_path, "[uwsgi]", *includes, "http = :80") is ROUTER


@pytest.mark.parametrize(
    "line",
    [
        "for-readline = {fifo}",
        "set-placeholder = a = @({fifo})",
        "include = {fifo}",
        "for-glob = /*/*/*/*/*/*",
        "for-glob = /**/x",
        "if-hostname-match = (?:(?:(?:.?){{100}}){{100}}){{100}}x",
        "if-hostname-match = .*.*.*.*.*.*.*.*x",
        "if-not-hostname-match = (.?.?)*x",
    ],
)
def test_no_file_takes_the_emperors_time(tmp_path: Path, line: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    file = vassal(
        tmp_path, "[uwsgi]", line.format(fifo=fifo), "http = :1", "end" + line[:3].strip("-") + " ="
    )
    begin = time.process_time()
    kind_of(file, EmperorConfig(), {})
    keys_of(file, EmperorConfig(), {})
    assert time.process_time() - begin < 1.0


def test_no_file_takes_the_emperors_memory(tmp_path: Path) -> None:
    large = "set-placeholder = b = " + "y" * 100_000
    file = vassal(tmp_path, "[uwsgi]", large, "subscribe-to = x:" + "%(b)" * 30_000)
    tracemalloc.start()
    try:
        keys_of(file, EmperorConfig(), {})
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


def test_patterns_of_one_directory_and_lines_of_files_still_work(tmp_path: Path) -> None:
    (tmp_path / "a.part").write_text("[uwsgi]\nhttp = :8080\n")
    (tmp_path / "names").write_text("one\ntwo\n")
    parts = ("for-glob = *.part", "include = %(_)", "endfor =")
    assert kind(tmp_path, "[uwsgi]", *parts) is ROUTER
    lines = ("for-readline = names", "subscribe-to = 127.0.0.1:3032:%(_).example", "endfor =")
    keys = keys_of(vassal(tmp_path, "[uwsgi]", *lines), EmperorConfig(), {})
    assert keys == {b"one.example", b"two.example"}
    host = ("if-hostname-match = .", "http = :8080", "endif =")
    assert kind(tmp_path, "[uwsgi]", *host) is ROUTER


def test_our_own_directory_may_be_gone(tmp_path: Path) -> None:
    before = os.open(".", os.O_PATH)
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    try:
        gone.rmdir()
        assert kind(tmp_path, "[uwsgi]", "http = :8080") is ROUTER
    finally:
        os.fchdir(before)
        os.close(before)


def test_a_directory_that_has_gone_is_left_to_the_program(tmp_path: Path) -> None:
    file = VassalFile("a.ini", str(tmp_path / "x"), str(tmp_path / "x/a.ini"), 0.0, 0, 0, "x")
    assert kind_of(file, EmperorConfig(), {}) is UWSGI
