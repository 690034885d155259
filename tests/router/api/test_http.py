"""What a program that makes an HTTP router meets: values, messages, the ini file."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.router.api.command import refused_by_the_command
from tests.router.config.configuring import load
from uwsgi_router.router.api import (
    ForwarderCode,
    ForwarderPath,
    ParameterError,
    RouterFast,
    RouterHttp,
)
from uwsgi_router.router.config.model import HttpRouterConfig

ON = "127.0.0.1:8080"


def config(router: RouterHttp) -> HttpRouterConfig:
    (config,) = router.configuration.routers
    assert isinstance(config, HttpRouterConfig)
    return config


def read_back(router: RouterHttp) -> object:
    """The same router, written to a file and loaded as the command would."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "router.ini"
        path.write_bytes(router.as_ini().encode("utf-8", "surrogateescape"))
        loaded = load([os.fspath(path)], {"HOME": "/home/me"})
    (config,) = loaded.routers
    return config


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        (lambda r: r.set_basic_params(keepalive=True), "keepalive", 0.0),
        (lambda r: r.set_basic_params(keepalive=1), "keepalive", 0.0),
        (lambda r: r.set_basic_params(keepalive=5).set_basic_params(keepalive=False), "keepalive", None),
        (lambda r: r.set_basic_params(keepalive=5).set_basic_params(keepalive=0), "keepalive", None),
        (lambda r: r.set_manage_params(proxy_protocol=True), "proxy_protocol", ()),
        (lambda r: r.set_manage_params(proxy_protocol="10.0.0.0/8"), "proxy_protocol", ("10.0.0.0/8",)),
        (
            lambda r: r.set_manage_params(proxy_protocol=True).set_manage_params(proxy_protocol=[]),
            "proxy_protocol",
            None,
        ),
        (lambda r: r.set_request_params(trusted_proxies=[]), "trusted_proxies", ()),
        (lambda r: r.set_request_params(trusted_proxies="none"), "trusted_proxies", ()),
        (lambda r: r.set_request_params(variables={"A": "1"}).set_request_params(variables={}), "variables", ()),
        (lambda r: r.set_extra_params(access_log=True), "access_log", ""),
        (lambda r: r.set_extra_params(access_log=True).set_extra_params(access_log=False), "access_log", None),
        (lambda r: r.set_option("http-websockets"), "websockets", True),
        (lambda r: r.set_option("enable-proxy-protocol"), "proxy_protocol", ()),
    ],
)  # fmt: skip
def test_values_that_mean_something_else(
    change: Callable[[RouterHttp], RouterHttp], field: str, value: object
) -> None:
    router = change(RouterHttp(ON, forward_to=":1"))
    assert getattr(config(router), field) == value
    assert read_back(router) == config(router)


http: Any = RouterHttp


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: http("nowhere:x"), "RouterHttp(on='nowhere:x'): expected host:port"),
        (lambda: http(ON, forward_to=5), "RouterHttp(forward_to=5): expected host:port"),
        (
            lambda: http().set_basic_params(keepalive="soon"),
            "RouterHttp.set_basic_params(keepalive='soon'): expected a number of seconds",
        ),
        (lambda: http().set_basic_params(keepalive=1j), "(keepalive=1j): expected text or a number"),
        (lambda: http().set_manage_params(gzip=1j), "(gzip=1j): expected True or False"),
        (lambda: http().set_manage_params(proxy_protocol="lb"), "(proxy_protocol='lb'): expected networks"),
        (lambda: http().set_request_params(trusted_proxies=["10.0.0.1/8"]), "did you mean 10.0.0.0/8?"),
        (lambda: http().set_request_params(modifier1=22), "(modifier1=22): expected a modifier for requests"),
        (lambda: http().set_request_params(variables={"A": "x\ny"}), "expected one line"),
        (lambda: http().set_request_params(variables={"": "x"}), "expected NAME=VALUE"),
        (lambda: http().set_request_params(variables=5), "(variables=5): expected NAME=VALUE"),
        (lambda: http().set_extra_params(error_pages={200: "/x"}), "expected a status from 400 to 599"),
        (lambda: http().set_option("fastrouter-to", ":1"), "another kind of router"),
        (lambda: http().set_option("https2", "addr=:1"), "expected at least addr=ADDRESS,cert=FILE,key=FILE"),
        (lambda: http(forward_to=":1").configuration, "RouterHttp(on=None): expected an address to listen on"),
        (lambda: http().configuration, "RouterHttp(on=None): expected an address to listen on"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        call()
    assert message in str(caught.value)


def test_it_says_what_it_is() -> None:
    assert repr(RouterHttp(ON)) == f"<RouterHttp on={ON} not running>"


def test_every_method_returns_the_router() -> None:
    router = RouterHttp()
    for name in dir(router):
        if name.startswith("set_") and name != "set_option":
            assert getattr(router, name)() is router


def test_a_class_of_ones_own_is_named_in_messages() -> None:
    class Site(RouterHttp):
        pass

    assert config(Site(ON).set_option("http-to", ":1")).to == (":1",)
    with pytest.raises(ParameterError, match=r"^Site\.set_option\(name='fastrouter-to'\)"):
        Site().set_option("fastrouter-to", ":1")


def test_not_yet_is_a_warning_at_the_callers_line() -> None:
    with pytest.warns(UserWarning, match="not yet") as caught:
        RouterHttp().set_option("carbon", "127.0.0.1:1")
    assert caught[0].filename == __file__


def test_a_function_and_a_path_say_where_requests_go() -> None:
    nodes = {b"a.example": ":1"}
    assert config(RouterHttp(ON, forward_to=ForwarderCode(nodes.get))).use_code_string == nodes.get
    assert config(RouterHttp(ON, forward_to=ForwarderPath("/run/"))).use_base == "/run/"


def test_both_routers_have_what_all_routers_have() -> None:
    names = {name for name in dir(RouterFast) if not name.startswith("_") and name != "alias"} - {
        "set_resubscription_params"
    }
    assert names <= set(dir(RouterHttp))


TEXT = st.text(min_size=1, max_size=12)
NUMBER = st.one_of(st.integers(-1, 10**7), st.floats(0, 1000), st.booleans(), TEXT)
NETWORK = st.one_of(TEXT, st.sampled_from(["10.0.0.0/8", "::1", "unix", "none"]))
PARAMETERS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "set_basic_params": {"keepalive": NUMBER},
    "set_connections_params": {"timeout_headers": NUMBER},
    "set_manage_params": {
        "proxy_protocol": st.one_of(st.booleans(), st.lists(NETWORK, max_size=2))
    },
    "set_backend_params": {"connections": NUMBER, "keepalive": NUMBER},
    "set_request_params": {
        "to_https": st.one_of(TEXT, st.sampled_from([":80,443", "/a,b", "@x,1"])),
        "trusted_proxies": st.lists(NETWORK, max_size=2),
        "expect_limit": NUMBER,
        "modifier1": NUMBER,
        "variables": st.dictionaries(TEXT, TEXT, max_size=2),
    },
    "set_extra_params": {"access_log": st.one_of(st.booleans(), TEXT), "errors": TEXT},
}
CHOICES = [
    st.tuples(st.just(method), st.just(parameter), values)
    for method, parameters in PARAMETERS.items()
    for parameter, values in parameters.items()
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(CHOICES), max_size=8))
def test_whatever_is_accepted_is_read_back_as_it_is(calls: list[tuple[str, str, Any]]) -> None:
    router = RouterHttp(ON)
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
