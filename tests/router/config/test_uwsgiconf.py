"""What uwsgiconf writes for its RouterFast, RouterHttp and RouterRaw starts unchanged."""

from typing import Any

import pytest
from uwsgiconf.config import Section

from tests.router.config.configuring import ENVIRONMENT, Files
from uwsgi_router.router.config.load import examine
from uwsgi_router.router.config.model import (
    CacheConfig,
    CacheItem,
    CertificateFiles,
    CodeString,
    Configuration,
    HttpRouterConfig,
    RawRouterConfig,
    RouterConfig,
    SecureListener,
)

ROUTERS = Section.routing.routers
FAST = ROUTERS.fast
HTTP = ROUTERS.http
RAW = ROUTERS.raw
ON = "127.0.0.1:3031"


def load(router: Any, files: Files, section: Any = None) -> tuple[Configuration, list[str]]:
    section = section or Section()
    section.routing.use_router(router)
    path = files.write(section.as_configuration().format())
    report = examine([path], ENVIRONMENT)
    assert report.problems == ()
    return report.configuration, [files.shorten(warning) for warning in report.warnings]


@pytest.mark.parametrize(
    ("forward_to", "expected"),
    [
        (
            FAST.forwarders.path("/run/sockets/"),
            RouterConfig(listen=(ON,), use_base="/run/sockets/"),
        ),
        (
            FAST.forwarders.path("/run/%s.sock"),
            RouterConfig(listen=(ON,), use_pattern="/run/%s.sock"),
        ),
        (
            FAST.forwarders.socket("/run/app.sock"),
            RouterConfig(listen=(ON,), use_socket="/run/app.sock"),
        ),
        (
            FAST.forwarders.subscription_server("127.0.0.1:7000"),
            RouterConfig(listen=(ON,), subscription_servers=("127.0.0.1:7000",)),
        ),
        (
            FAST.forwarders.code("mapper.py", "choose"),
            RouterConfig(listen=(ON,), use_code_string=CodeString("mapper.py", "choose")),
        ),
        ("127.0.0.1:1", RouterConfig(listen=(ON,), to=("127.0.0.1:1",))),
        (["127.0.0.1:1", "/b.sock"], RouterConfig(listen=(ON,), to=("127.0.0.1:1", "/b.sock"))),
    ],
)
def test_forwarders(forward_to: Any, expected: RouterConfig, files: Files) -> None:
    configuration, _ = load(FAST(on=ON, forward_to=forward_to), files)
    assert configuration.routers == (expected,)


@pytest.mark.parametrize("name", ["nodes", None])
def test_the_cache_forwarder_and_a_section_with_caches(name: str | None, files: Files) -> None:
    section = Section()
    section.caching.add_cache(
        "nodes", max_items=10, key_size=100, no_expire=True, full_purge_lru=True
    )
    section.caching.add_item("example.com", "127.0.0.1:1", cache_name="nodes")
    section.caching.add_file("/etc/hostname", cache_name="nodes")
    configuration, warnings = load(
        FAST(on=ON, forward_to=FAST.forwarders.cache(name)), files, section
    )
    assert configuration.routers == (RouterConfig(listen=(ON,), use_cache=name or ""),)
    assert configuration.process.caches == (
        CacheConfig("nodes", 10, max_key=100, expire=False, when_full="purge"),
    )
    assert configuration.process.cache_items == (CacheItem("nodes", "example.com", "127.0.0.1:1"),)
    assert configuration.process.cache_files == (CacheItem("nodes", "/etc/hostname", None),)
    assert warnings == []


def everything() -> Any:
    router = FAST(on=ON, forward_to=FAST.forwarders.subscription_server("127.0.0.1:7000"))
    router.set_basic_params(
        workers=2,
        zerg_server="/run/zerg",
        fallback_node="127.0.0.1:1",
        concurrent_events=32,
        cheap_mode=True,
        stats_server="127.0.0.1:2",
        quiet=True,
        buffer_size=8192,
        fallback_nokey=True,
        subscription_key="key",
        emperor_command_socket="/run/emperor",
    )
    router.set_resubscription_params(
        addresses=["127.0.0.1:3", "127.0.0.1:4"], bind_to="127.0.0.1:5"
    )
    router.set_connections_params(harakiri=1, timeout_socket=2, retry_delay=3, retry_max=4, defer=5)
    router.set_postbuffering_params(size=6, store_dir="/var/tmp")
    router.set_owner_params(uid="www-data", gid=33)
    return router


def test_all_parameters(files: Files) -> None:
    configuration, warnings = load(everything(), files)
    assert configuration.routers == (
        RouterConfig(
            listen=(ON,),
            processes=2,
            zerg=("/run/zerg",),
            harakiri=1.0,
            subscription_servers=("127.0.0.1:7000",),
            fallback=("127.0.0.1:1",),
            cheap=True,
            stats=("127.0.0.1:2",),
            quiet=True,
            buffer_size=8192,
            fallback_on_no_key=True,
            force_key="key",
            timeout=2.0,
            gracetime=3.0,
            max_retries=4,
            post_buffering=6,
            post_buffering_dir="/var/tmp",
            uid="www-data",
            gid="33",
        ),
    )
    assert [warning.split(": ")[1] for warning in warnings] == [
        "fastrouter-emperor-socket",
        "fastrouter-defer-connect-timeout",
    ]


def test_all_parameters_of_the_http_router(files: Files) -> None:
    router = HTTP(on=ON, forward_to=["127.0.0.1:1", "/b.sock"])
    router.set_basic_params(
        workers=2,
        zerg_server="/run/zerg",
        fallback_node="127.0.0.1:2",
        concurrent_events=32,
        cheap_mode=True,
        stats_server="127.0.0.1:3",
        quiet=True,
        buffer_size=8192,
        keepalive=4,
        resubscribe_addresses=["127.0.0.1:5", "127.0.0.1:6"],
    )
    router.set_connections_params(
        harakiri=1, timeout_socket=2, retry_delay=3, timeout_headers=4, timeout_backend=5
    )
    router.set_manage_params(
        chunked_input=True,
        chunked_output=True,
        gzip=True,
        websockets=True,
        source_method=True,
        rtsp=True,
        proxy_protocol=True,
    )
    router.set_owner_params(uid="www-data", gid=33)
    configuration, warnings = load(router, files)
    assert configuration.routers == (
        HttpRouterConfig(
            listen=(ON,),
            processes=2,
            zerg=("/run/zerg",),
            harakiri=1.0,
            to=("127.0.0.1:1", "/b.sock"),
            fallback=("127.0.0.1:2",),
            cheap=True,
            stats=("127.0.0.1:3",),
            quiet=True,
            buffer_size=8192,
            keepalive=4.0,
            timeout=2.0,
            gracetime=3.0,
            headers_timeout=4.0,
            connect_timeout=5.0,
            chunked_input=True,
            auto_chunked=True,
            auto_gzip=True,
            websockets=True,
            manage_source=True,
            manage_rtsp=True,
            proxy_protocol=(),
            uid="www-data",
            gid="33",
        ),
    )
    assert [warning.split(": ")[1] for warning in warnings if "not yet" in warning] == []


@pytest.mark.parametrize("mandatory", [False, True])
def test_the_https_router(mandatory: bool, files: Files) -> None:
    router = ROUTERS.https(
        ON,
        cert="a.crt",
        key="a.key",
        ciphers="HIGH:!aNULL",
        client_ca="!ca.pem" if mandatory else "ca.pem",
        session_context="c",
        use_spdy=True,
        export_cert_var=True,
    )
    configuration, warnings = load(router, files)
    (one,) = configuration.routers[0].secure  # type: ignore[attr-defined]
    assert one == SecureListener(
        ON,
        CertificateFiles(ON, "a.crt", "a.key", "HIGH:!aNULL", "ca.pem", mandatory),
        "https2",
        exports=True,
        ignored=("spdy",),
    )
    assert [text for text in warnings if "spdy" in text]


def test_a_shared_socket(files: Files) -> None:
    section = Section()
    shared = section.networking.sockets.shared("127.0.0.1:3031")
    configuration, _ = load(FAST(on=shared, forward_to="127.0.0.1:1"), files, section)
    assert configuration.process.shared_sockets == ("127.0.0.1:3031",)
    assert configuration.routers[0].listen == ("=0",)


def test_subscriptions_of_a_section(files: Files) -> None:
    section = Section()
    section.subscriptions.set_server_params(mountpoints_depth=1, tolerance=30, key_dot_split=True)
    router = FAST(on=ON, forward_to=FAST.forwarders.subscription_server("127.0.0.1:7000"))
    configuration, warnings = load(router, files, section)
    table = configuration.subscription
    assert (table.mountpoints, table.tolerance, table.dotsplit) == (1, 30.0, True)
    assert warnings == []


def test_a_router_among_usual_parameters(files: Files) -> None:
    section = Section(process_prefix="router ")
    section.set_runtime_dir("/run/router/")
    section.master_process.set_basic_params(enable=True, no_orphans=True)
    section.workers.set_basic_params(count=4, touch_reload="/run/router/touch", zombie_reaper=True)
    section.workers.set_thread_params(enable=True, count=2, no_wait=True)
    section.main_process.set_basic_params(vacuum=True, touch_reload="/run/router/main")
    section.main_process.set_owner_params(uid="www-data", gid="www-data", add_gids=["adm"])
    section.main_process.set_pid_file("/run/router/pid")
    section.logging.log_into("/var/log/router.log")
    section.logging.set_basic_params(template="%(addr) %(uri)", no_requests=True)
    section.networking.set_basic_params(queue_size=512, buffer_size=32768)
    section.set_plugins_params(plugins="fastrouter", search_dirs="/usr/lib/uwsgi")
    configuration, _ = load(everything(), files, section)
    assert configuration.process.listen == 512
    assert configuration.process.additional_gids == ("adm",)
    assert (configuration.process.uid, configuration.process.gid) == ("www-data", "www-data")
    assert configuration.process.pidfile == "/run/router/pid"
    assert configuration.process.logto == "/var/log/router.log"


def test_all_parameters_of_the_raw_router(files: Files) -> None:
    router = RAW(on=ON, forward_to=["127.0.0.1:1", "/b.sock"])
    router.set_basic_params(
        workers=2,
        zerg_server="/run/zerg",
        fallback_node="127.0.0.1:2",
        concurrent_events=32,
        cheap_mode=True,
        stats_server="127.0.0.1:3",
        quiet=True,
        buffer_size=8192,
    )
    router.set_connections_params(
        harakiri=1, timeout_socket=2, retry_delay=3, retry_max=4, use_xclient=True
    )
    configuration, warnings = load(router, files)
    assert configuration.routers == (
        RawRouterConfig(
            listen=(ON,),
            processes=2,
            harakiri=1.0,
            zerg=("/run/zerg",),
            to=("127.0.0.1:1", "/b.sock"),
            fallback=("127.0.0.1:2",),
            cheap=True,
            stats=("127.0.0.1:3",),
            quiet=True,
            buffer_size=8192,
            timeout=2.0,
            gracetime=3.0,
            max_retries=4,
            xclient=True,
        ),
    )
    assert not [warning for warning in warnings if "not yet" in warning]
