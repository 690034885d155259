"""Parameters of the API's methods: each sets the option that its docstring names, and tells that option's default."""

import atexit
import inspect
import re
import shutil
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.lab.tls import Authority
from tests.router.config.samples import sample
from uwsgi_router.router.api import (
    RouterFast,
    RouterForkPty,
    RouterHttp,
    RouterHttps,
    RouterRaw,
    RouterSsl,
    RouterTunTap,
)
from uwsgi_router.router.config import table
from uwsgi_router.router.config.model import CertificateFiles
from uwsgi_router.router.config.option import Option, Standing, changed

ON = "127.0.0.1:1"
SOCKET = "/run/router.sock"
_ENTRY = re.compile(r"(\w+): ``([^`]+)``(?: or ``([^`]+)``)?(.*)", re.DOTALL)
_NUMBER = re.compile(r"\(([0-9.]+)( [MG]iB)?[;)]")
_UNITS = {"": 1, " MiB": 1024**2, " GiB": 1024**3}


def documented(method: Any) -> dict[str, tuple[list[str], str]]:
    """The options and the text of each parameter."""
    text = (inspect.getdoc(method) or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = {}
    for entry in re.split(r"\n    (?=\w)", "\n" + text):
        match = _ENTRY.match(entry.strip())
        if match is not None:
            found[match[1]] = [name for name in match.group(2, 3) if name], match[4]
    return found


def parameters() -> list[Any]:
    found = []
    routers = (
        RouterFast,
        RouterHttp,
        RouterHttps,
        RouterRaw,
        RouterSsl,
        RouterForkPty,
        RouterTunTap,
    )
    for router in routers:
        for name, method in inspect.getmembers(router, inspect.isfunction):
            if router is RouterHttps and name not in vars(router):
                continue
            if name.startswith("set_") and name != "set_option":
                found += [
                    pytest.param(
                        router, name, parameter, id=f"{router.__name__}.{name}-{parameter}"
                    )
                    for parameter in list(inspect.signature(method).parameters)[1:]
                ]
    return found


@cache
def certificate() -> CertificateFiles:
    directory = tempfile.mkdtemp(prefix="api-")
    atexit.register(shutil.rmtree, directory)
    return Authority.made(Path(directory)).issue()


def made(router: Any) -> Any:
    """One on an address that it may have."""
    if router in (RouterHttps, RouterSsl):
        files = certificate()
        return router(ON, cert=files.certificate, key=files.key)
    return router(ON if router in (RouterFast, RouterHttp, RouterRaw) else SOCKET)


def option_of(router: Any, names: list[str]) -> Option:
    written = [name.replace("…", router.alias) for name in names]
    (name,) = [one for one in written if len(written) == 1 or one.startswith(router.alias)]
    option = table.find(name)
    assert option is not None
    return option


@pytest.mark.parametrize(("router", "method", "parameter"), parameters())
def test_a_parameter_sets_the_option_that_its_docstring_names(
    router: Any, method: str, parameter: str
) -> None:
    names, _text = documented(getattr(router, method))[parameter]
    option = option_of(router, names)
    text = sample(option)
    value: Any = text
    if option.kind.boolean and option.kind.argument.value != "optional":
        value = True
    elif parameter in ("variables", "error_pages"):
        name, value = re.split("[=:]", text, maxsplit=1)
        value = {name: value}
    router = made(router)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(router, method)(**{parameter: value})
    written = option.name if option.name in router.as_ini() else names[0].replace("…", router.alias)
    assert f"{written} = {text}" in router.as_ini().splitlines()


@pytest.mark.parametrize(("router", "method", "parameter"), parameters())
def test_a_default_in_a_docstring_is_the_options(router: Any, method: str, parameter: str) -> None:
    names, text = documented(getattr(router, method))[parameter]
    option = option_of(router, names)
    assert inspect.signature(getattr(router, method)).parameters[parameter].default is None
    told = _NUMBER.search(text)
    if told is None or option.standing is not Standing.WORKS:
        return
    configuration = made(router).configuration
    part = {
        "process": configuration.process,
        "subscription": configuration.subscription,
        "forkpty": configuration.forkpty,
        "tuntap": configuration.tuntap,
        "tls": configuration.tls,
    }.get(option.part) or configuration.routers[0]
    value = getattr(part, option.field)
    # A version is a word.
    assert value == (told[1] if isinstance(value, str) else float(told[1]) * _UNITS[told[2] or ""])
    assert option.field not in changed(part)
