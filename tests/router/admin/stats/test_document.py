"""The stats document against uWSGI's own: keys, order, layout, and always JSON."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.keys import normal_keys
from tests.router.admin.stats.fixtures import NOW, WALL, Connections, Source, announce, configured
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.router.admin.stats.document import bucket, describe, document
from uwsgi_router.router.admin.stats.encoding import encode
from uwsgi_router.subscriptions.registry import Registry
from uwsgi_router.subscriptions.sni import Sni
from uwsgi_router.version import __version__

#: What uWSGI 2.0.31 printed for three vassals after five requests (plugins/corerouter/corerouter.c), in its
#: own layout; PID and DIRECTORY stand for what differs from run to run.
UWSGI_SAMPLE = """\
{
	"version":"2.0.31",
	"pid":PID,
	"uid":0,
	"gid":0,
	"cwd":"DIRECTORY",
	"active_sessions":0,
	"fastrouter":[
"127.0.0.1:26001",
"127.0.0.1:26002"
	],
	"static_nodes":[
		{
			"name":"127.0.0.1:26990",
			"hits":0,
			"grace":0
		}
	],
	"subscriptions":[
		{
			"key":"example.com",
			"hash":30778,
			"hits":5,
			"sni_enabled":0,
			"nodes":[
				{
					"name":"127.0.0.1:26011",
					"modifier1":0,
					"modifier2":0,
					"last_check":1795231282,
					"pid":0,
					"uid":0,
					"gid":0,
					"requests":2,
					"last_requests":2,
					"tx":706,
					"rx":396,
					"cores":2,
					"load":0,
					"weight":1,
					"wrr":0,
					"ref":0,
					"failcnt":0,
					"death_mark":0
				},
				{
					"name":"/srv/lab/v2.sock",
					"modifier1":0,
					"modifier2":0,
					"last_check":1795231282,
					"pid":0,
					"uid":0,
					"gid":0,
					"requests":3,
					"last_requests":3,
					"tx":1059,
					"rx":594,
					"cores":1,
					"load":0,
					"weight":2,
					"wrr":1,
					"ref":0,
					"failcnt":0,
					"death_mark":0
				}
			]
		},
		{
			"key":"other.org:8080",
			"hash":46429,
			"hits":0,
			"sni_enabled":0,
			"nodes":[
				{
					"name":"127.0.0.1:26013",
					"modifier1":0,
					"modifier2":3,
					"last_check":1795231282,
					"pid":0,
					"uid":0,
					"gid":0,
					"requests":0,
					"last_requests":0,
					"tx":0,
					"rx":0,
					"cores":1,
					"load":0,
					"weight":1,
					"wrr":0,
					"ref":0,
					"failcnt":0,
					"death_mark":0
				}
			]
		}
	],
	"cheap":0
}"""

#: What we show and 2.0.31 does not: uWSGI's later branch has the first four, the others are ours.
ADDED = {
    "algo",
    "vassal",
    "backup",
    "proto",
    "slow",
    "suspect",
    "kept",
    "resting",
    "unhealthy",
    "check",
    "drained",
    "refused_connections",
    "idle_closed",
}


def sampled_router() -> Source:
    """The state of which UWSGI_SAMPLE was taken."""
    registry = Registry(started=0.0)
    source = Source(registry=registry, static_nodes=[configured("127.0.0.1:26990")])
    seen = NOW - 8
    # In the other order of hashes, to see them sorted.
    announce(registry, b"other.org:8080", "127.0.0.1:26013", now=seen, cores=1, modifier2=3)
    first = announce(registry, b"example.com", "127.0.0.1:26011", now=seen, cores=2)
    second = announce(registry, b"example.com", "/srv/lab/v2.sock", now=seen, cores=1, weight=2)
    for node, requests, wrr in ((first, 2, 0), (second, 3, 1)):
        for _ in range(requests):
            registry.find(b"example.com")
            node.connect_started()
            node.connected()
            node.tx += 353
            node.rx += 198
        node.wrr = wrr
    return source


def text(source: Source, *, minified: bool = False) -> str:
    chunks = encode(describe(source, now=NOW, wall=WALL), minified=minified)
    return b"".join(chunks).decode("ascii")


def without_additions(layout: str) -> list[str]:
    return [
        line
        for line in layout.split("\n")
        if line.strip().partition(":")[0].strip('"') not in ADDED
    ]


def test_document_is_uwsgis_line_by_line_but_for_the_keys_that_we_add() -> None:
    ours = without_additions(text(sampled_router()))
    sample = UWSGI_SAMPLE.replace("PID", str(os.getpid())).replace("DIRECTORY", os.getcwd())
    sample = sample.replace('"uid":0', f'"uid":{os.getuid()}', 1)
    sample = sample.replace('"gid":0', f'"gid":{os.getgid()}', 1)
    expected = sample.replace('"2.0.31"', f'"uwsgi-router {__version__}"').split("\n")
    # Our last keys of a node follow death_mark, so that line has a comma.
    assert [line.removesuffix(",") for line in ours] == [
        line.removesuffix(",") for line in expected
    ]


def test_added_keys_stand_where_uwsgis_later_branch_has_them_and_ours_last() -> None:
    pools = document(sampled_router(), now=NOW, wall=WALL)["subscriptions"]
    assert isinstance(pools, list)
    assert list(pools[0]) == ["key", "hash", "hits", "sni_enabled", "algo", "nodes"]
    names = list(pools[0]["nodes"][0])
    assert names[:3] == ["name", "vassal", "modifier1"]
    assert names[names.index("weight") :] == [
        *("weight", "backup", "proto", "wrr", "ref", "failcnt", "death_mark"),
        *("slow", "suspect", "resting", "unhealthy", "check", "drained", "kept"),
    ]


def test_encoded_document_says_the_same_as_the_object_in_both_layouts() -> None:
    source = sampled_router()
    whole = document(source, now=NOW, wall=WALL)
    assert json.loads(text(source)) == whole
    assert json.loads(text(source, minified=True)) == whole
    assert list(json.loads(text(source))) == list(whole)


def test_minified_document_has_no_white_space() -> None:
    source = sampled_router()
    tokens = "".join(text(source).split())
    # The only blank is the one in our version.
    assert text(source, minified=True).replace(" ", "") == tokens.replace(" ", "")
    assert text(source, minified=True).count(" ") == 1


def test_static_nodes_and_subscriptions_are_left_out_when_not_configured() -> None:
    names = list(json.loads(text(Source())))
    assert names == [
        "version",
        "pid",
        "uid",
        "gid",
        "cwd",
        "active_sessions",
        "fastrouter",
        "cheap",
        "refused_connections",
        "idle_closed",
    ]


def test_empty_lists_are_valid_json_too() -> None:
    parsed = json.loads(text(Source(sockets=(), static_nodes=[], registry=Registry(started=0.0))))
    assert (parsed["fastrouter"], parsed["static_nodes"], parsed["subscriptions"]) == ([], [], [])


def test_key_of_the_sockets_is_the_routers_short_name() -> None:
    parsed = json.loads(text(Source(name="http", sockets=("127.0.0.1:26101",))))
    assert parsed["http"] == ["127.0.0.1:26101"]


def test_grace_is_the_epoch_second_of_the_last_failure() -> None:
    alive, failed = configured("127.0.0.1:26111"), configured("127.0.0.1:26112")
    alive.connect_started()
    alive.connected()
    failed.failed_at = NOW - 9.25
    parsed = json.loads(text(Source(static_nodes=[alive, failed])))
    assert parsed["static_nodes"] == [
        {"name": "127.0.0.1:26111", "hits": 1, "grace": 0},
        {"name": "127.0.0.1:26112", "hits": 0, "grace": 1795231281},
    ]


def test_marks_sessions_and_cheap_are_shown_as_numbers() -> None:
    registry = Registry(started=0.0)
    node = announce(registry, b"k", "127.0.0.1:1")
    node.reference = 2
    registry.apply(Subscription("unsubscribe", b"k", "127.0.0.1:1"), source=None, now=NOW)
    node.slow = node.suspect = True
    kept = Connections({node: 3})
    parsed = json.loads(
        text(Source(registry=registry, active_sessions=2, cheap=True, upstreams=kept))
    )
    shown = parsed["subscriptions"][0]["nodes"][0]
    assert (shown["ref"], shown["failcnt"], shown["death_mark"]) == (2, 1, 1)
    assert (shown["slow"], shown["suspect"], shown["kept"]) == (1, 1, 3)
    assert (parsed["active_sessions"], parsed["cheap"]) == (2, 1)


def test_health_is_shown_with_the_reason() -> None:
    registry = Registry(started=0.0)
    ill, tired = announce(registry, b"k", "127.0.0.1:1"), announce(registry, b"k", "127.0.0.1:2")
    registry.health.unhealthy(ill, "Connection refused")
    for _ in range(5):
        registry.health.request_failed(tired, NOW)
    nodes = json.loads(text(Source(registry=registry)))["subscriptions"][0]["nodes"]
    shown = [(node["unhealthy"], node["check"], node["resting"]) for node in nodes]
    assert shown == [(1, "Connection refused", 0), (0, "", 1)]


def test_table_that_changes_while_the_document_is_sent_does_not_break_it() -> None:
    registry = Registry(started=0.0)
    for number in range(500):
        announce(registry, b"key%d" % number, "127.0.0.1:1")
    chunks = encode(describe(Source(registry=registry), now=NOW, wall=WALL))
    first = next(chunks)
    announce(registry, b"late", "127.0.0.1:1")
    registry.sweep(NOW + 1_000)
    rest = b"".join(chunks)
    assert rest
    assert len(json.loads(first + rest)["subscriptions"]) == 500


def test_working_directory_that_is_gone_is_shown_empty(
    tmp_path: "os.PathLike[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.path.join(tmp_path, "gone")
    os.mkdir(here)
    monkeypatch.chdir(here)
    os.rmdir(here)
    assert json.loads(text(Source()))["cwd"] == ""


@pytest.mark.parametrize(
    ("key", "number"),
    [(b"example.com", 30778), (b"127.0.0.1:26601", 53870), (b"k", 46544), (b"", 5381)],
)
def test_hash_is_uwsgis(key: bytes, number: int) -> None:
    assert bucket(key) == number


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (b'a"b\\c', 'a"b\\c'),
        (b"a\xc2\x85", "a\x85"),
        ("bücher.example".encode(), "bücher.example"),
        (b"a\xff\xc3(", "a\\xff\\xc3("),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        (b"</script>", "</script>"),
    ],
)
def test_odd_keys_are_shown_and_leave_the_document_valid(key: bytes, shown: str) -> None:
    registry = Registry(started=0.0)
    announce(registry, key, "127.0.0.1:1")
    assert json.loads(text(Source(registry=registry)))["subscriptions"][0]["key"] == shown


@given(
    st.lists(normal_keys(), unique=True),
    st.lists(st.binary(max_size=100).map(lambda raw: raw.decode("utf-8", "surrogateescape"))),
    st.booleans(),
)
def test_any_keys_and_names_make_valid_json(
    keys: list[bytes], names: list[str], minified: bool
) -> None:
    registry = Registry(started=0.0)
    for key in keys:
        announce(registry, key, "127.0.0.1:1")
    source = Source(sockets=names, registry=registry)
    shown = text(source, minified=minified)
    parsed = json.loads(shown)
    assert len(parsed["fastrouter"]) == len(names)
    assert len(parsed["subscriptions"]) == len(keys)
    # No lone surrogate in it, which strict readers refuse.
    json.dumps(parsed, ensure_ascii=False).encode()
    assert parsed == document(source, now=NOW, wall=WALL)


def test_a_key_with_a_certificate_says_so() -> None:
    registry = Registry(started=0.0)
    sni = Sni(b"/c/a.key", b"/c/a.crt")
    registry.apply(Subscription("subscribe", b"k", "/a"), source=None, now=NOW, sni=sni)
    (pool,) = json.loads(text(Source(registry=registry)))["subscriptions"]
    assert pool["sni_enabled"] == 1
