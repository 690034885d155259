"""What a program that makes a router meets: values, messages, warnings, the ini file."""

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import uwsgi_router
from tests.router.api.command import refused_by_the_command
from tests.router.config.configuring import load
from uwsgi_router.router.api import (
    ForwarderCache,
    ForwarderCode,
    ForwarderPath,
    ForwarderSocket,
    ForwarderSubscriptionServer,
    ParameterError,
    RouterFast,
)
from uwsgi_router.router.config.model import CodeString, RouterConfig, SubscriptionConfig

ON = "127.0.0.1:3031"


def config(router: RouterFast) -> RouterConfig:
    (config,) = router.configuration.routers
    return config


def read_back(router: RouterFast) -> RouterConfig:
    """The same router, written to a file and loaded as the command would."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "router.ini"
        path.write_bytes(router.as_ini().encode("utf-8", "surrogateescape"))
        loaded = load([os.fspath(path)], {"HOME": "/home/me"})
    assert (loaded.process, loaded.subscription) == (
        router.configuration.process,
        router.configuration.subscription,
    )
    (config,) = loaded.routers
    return config


# --- what the parameters mean ---


@pytest.mark.parametrize(
    ("forward_to", "expected"),
    [
        ("127.0.0.1:1", RouterConfig(listen=(ON,), to=("127.0.0.1:1",))),
        (["127.0.0.1:1", "/b"], RouterConfig(listen=(ON,), to=("127.0.0.1:1", "/b"))),
        (("127.0.0.1:1",), RouterConfig(listen=(ON,), to=("127.0.0.1:1",))),
        (ForwarderPath("/run/"), RouterConfig(listen=(ON,), use_base="/run/")),
        (ForwarderPath("/r/%s.s"), RouterConfig(listen=(ON,), use_pattern="/r/%s.s")),
        (ForwarderPath("/r%%/%s"), RouterConfig(listen=(ON,), use_pattern="/r%%/%s")),
        (ForwarderSocket("/a"), RouterConfig(listen=(ON,), use_socket="/a")),
        (ForwarderSocket(1), RouterConfig(listen=(ON,), use_socket="1")),
        (
            ForwarderSubscriptionServer("127.0.0.1:7000"),
            RouterConfig(listen=(ON,), subscription_servers=("127.0.0.1:7000",)),
        ),
        (
            ForwarderCode(__file__, "config"),
            RouterConfig(listen=(ON,), use_code_string=CodeString(__file__, "config")),
        ),
    ],
)
def test_forward_to(forward_to: Any, expected: RouterConfig) -> None:
    router = RouterFast(ON, forward_to=forward_to)
    assert config(router) == expected
    assert read_back(router) == expected


@pytest.mark.parametrize(("name", "value"), [(None, ""), ("nodes", "nodes")])
def test_forward_to_a_cache(name: str | None, value: str) -> None:
    router = RouterFast(ON, forward_to=ForwarderCache(name))
    router.set_option("cache2", "name=nodes,items=10")
    assert config(router).use_cache == value
    assert read_back(router) == config(router)


def test_our_own_parameters() -> None:
    router = RouterFast(ON, forward_to=":1").set_extra_params(
        connect_timeout=0.5,
        errors="http",
        hold=10,
        hold_max=11,
        hold_max_bytes=12,
        keep_modifiers=True,
        abort_on_eof=True,
        code_limit=0.2,
        code_timeout=3,
        code_reload=True,
        mercy=4,
    )
    assert config(router) == RouterConfig(
        listen=(ON,),
        to=(":1",),
        connect_timeout=0.5,
        errors="http",
        hold=10.0,
        hold_max=11,
        hold_max_bytes=12,
        keep_modifiers=True,
        abort_on_eof=True,
        code_limit=0.2,
        code_timeout=3.0,
        code_reload=True,
    )
    assert router.configuration.process.reload_mercy == 4
    assert read_back(router) == config(router)


def test_nodes_that_speak_http() -> None:
    router = RouterFast(ON, forward_to=":1").set_backend_params(
        http=True, connections=2, keepalive=0, queue=3, queue_timeout=0.5
    )
    assert config(router) == RouterConfig(
        listen=(ON,),
        to=(":1",),
        backend_http=True,
        backend_connections=2,
        backend_keepalive=0.0,
        backend_queue=3,
        backend_queue_timeout=0.5,
    )
    assert read_back(router) == config(router)


def test_the_table_of_nodes() -> None:
    router = RouterFast(ON, forward_to=ForwarderSubscriptionServer("127.0.0.1:7000"))
    router.set_subscription_params(
        tolerance=31,
        balancing_algo="wlrc",
        key_dot_split=True,
        mountpoints_depth=1,
        fallback_key="default",
        max_keys=2,
        max_nodes=3,
        slow_start=4,
    )
    expected = SubscriptionConfig(31.0, "wlrc", True, 1, 2, 3, 4.0)
    assert router.configuration.subscription == expected
    assert config(router).subscription_fallback_key == "default"
    assert read_back(router) == config(router)


def test_any_other_option() -> None:
    router = RouterFast("=0", forward_to=":1").set_option("shared-socket", ON)
    router.set_option("listen", 512).set_option("stats-http").set_option("socket", ":1", ":2")
    process = router.configuration.process
    assert (process.listen, process.stats_http) == (512, True)
    assert (process.shared_sockets, process.worker_sockets) == ((ON,), (":1", ":2"))
    assert read_back(router) == config(router)


def test_none_changes_nothing_and_false_takes_a_switch_away() -> None:
    router = RouterFast(ON, forward_to=":1").set_basic_params(quiet=True, buffer_size=1)
    assert config(router.set_basic_params()) == config(router.set_basic_params(quiet=None))
    assert config(router).quiet
    assert not config(router.set_basic_params(quiet=False)).quiet
    assert config(router.set_basic_params(buffer_size=2)).buffer_size == 2
    assert "quiet" not in router.as_ini()
    assert router.as_ini().count("buffer-size") == 1


def test_every_method_returns_the_router() -> None:
    router = RouterFast()
    for name in dir(router):
        if name.startswith("set_") and name != "set_option":
            assert getattr(router, name)() is router
    assert router.set_option("listen", 5) is router


# --- what is refused ---

# Without their types: mypy would refuse these calls, too.
fast: Any = RouterFast
forwarder_code: Any = ForwarderCode


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fast("nowhere:x"), "RouterFast(on='nowhere:x'): expected host:port"),
        (lambda: fast(5), "RouterFast(on=5): expected"),
        (lambda: fast(ON, forward_to="a:1,5"), "RouterFast(forward_to='a:1,5'): expected one address"),
        (lambda: fast(ON, forward_to=[":1", None]), "RouterFast(forward_to=None): expected text or a number"),
        (lambda: fast(ON, forward_to=[]), ""),
        (
            lambda: fast().set_connections_params(timeout_socket="soon"),
            "RouterFast.set_connections_params(timeout_socket='soon'): expected a number of seconds, for example 30",
        ),
        (lambda: fast().set_connections_params(timeout_socket=True), "(timeout_socket=True): expected text or"),
        (lambda: fast().set_connections_params(retry_max=-1), "(retry_max=-1): expected a whole number"),
        (lambda: fast().set_connections_params(retry_max=[1, 2]), "(retry_max=[1, 2]): expected one value"),
        (lambda: fast().set_basic_params(workers="many"), "(workers='many'): expected a whole number"),
        (lambda: fast().set_basic_params(cheap_mode=1.5j), "(cheap_mode=1.5j): expected True or False"),
        (lambda: fast().set_basic_params(subscription_key="k" * 256), "expected a key of 1 to 255 bytes"),
        (lambda: fast().set_basic_params(subscription_key="a\nb"), "expected one line"),
        (lambda: fast().set_basic_params(subscription_key=" a"), "expected one line without blanks"),
        (lambda: fast().set_basic_params(subscription_key="$(A)"), "would be replaced"),
        (lambda: fast().set_basic_params(subscription_key="\ud800"), "UTF-8"),
        (lambda: fast().set_extra_params(errors="html"), "(errors='html'): expected close or http"),
        (lambda: fast().set_option("fastrouter-tu", ":1"), "(fastrouter-tu='fastrouter-tu'): there is no such"),
        (lambda: fast().set_option("", ":1"), "there is no such option"),
        (lambda: fast().set_option("module", "app"), "runs no application"),
        (lambda: fast().set_option("subscribe-to", ":80"), "not yet: "),
        (lambda: fast().set_option("http", ":80"), "it is an option of another kind of router"),
        (lambda: fast().set_option("http-zerg", "/z"), "it is an option of another kind of router"),
        (lambda: fast().set_option("ini", "a.ini"), "no option of a router"),
        (lambda: fast().set_option("listen"), "(listen=True): expected text or a number"),
        (lambda: ForwarderPath(""), "ForwarderPath(sockets_dir=''): expected the beginning of an address"),
        (lambda: ForwarderPath("%s:80"), "ForwarderPath(sockets_dir='%s:80'): expected a pattern that fixes the host"),
        (lambda: ForwarderSocket("a b:1"), "ForwarderSocket(socket='a b:1'): expected"),
        (lambda: ForwarderSubscriptionServer("x"), ""),
        (lambda: ForwarderSubscriptionServer("1.2.3.4:99999"), "ForwarderSubscriptionServer(address='1.2.3.4:99999'"),
        (lambda: forwarder_code("m.py"), "ForwarderCode(func=None): expected the function's name"),
        (lambda: forwarder_code("m.py", "a-b"), "ForwarderCode(script='0:m.py:a-b'): expected 0:FILE:FUNCTION"),
        (lambda: forwarder_code("m.py", "f", modifier=5), "expected 0 (Python) before FILE"),
        (lambda: forwarder_code(lambda: None), "called with one argument, the key"),
        (lambda: forwarder_code(print, "f"), "ForwarderCode(func='f'): the function was given already"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_at_once(call: Callable[[], object], message: str) -> None:
    if not message:
        call()
        return
    with pytest.raises(ParameterError) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    assert message in str(caught.value)


def test_without_an_address_it_can_be_printed() -> None:
    assert RouterFast(forward_to=":1").as_ini() == "[uwsgi]\nfastrouter-to = :1\n"


# --- what is warned of ---


async def test_workers_belong_to_the_command() -> None:
    router = RouterFast("127.0.0.1:0", forward_to=[":1"]).set_basic_params(workers=2)
    with pytest.warns(UserWarning, match="only the command uwsgi-router has workers"):
        await router.start()
    await router.stop()


def test_what_is_so_anyway_is_none() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RouterFast().set_basic_params(workers=1, concurrent_events=64)


# --- as_ini ---


def test_a_function_is_a_comment_in_the_ini() -> None:
    def choose(key: bytes) -> None:
        pass

    router = RouterFast(ON, forward_to=ForwarderCode(choose))
    comment, *lines = router.as_ini().splitlines()[1:]
    assert comment.startswith("; fastrouter-use-code-string: ")
    assert "choose is an object of a program" in comment
    assert lines == [f"fastrouter = {ON}"]
    assert config(router).use_code_string is choose
    assert "no node" not in " ".join(router.configuration.warnings)


class Chooser:
    """A callable whose name has several lines."""

    def __call__(self, key: bytes) -> None:
        pass

    def __repr__(self) -> str:
        return "Chooser\n[uwsgi]\n"


def test_no_name_of_a_function_can_break_the_ini() -> None:
    router = RouterFast(ON, forward_to=ForwarderCode(Chooser()))
    assert len(router.as_ini().splitlines()) == 3
    assert read_back(router).listen == (ON,)


TEXT = st.text(min_size=1, max_size=12)
ADDRESS = st.one_of(
    TEXT, st.sampled_from([":1", "/run/a,b", "@x", "[::1]:5", "h:80", "/100%", "=0"])
)
NUMBER = st.one_of(st.integers(-1, 10**7), st.floats(0, 1000), TEXT)
SWITCH = st.booleans()
FORWARDERS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    ADDRESS,
    st.lists(ADDRESS, max_size=3),
    st.one_of(TEXT, st.just("/%s")).map(lambda text: lambda: ForwarderPath("/" + text)),
    ADDRESS.map(lambda text: lambda: ForwarderSocket(text)),
    TEXT.map(lambda text: lambda: ForwarderCode(text, "f")),
)
PARAMETERS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "set_basic_params": {
        "fallback_node": ADDRESS,
        "cheap_mode": SWITCH,
        "stats_server": ADDRESS,
        "quiet": SWITCH,
        "buffer_size": NUMBER,
        "fallback_nokey": SWITCH,
        "subscription_key": TEXT,
    },
    "set_connections_params": {
        "timeout_socket": NUMBER,
        "retry_delay": NUMBER,
        "retry_max": NUMBER,
    },
    "set_postbuffering_params": {"size": NUMBER, "store_dir": st.just(tempfile.gettempdir())},
    "set_owner_params": {"uid": TEXT, "gid": NUMBER},
    "set_extra_params": {"hold": NUMBER, "errors": st.sampled_from(["close", "http", "x"])},
    "set_subscription_params": {"tolerance": NUMBER, "key_dot_split": SWITCH, "fallback_key": TEXT},
}
CHOICES = [
    st.tuples(st.just(method), st.just(parameter), values)
    for method, parameters in PARAMETERS.items()
    for parameter, values in parameters.items()
]


@settings(max_examples=150, deadline=None)
@given(FORWARDERS, st.lists(st.one_of(CHOICES), max_size=8))
def test_whatever_is_accepted_is_read_back_as_it_is(
    forward_to: Any, calls: list[tuple[str, str, Any]]
) -> None:
    try:
        router = RouterFast(ON, forward_to=forward_to() if callable(forward_to) else forward_to)
    except ParameterError:
        router = RouterFast(ON)
    for method, parameter, value in calls:
        try:
            getattr(router, method)(**{parameter: value})
        except ParameterError as error:
            assert f"{method}({parameter}=" in str(error)  # noqa: PT017
    try:
        expected = config(router)
    except ParameterError:
        assert refused_by_the_command(router)
    else:
        assert read_back(router) == expected


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(uwsgi_router.__file__).parent / "py.typed").exists()
