"""Monitors: which files are vassals, where they run, what a change is."""

import os
import resource
import socket
from pathlib import Path

import pytest

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import EmperorConfig
from uwsgi_router.router.emperor.identity import tyrant_fault
from uwsgi_router.router.emperor.monitors.directory import DirectoryMonitor
from uwsgi_router.router.emperor.monitors.glob import GlobMonitor
from uwsgi_router.router.emperor.monitors.monitor import Monitor, PlaceMissing
from uwsgi_router.router.emperor.monitors.notice import ChangeNotice
from uwsgi_router.router.emperor.monitors.registry import listing, open_monitor
from uwsgi_router.router.emperor.names import is_valid
from uwsgi_router.router.emperor.path_links import resolve
from uwsgi_router.router.emperor.vassal_file import VassalFile


def write(path: Path) -> Path:
    path.write_text("[uwsgi]\n")
    return path


def found(monitor: Monitor) -> list[VassalFile]:
    files = monitor.scan()
    assert files is not None
    return files


def names(monitor: Monitor) -> list[str]:
    return [file.name for file in found(monitor)]


@pytest.mark.parametrize(
    "name", ["a.ini", "b.xml", "c.yml", "d.yaml", "e.js", "f.json", ".x.ini", ".ini", "ä.ini"]
)
def test_valid_names(name: str) -> None:
    assert is_valid(name)


@pytest.mark.parametrize("name", ["a.INI", "a.ini~", "a.conf", "ini", "x" * 251 + ".ini"])
def test_other_names(name: str) -> None:
    assert not is_valid(name)


def test_further_endings_are_valid_too() -> None:
    assert is_valid("a.conf", [".conf"])
    assert is_valid("x" * 250 + ".ini")


def test_a_directory_is_looked_at_by_bare_names(tmp_path: Path) -> None:
    for name in ("b.ini", "a.json", "c.txt", ".h.ini"):
        write(tmp_path / name)
    (tmp_path / "sub.ini").mkdir()
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "sock.ini"))
    sock.close()
    monitor = open_monitor(f"{tmp_path}/", EmperorConfig(), "/")
    assert isinstance(monitor, DirectoryMonitor)
    assert names(monitor) == [".h.ini", "a.json", "b.ini"]
    file = found(monitor)[2]
    assert (file.directory, file.path) == (str(tmp_path), str(tmp_path / "b.ini"))
    assert (file.uid, file.gid, file.monitor) == (os.getuid(), os.getgid(), str(tmp_path))
    assert list(monitor.watched()) == [str(tmp_path)]


def test_a_directory_is_shown_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert open_monitor("link", EmperorConfig(), str(tmp_path)).shown == str(tmp_path / "real")
    assert open_monitor("dir://link", EmperorConfig(), str(tmp_path)).shown == str(
        tmp_path / "real"
    )


def test_a_directory_that_can_not_be_read_says_nothing_about_its_vassals(tmp_path: Path) -> None:
    directory = tmp_path / "vassals"
    directory.mkdir()
    monitor = open_monitor(str(directory), EmperorConfig(), "/")
    directory.rmdir()
    assert monitor.scan() is None
    directory.mkdir()
    assert monitor.scan() == []


def test_a_pattern_names_vassals_by_the_paths_that_it_matches(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        write(tmp_path / place / "app.ini")
    write(tmp_path / "a" / "app.txt")
    monitor = open_monitor("*/app.*", EmperorConfig(), str(tmp_path))
    assert isinstance(monitor, GlobMonitor)
    assert names(monitor) == ["a/app.ini", "b/app.ini"]
    file = found(monitor)[0]
    assert (file.directory, file.path) == (str(tmp_path), str(tmp_path / "a/app.ini"))
    assert monitor.shown == "*/app.*"


def test_a_pattern_whose_directory_can_not_be_read_says_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "vassals"
    directory.mkdir()
    write(directory / "one.ini")
    monitor = open_monitor(f"{directory}/*.ini", EmperorConfig(), "/")
    assert names(monitor) == [str(directory / "one.ini")]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        # As if no descriptor were free.
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        assert monitor.scan() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert names(monitor) == [str(directory / "one.ini")]
    (directory / "one.ini").unlink()
    directory.rmdir()
    assert monitor.scan() == []


def test_a_file_is_a_pattern_that_matches_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "one.ini")
    monitor = open_monitor(str(path), EmperorConfig(), "/")
    assert isinstance(monitor, GlobMonitor)
    assert names(monitor) == [str(path)]
    assert list(monitor.watched()) == [str(tmp_path)]


def test_a_pattern_that_matches_one_directory_is_that_directory(tmp_path: Path) -> None:
    (tmp_path / "vassals").mkdir()
    assert isinstance(open_monitor("vass*", EmperorConfig(), str(tmp_path)), DirectoryMonitor)


def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for place in ("missing", "dir://missing"):
        with pytest.raises(PlaceMissing, match="missing"):
            open_monitor(place, EmperorConfig(), str(tmp_path))
    later = open_monitor("glob://later.ini", EmperorConfig(), str(tmp_path))
    assert names(later) == []
    write(tmp_path / "later.ini")
    assert names(later) == ["later.ini"]


@pytest.mark.parametrize("scheme", ["pg", "zmq", "amqp", "mongodb"])
def test_monitors_that_are_refused_say_why(scheme: str) -> None:
    with pytest.raises(StartError, match=f"{scheme}://…: not here: .*write files into a directory"):
        open_monitor(f"{scheme}://user:secret@host/db", EmperorConfig(), "/")


def test_a_scheme_that_nobody_knows_is_refused() -> None:
    with pytest.raises(StartError, match="no monitor is called zoo: dir:// or glob://"):
        open_monitor("zoo://x", EmperorConfig(), "/")


def test_links_are_followed_unless_told_otherwise(tmp_path: Path) -> None:
    target = write(tmp_path / "target.txt")
    link = tmp_path / "link.ini"
    link.symlink_to(target)
    (tmp_path / "dangling.ini").symlink_to("nothing")
    os.utime(target, (100, 100))
    os.utime(link, (200, 200), follow_symlinks=False)
    following = open_monitor(str(tmp_path), EmperorConfig(), "/")
    assert [(file.name, file.mtime) for file in found(following)] == [("link.ini", 100.0)]
    assert found(following)[0].path == str(link)
    itself = open_monitor(str(tmp_path), EmperorConfig(nofollow=True), "/")
    assert names(itself) == ["dangling.ini", "link.ini"]
    assert found(itself)[1].mtime == 200.0


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_the_owner_is_the_file_s_or_the_link_s(tmp_path: Path) -> None:
    target = write(tmp_path / "target.txt")
    os.chown(target, 1000, 1001)
    link = tmp_path / "link.ini"
    link.symlink_to(target)
    os.chown(link, 2000, 2001, follow_symlinks=False)

    def owner(config: EmperorConfig) -> tuple[int, int]:
        (file,) = found(open_monitor(str(tmp_path), config, "/"))
        return file.uid, file.gid

    assert owner(EmperorConfig(tyrant=True)) == (1000, 1001)
    assert owner(EmperorConfig(tyrant=True, tyrant_nofollow=True)) == (2000, 2001)
    assert owner(EmperorConfig(tyrant=True, nofollow=True)) == (2000, 2001)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("maker", [0, 1000, 2000])
@pytest.mark.parametrize("of", ["file", "directory"])
def test_a_tyrant_sees_who_has_made_the_links(tmp_path: Path, maker: int, of: str) -> None:
    home, vassals = tmp_path / "home", tmp_path / "vassals"
    home.mkdir()
    target = write(home / "target.ini")
    os.chown(target, 1000, 1001)
    if of == "file":
        vassals.mkdir()
        link = vassals / "link.ini"
        link.symlink_to("../home/./target.ini")
    else:
        link = vassals
        link.symlink_to(home)
    os.chown(link, maker, maker, follow_symlinks=False)
    pattern = f"glob://{vassals}/*.ini"
    (file,) = found(open_monitor(pattern, EmperorConfig(tyrant=True), "/"))
    assert (file.uid, file.gid) == (1000, 1001)
    assert file.linked_by == (2000 if maker == 2000 else -1)
    assert bool(tyrant_fault(file)) == (maker == 2000)
    (file,) = found(open_monitor(pattern, EmperorConfig(), "/"))
    assert file.linked_by == -1


def test_links_in_a_circle_lead_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.ini").symlink_to("b.ini")
    (tmp_path / "b.ini").symlink_to("a.ini")
    assert not found(open_monitor(str(tmp_path), EmperorConfig(tyrant=True), "/"))
    with pytest.raises(OSError, match="too many links"):
        resolve(str(tmp_path / "a.ini"))


def test_mtimes_have_fractions(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ini")
    os.utime(path, ns=(0, 1_500_000_000))
    assert found(open_monitor(str(tmp_path), EmperorConfig(), "/"))[0].mtime == 1.5


def test_the_kernel_tells_of_files_that_come_change_and_go(tmp_path: Path) -> None:
    notice = ChangeNotice([str(tmp_path), str(tmp_path / "missing")])
    try:

        def told() -> bool:
            import select

            ready = bool(select.select([notice.fileno()], [], [], 0.5)[0])
            notice.clear()
            return ready

        path = write(tmp_path / "a.ini")
        assert told()
        os.utime(path)
        assert told()
        (tmp_path / "b.ini").symlink_to(path)
        assert told()
        os.utime(tmp_path / "b.ini", follow_symlinks=False)
        assert told()
        path.rename(tmp_path / "c.ini")
        assert told()
        (tmp_path / "c.ini").unlink()
        assert told()
        assert not select_now(notice)
    finally:
        notice.close()


def select_now(notice: ChangeNotice) -> bool:
    import select

    return bool(select.select([notice.fileno()], [], [], 0)[0])


def test_the_listing_has_all_of_them() -> None:
    assert [line.partition(" ")[0] for line in listing().splitlines()] == ["dir://", "glob://"]
