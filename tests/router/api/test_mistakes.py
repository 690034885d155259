"""Mistakes of a program: each message names what was written, and what to write instead."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uwsgi_router.router.api import (
    ForwarderCode,
    ForwarderPath,
    ForwarderSubscriptionServer,
    ParameterError,
    RouterFast,
    RouterHttp,
)

ON = "127.0.0.1:8080"
# Without their types: mypy would refuse these calls, too.
fast: Any = RouterFast
http: Any = RouterHttp
path: Any = ForwarderPath


def told(call: Callable[[], object], kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("forward_to", "hint"),
    [
        (lambda key: ON, "wrap the function: ForwarderCode(function)"),
        ({b"a.example": ON}.get, "wrap the function: ForwarderCode(function)"),
        ({b"a.example": ON}, "wrap it: ForwarderCode(nodes.get)"),
        (ForwarderPath, "this is the class: give an object, ForwarderPath(…)"),
        ([ForwarderPath("/run/")], "give the forwarder without it"),
        (
            [ForwarderPath("/run/"), ForwarderPath("/r/%s")],
            "wrap a function that returns addresses",
        ),
        ([":1", ForwarderPath("/run/")], "wrap a function that returns addresses"),
        ([lambda key: ON], "Wrap one function: ForwarderCode(function)"),
        ({":1"}, "expected the address of a node, a list of them, or a forwarder"),
        (b"127.0.0.1:1", "expected the address of a node, a list of them, or a forwarder"),
    ],
)
def test_what_requests_can_not_be_forwarded_to(forward_to: object, hint: str) -> None:
    message = told(lambda: http(ON, forward_to=forward_to), ParameterError)
    assert message.startswith("RouterHttp(forward_to=")
    assert hint in message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: http(ON, forward_too=":1"), "RouterHttp() has no parameter forward_too; did you mean forward_to?"),
        (lambda: path(socket_dir="/run/"), "ForwarderPath() has no parameter socket_dir; did you mean sockets_dir?"),
        (
            lambda: fast().set_basic_params(fallback_nod=":1"),
            "RouterFast.set_basic_params() has no parameter fallback_nod; did you mean fallback_node?",
        ),
        (
            lambda: fast().set_basic_params(hold=5),
            "RouterFast.set_basic_params() has no parameter hold; did you mean set_extra_params(hold=…)?",
        ),
        (
            lambda: http().set_extra_params(keep_alive=5),
            "RouterHttp.set_extra_params() has no parameter keep_alive; did you mean set_basic_params(keepalive=…)?",
        ),
        (lambda: fast().set_basic_params(zzz=5), "RouterFast.set_basic_params() has no parameter zzz"),
    ],
)  # fmt: skip
def test_an_unknown_keyword_names_the_nearest(call: Callable[[], object], message: str) -> None:
    assert told(call, TypeError) == message


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("fastrouter-tu", "fastrouter-to"),
        ("timeout", "fastrouter-timeout"),
        ("to", "fastrouter-to"),
    ],
)
def test_an_unknown_option_names_the_nearest(name: str, nearest: str) -> None:
    message = told(lambda: fast().set_option(name, ":1"), ParameterError)
    assert message.endswith(f"there is no such option; did you mean {nearest}?")


@pytest.mark.parametrize(("cls", "example"), [(fast, "127.0.0.1:3031"), (http, "127.0.0.1:8080")])
def test_without_an_address(cls: Any, example: str) -> None:
    for router in (cls(), cls(forward_to=":1"), cls(forward_to=ForwarderSubscriptionServer(":1"))):
        message = told(lambda router=router: router.configuration, ParameterError)  # type: ignore[misc]
        expected = f"expected an address to listen on, for example on='{example}'"
        assert message == f"{cls.__name__}(on=None): {expected}"


# --- what `uwsgi-router check` finds ---


def subscribed() -> Any:
    return http(ON, forward_to=ForwarderSubscriptionServer("127.0.0.1:3032"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: http(ON, forward_to=["127.0.0.1:1", ON]),
            f"RouterHttp(forward_to='{ON}'): on='{ON}' is this router itself",
        ),
        (
            lambda: http([ON, ":8080"], forward_to=":1"),
            f"RouterHttp(on=':8080'): on='{ON}' listens there already",
        ),
        (
            lambda: http(ON, forward_to=":1").set_basic_params(stats_server=ON),
            f"RouterHttp.set_basic_params(stats_server='{ON}'): on='{ON}' listens there already",
        ),
        (
            lambda: http(ON, forward_to=":1").set_request_params(to_https=":8080"),
            f"RouterHttp.set_request_params(to_https=':8080'): on='{ON}' listens there already",
        ),
        (
            lambda: http(ON, forward_to="127.0.0.1:9").set_basic_params(
                stats_server="127.0.0.1:9",
            ),
            "RouterHttp(forward_to='127.0.0.1:9'): set_basic_params(stats_server='127.0.0.1:9') is this router itself",
        ),
        (
            lambda: http(ON, forward_to=ForwarderCode("/no/such.py", "f")),
            "RouterHttp(forward_to='0:/no/such.py:f'): No such file or directory",
        ),
        (
            lambda: http(ON, forward_to=ForwarderCode(__file__, "no_such")),
            "has no function no_such",
        ),
        (
            lambda: http(ON, forward_to=":1").set_extra_params(error_pages={502: "/no/such"}),
            "RouterHttp.set_extra_params(error_pages='502:/no/such'): there is no such file",
        ),
        (
            lambda: http(ON, forward_to=":1").set_extra_params(access_log="/no/such/log"),
            "RouterHttp.set_extra_params(access_log='/no/such/log'): there is no directory /no/such",
        ),
        (
            lambda: http(ON, forward_to=":1").set_postbuffering_params(5, "/no/such"),
            "RouterHttp.set_postbuffering_params(store_dir='/no/such'): there is no directory /no/such",
        ),
        (
            lambda: subscribed().set_option("subscription-state", "/no/such/state"),
            "RouterHttp.set_option(subscription-state='/no/such/state'): there is no directory /no/such",
        ),
        (
            lambda: subscribed().set_option("subscriptions-sign-check", "SHA256:/no/such"),
            "RouterHttp.set_option(subscriptions-sign-check='SHA256:/no/such'): ",
        ),
    ],
)
def test_a_mistake_is_refused_in_the_words_of_the_program(
    call: Callable[[], Any], message: str
) -> None:
    assert message in told(lambda: call().configuration, ParameterError)


def test_what_is_odd_is_a_warning_in_the_words_of_the_program() -> None:
    router = http(ON, forward_to=":1").set_extra_params(hold=5)
    (line,) = router.configuration.warnings
    assert line == ("set_extra_params(hold=…) without ForwarderSubscriptionServer(…) has no effect")


def test_what_depends_on_where_it_runs_is_a_warning() -> None:
    router = http("/run/no/such/socket", forward_to=":1")
    (line,) = router.configuration.warnings
    assert line == "on='/run/no/such/socket': there is no directory /run/no/such"


def test_what_only_the_command_does_is_not_asked_for(tmp_path: Path) -> None:
    router = http(ON, forward_to=":1").set_option("chdir", "/no/such").set_option("logto", "/no/x")
    router.set_owner_params(uid="no-such-user").set_option("pidfile", "/no/such/pid")
    page = tmp_path / "page.html"
    page.write_text("down")
    router.set_extra_params(error_pages={503: str(page)})
    assert router.configuration.warnings == ()
