"""Files that root opens in directories of others."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from uwsgi_router.router.core.files import give, open_file
from uwsgi_router.router.core.files import place_of as lend

SOMEBODY = 12345

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has more to lose than others")


def read(path: Path) -> str:
    with open(open_file(str(path), os.O_RDONLY), encoding="utf-8") as file:
        return file.read()


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of root's, in a directory of root's."""
    directory = tmp_path / "root"
    directory.mkdir(mode=0o755)
    file = directory / "precious"
    file.write_text("data")
    return file


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory that somebody else may write into."""
    directory = tmp_path / "theirs"
    directory.mkdir()
    os.chown(directory, SOMEBODY, SOMEBODY)
    return directory


def by_group(directory: Path) -> None:
    os.chown(directory, 0, SOMEBODY)
    directory.chmod(0o775)


def by_all(directory: Path) -> None:
    os.chown(directory, 0, 0)
    directory.chmod(0o1777)


@pytest.mark.parametrize("whose", [lambda _directory: None, by_group, by_all])
def test_a_link_that_somebody_else_may_have_made_is_not_followed(
    whose: Callable[[Path], None], theirs: Path, precious: Path
) -> None:
    link = theirs / "log"
    link.symlink_to(precious)
    whose(theirs)
    with pytest.raises(OSError, match="a symbolic link that others than root may have made"):
        read(link)


def test_nor_one_in_the_place_of_a_directory(theirs: Path, precious: Path) -> None:
    (theirs / "logs").symlink_to(precious.parent)
    with pytest.raises(OSError, match="a symbolic link that others than root may have made"):
        read(theirs / "logs" / "precious")
    with pytest.raises(OSError, match="a symbolic link"), lend(str(theirs / "logs" / "new")):
        pass


def test_nor_one_that_a_link_of_roots_leads_to(theirs: Path, precious: Path) -> None:
    (theirs / "log").symlink_to(precious)
    link = precious.with_name("link")
    link.symlink_to(theirs / "log")
    with pytest.raises(OSError, match="a symbolic link that others than root may have made"):
        read(link)


def test_links_of_roots_are_followed(precious: Path) -> None:
    (precious.with_name("relative")).symlink_to("./precious")
    (precious.with_name("absolute")).symlink_to(precious.with_name("relative"))
    (precious.with_name("directory")).symlink_to("../root")
    assert read(precious.with_name("absolute")) == "data"
    assert read(precious.with_name("directory") / ".." / "root" / "precious") == "data"
    (precious.with_name("circle")).symlink_to("circle")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        read(precious.with_name("circle"))


def test_a_second_name_of_a_file_of_roots_is_no_way_to_it(theirs: Path, precious: Path) -> None:
    (theirs / "log").hardlink_to(precious)
    with pytest.raises(OSError, match="it has another name"):
        read(theirs / "log")
    assert read(precious) == "data"


def test_relative_paths_new_files_and_standard_output_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    descriptor = open_file("new", os.O_WRONLY | os.O_CREAT)
    assert stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o137 == 0
    os.close(descriptor)
    os.close(open_file("/dev/null", os.O_WRONLY))
    with open("new", "w", encoding="utf-8") as file:
        os.close(open_file(f"/proc/self/fd/{file.fileno()}", os.O_WRONLY))
    with pytest.raises(FileNotFoundError):
        open_file("missing/new", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(FileNotFoundError):
        open_file("missing", os.O_WRONLY)


def test_only_files_of_roots_with_one_name_are_given_away(tmp_path: Path) -> None:
    def owner_after(path: Path) -> int:
        descriptor = os.open(path, os.O_RDONLY)
        give(descriptor, SOMEBODY, None)
        os.close(descriptor)
        return path.stat().st_uid

    file = tmp_path / "file"
    file.touch()
    other = tmp_path / "other"
    other.hardlink_to(file)
    assert owner_after(file) == 0
    other.unlink()
    assert owner_after(file) == SOMEBODY
    os.chown(file, 54321, 0)
    assert owner_after(file) == 54321
    assert owner_after(tmp_path) == SOMEBODY
