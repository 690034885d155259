"""Options of caches: how they are read, and whether they go together."""

import pytest

from tests.router.config.configuring import Files
from uwsgi_router.router.config.model import CacheConfig, CacheItem

USE = "fastrouter = 127.0.0.1:3031\nfastrouter-use-cache"
NODES = "cache2 = name=nodes,items=10"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name=a,items=5", CacheConfig("a", 5)),
        ("name=a,max_items=5", CacheConfig("a", 5)),
        ("maxitems=5,name=a", CacheConfig("a", 5)),
        (
            "name=a,items=5,keysize=100,blocksize=200",
            CacheConfig("a", 5, max_key=100, max_value=200),
        ),
        ("name=a,items=5,key_size=9", CacheConfig("a", 5, max_key=9)),
        ("name=a,items=5,blocksize=10,bitmap=1", CacheConfig("a", 5, max_value=50)),
        ("name=a,items=5,blocksize=10,bitmap=0", CacheConfig("a", 5, max_value=10)),
        ("name=a,items=5,blocksize=10,blocks=8,bitmap=1", CacheConfig("a", 5, max_value=80)),
        ("name=a,items=100,bitmap=1", CacheConfig("a", 100, max_value=1024 * 1024)),
        ("name=a,items=5,purge_lru=1", CacheConfig("a", 5, when_full="purge")),
        ("name=a,items=5,lru=1,clear_on_full=1", CacheConfig("a", 5, when_full="purge")),
        ("name=a,items=5,clear_on_full=1", CacheConfig("a", 5, when_full="clear")),
        (
            "name=a,items=5,no_expire=1,ignore_full=1",
            CacheConfig("a", 5, expire=False, log_full=False),
        ),
        (
            "name=a,items=5,hash=murmur2,hashsize=10,lastmod=1,math_initial=1,lazy_expire=1,sweep_on_full=1",
            CacheConfig("a", 5),
        ),
        ("name=a\\,b,items=5", CacheConfig("a,b", 5)),
        (
            "name=a,items=5,store=/f,store_sync=1",
            CacheConfig("a", 5, unused=("store", "store_sync")),
        ),
    ],
)
def test_cache2(text: str, expected: CacheConfig, files: Files) -> None:
    process = files.load(f"fastrouter = 127.0.0.1:1\ncache2 = {text}").process
    assert process.caches == (expected,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("items=5", "expected name=NAME among its keys"),
        ("name=a", "expected items=N among its keys"),
        ("name=a,items=0", "expected a whole number from 1 to 10000000 for items"),
        ("name=a,items=5x", "expected a whole number from 1 to 10000000 for items"),
        ("name=a,items=5,maxitems=6", "expected only one of items, maxitems"),
        ("name=a,items=5,items=6", "expected items only once"),
        ("name=a,items=5,blocks=4", "expected blocks of at least items (5)"),
        ("name=a,items=5,blocksize=2000000", "from 1 to 1048576 for blocksize"),
        ("name=a@b,items=5", "expected a name without @"),
        ("a", "expected name=NAME,items=N and so on"),
        ("name=a,items=5,purge-lru=1", "purge-lru is none"),
        ("name=a,items=5,sync=127.0.0.1:1", "this version does not copy caches"),
        ("name=a,items=5,udp=127.0.0.1:1", "this version does not copy caches"),
    ],
)
def test_cache2_that_is_refused(text: str, message: str, files: Files) -> None:
    (error,) = files.errors(f"fastrouter = 127.0.0.1:1\ncache2 = {text}")
    assert error.startswith("router.ini:3: cache2: ")
    assert message in error


def test_the_cache_called_default(files: Files) -> None:
    text = "fastrouter = 127.0.0.1:1\ncache = 7\ncache-blocksize = 9\ncache-no-expire = true"
    process = files.load(text + f"\n{NODES}").process
    assert process.caches == (
        CacheConfig("default", 7, max_value=9, expire=False),
        CacheConfig("nodes", 10),
    )


def test_items_and_files(files: Files) -> None:
    process = files.load(
        f"fastrouter = 127.0.0.1:1\n{NODES}\nadd-cache-item = nodes a.com=127.0.0.1:1,5|b:2\n"
        "add-cache-item = b=c=d\nload-file-in-cache = nodes /etc/my nodes\nload-file-in-cache = /f"
    ).process
    assert process.cache_items == (
        CacheItem("nodes", "a.com", "127.0.0.1:1,5|b:2"),
        CacheItem(None, "b", "c=d"),
    )
    assert process.cache_files == (
        CacheItem("nodes", "/etc/my nodes", None),
        CacheItem(None, "/f", None),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ""), (" =", ""), (" = nodes", "nodes"), (" = nodes@127.0.0.1:1", "nodes@127.0.0.1:1")],
)
def test_use_cache(text: str, expected: str, files: Files) -> None:
    assert files.load(f"{USE}{text}\n{NODES}").routers[0].use_cache == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            USE,
            "fastrouter-use-cache: there is no cache: define one, for example cache2 = name=nodes,items=1000",
        ),
        (
            f"{USE} = other\n{NODES}\ncache = 1",
            "fastrouter-use-cache = other: the caches are called default, nodes",
        ),
        (f"{USE}\n{NODES}\n{NODES}", "there are two caches called nodes"),
        (f"{USE} = n@:1\nadd-cache-item = a=b", "add-cache-item = a=b: there is no cache"),
        (
            f"{USE}\n{NODES}\nload-file-in-cache = x /f",
            "load-file-in-cache = /f: the caches are called nodes",
        ),
        (
            f"{USE} = n@:1\ncache-socket = 127.0.0.1:1",
            "cache-socket = 127.0.0.1:1: there is no cache: define one, for example cache2 = name=nodes,items=1000",
        ),
        (
            f"{USE}\n{NODES}\ncache-socket = :1",
            (
                "cache-socket = :1: other machines could reach it, and whoever does decides where requests go;"
                " give a UNIX socket or a loopback address, or add cache-socket-public = true"
            ),
        ),
    ],
)
def test_what_does_not_go_together_is_one_clear_error(text: str, error: str, files: Files) -> None:
    assert files.wrong(text) == [error]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fastrouter-use-cache = n@:99999", "expected NAME, or NAME@ADDRESS of another server"),
        ("add-cache-item = a", "expected [CACHE ]KEY=VALUE"),
        ("add-cache-item = a=", "expected [CACHE ]KEY=VALUE"),
        ("add-cache-item = a b", "expected [CACHE ]KEY=VALUE"),
        ("cache-socket = =0", "expected host:port"),
        ("cache-socket = fd://3", "expected host:port"),
        ("cache-socket = 127.0.0.1:x", "expected host:port"),
    ],
)
def test_values_that_are_refused(line: str, message: str, files: Files) -> None:
    (error,) = files.wrong(f"{NODES}\nfastrouter = 127.0.0.1:1\n{line}")
    assert message in error


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (f"{USE}\n{NODES}", "the cache nodes stays empty, so every request fails"),
        (f"{USE} = n@:1\n{NODES}", "the cache nodes is used by no router"),
        (
            f"{USE}\n{NODES}\nadd-cache-item = a=b:c",
            "add-cache-item = a=b:c: requests for this key will fail",
        ),
        (f"{USE}\n{NODES},store=/f\nadd-cache-item = a=b:1", "cache2 = name=nodes: store: not yet"),
        (
            f"{USE}\n{NODES}\nadd-cache-item = a=b:1\ncache-socket-public = true",
            "cache-socket-public without cache-socket",
        ),
    ],
)
def test_oddities(text: str, warning: str, files: Files) -> None:
    assert [w for w in files.odd(text) if w.startswith(warning)]


@pytest.mark.parametrize(
    "text",
    [
        f"{USE}\n{NODES}\nadd-cache-item = a=b:1",
        f"{USE} = nodes\ncache = 5\ncache-socket = /run/c\n{NODES}\nfastrouter-to = /x",
        f"{USE} = nodes@10.0.0.1:3031",
        f"{USE}\n{NODES}\ncache-socket = :1\ncache-socket-public = true\ncache-expire-freq = 5",
    ],
)
def test_what_is_usual_is_not(text: str, files: Files) -> None:
    odd = [w for w in files.odd(text) if "decides" not in w and "default is used" not in w]
    assert odd == []
