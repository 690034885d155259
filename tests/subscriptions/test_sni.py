"""Which announced certificates are taken, and what is told of them."""

import os
from pathlib import Path

import pytest

from tests.subscriptions.table import KEY, Table
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.events import SniChanged
from uwsgi_router.subscriptions.sni import Sni, SniError, SniFiles


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    directory = tmp_path / "certificates"
    directory.mkdir()
    for name in ("a.key", "a.crt", "ca.crt"):
        (directory / name).write_text(name)
    (tmp_path / "secret").write_text("secret")
    return directory


def take(
    allowed: Path, key: Path | bytes | None, crt: Path | bytes | None, ca: bytes | None = None
) -> Sni | None:
    files = SniFiles([str(allowed)])
    key, crt = (path if path is None else os.fsencode(path) for path in (key, crt))
    return files.take(Subscription("subscribe", KEY, ":1", sni_key=key, sni_crt=crt, sni_ca=ca))


def test_files_below_the_directory_are_taken(allowed: Path) -> None:
    key, crt = allowed / "a.key", allowed / "a.crt"
    assert take(allowed, key, crt) == Sni(os.fsencode(key), os.fsencode(crt))
    ca = os.fsencode(allowed / "ca.crt")
    assert take(allowed, key, crt, ca) == Sni(os.fsencode(key), os.fsencode(crt), ca)
    assert take(allowed, key, crt, b"!" + ca) == Sni(
        os.fsencode(key), os.fsencode(crt), ca, ca_required=True
    )
    assert take(allowed, None, None) is None


def test_links_are_followed_before_it_is_decided(allowed: Path, tmp_path: Path) -> None:
    inside, outside, below = allowed / "in", allowed / "out", tmp_path / "link"
    inside.symlink_to("a.key")
    outside.symlink_to(tmp_path / "secret")
    below.symlink_to(allowed)
    expected = Sni(os.fsencode(allowed / "a.key"), os.fsencode(allowed / "a.crt"))
    assert take(allowed, inside, allowed / "a.crt") == expected
    assert take(below, inside, below / "a.crt") == expected
    for path in (outside, below / "a.key"):
        with pytest.raises(SniError, match="in no directory of sni-allow-dir"):
            take(allowed, path, allowed / "a.crt")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (b"%s/../secret", "no plain absolute path"),
        (b"%s/../certificates/a.key", "no plain absolute path"),
        (b"%s/a.key\0/../../secret", "no plain absolute path"),
        (b"a.key", "no plain absolute path"),
        (b"-----BEGIN PRIVATE KEY-----", "no plain absolute path"),
        (b"%s-other/a.key", "in no directory"),
        (b"/etc/passwd", "in no directory"),
        (b"%s/missing", "No such file"),
        (b"%s", "in no directory"),
        (b"%s/dir", "no file"),
        (b"%s/fifo", "no file"),
        (None, "both needed"),
    ],
)
def test_what_is_not_taken(allowed: Path, key: bytes | None, reason: str) -> None:
    (allowed / "dir").mkdir()
    os.mkfifo(allowed / "fifo")
    (allowed.parent / "certificates-other").mkdir()
    (allowed.parent / "certificates-other" / "a.key").touch()
    if key is not None:
        key = key.replace(b"%s", os.fsencode(allowed))
    with pytest.raises(SniError, match=reason):
        take(allowed, key, allowed / "a.crt")
    if key is not None:
        with pytest.raises(SniError, match=reason):
            take(allowed, allowed / "a.key", key)
        with pytest.raises(SniError, match=reason):
            take(allowed, allowed / "a.key", allowed / "a.crt", key)


@pytest.mark.parametrize("directory", ["/", "/nonexistent", "/etc/passwd"])
def test_directories_that_allow_everything_or_nothing(directory: str) -> None:
    with pytest.raises(SniError, match=f"sni-allow-dir = {directory}: "):
        SniFiles([directory])


OLD, NEW = Sni(b"/c/old.key", b"/c/old.crt"), Sni(b"/c/new.key", b"/c/new.crt")


def told(table: Table, address: str, sni: Sni | None) -> list[Sni | None]:
    events = table.registry.apply(
        Subscription("subscribe", KEY, address), source=None, now=table.now, sni=sni
    )
    return [event.sni for event in events if isinstance(event, SniChanged)]


def test_a_change_is_told_once_and_the_first_node_counts() -> None:
    """uWSGI keeps what it read first until the key is gone: a renewed certificate needs a restart."""
    table = Table()
    assert told(table, "/a", None) == []
    assert told(table, "/b", OLD) == [OLD]
    assert told(table, "/b", OLD) == []
    assert told(table, "/c", NEW) == []
    assert told(table, "/b", OLD) == []
    assert told(table, "/b", NEW) == [NEW]
    assert told(table, "/b", None) == []  # /c has the same
    assert told(table, "/c", None) == [None]


def test_it_goes_with_its_node_and_with_the_key() -> None:
    table = Table()
    told(table, "/a", OLD)
    told(table, "/b", NEW)
    assert [e.sni for e in table.leave("/a") if isinstance(e, SniChanged)] == [NEW]
    table.now += 17.5
    table.sweep()
    assert table.registry.pools[KEY].sni == NEW  # it may be well
    events = table.fail("/b")
    assert [event for event in events if isinstance(event, SniChanged)] == [SniChanged(KEY, None)]
    assert not table.registry.pools
