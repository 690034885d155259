"""The log of a start says where each router listens, and where requests go."""

from typing import Any

import pytest

from tests.lab.lab import Lab


async def lines(lab: Lab, **options: Any) -> tuple[str, list[str]]:
    """Return the router's address, and what is said of it."""
    router = await lab.router(**options)
    host, port = router.address
    return f"{host}:{port}", [line for _kind, line in router.instance.summaries()]


async def test_where_it_listens_and_whose_announces_it_hears(lab: Lab) -> None:
    path = str(lab.path())
    address, said = await lines(
        lab, stats=(path,), subscription_servers=("127.0.0.1:0",), fallback=("127.0.0.1:9",)
    )
    listening, going = said
    assert listening == f"listening on {address}; statistics on {path}"
    assert going.startswith("requests go to nodes that announce themselves at 127.0.0.1:")
    assert ":0;" not in going
    assert going.endswith("; fallback: 127.0.0.1:9")


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"to": ("127.0.0.1:1", "/a")}, "127.0.0.1:1, /a"),
        ({"to": tuple(f"/{n}" for n in range(9))}, "/0, /1, /2, /3, /4 and 4 more"),
        ({"use_base": "/run/"}, "where fastrouter-use-base = /run/ says"),
        # The first one decides.
        ({"use_pattern": "/run/%s", "to": ("/a",)}, "where fastrouter-use-pattern = /run/%s says"),
        ({}, "no node: none is configured"),
    ],
)
async def test_where_requests_go(lab: Lab, options: dict[str, Any], where: str) -> None:
    assert (await lines(lab, **options))[1][1] == f"requests go to {where}"


async def test_a_listener_that_redirects(lab: Lab) -> None:
    http = await lab.http(to=("/a",))
    kinds = [kind for kind, _line in http.instance.summaries()]
    assert kinds == ["http", "http"]
