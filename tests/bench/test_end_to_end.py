"""One program measured for real: nginx alone, for a second or two."""

import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench import idle
from bench.latency import h2load
from bench.measure import Idle, Load, Setup, ask
from bench.nginx import nginx
from bench.programs import MeasureError, MissingError, answers, find, free_port
from bench.results import Pace

pytestmark = pytest.mark.peers

_SERVER = """server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ return 200 "hello world\\n"; }}
    location /broken {{ return 503; }}
  }}"""
LOAD = Load(headers=("X-Test: 1",), targets=("/one?page=1", "/two?page=2"))


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    for program in ("nginx", "wrk", "h2load"):
        try:
            find(program)
        except MissingError as exc:
            pytest.skip(f"{exc} is not there: `make bench`, as root, installs it")
    with ExitStack() as stack:
        port = free_port()
        server = nginx(stack, tmp_path, _SERVER.format(port=port))
        server.wait_until(lambda: answers(port))
        yield Setup("nginx", "group", f"http://127.0.0.1:{port}/", server.pid)


def test_cpu_latency_and_memory(setup: Setup, tmp_path: Path) -> None:
    run = ask(setup, LOAD, 1, tmp_path)
    assert run.failed == 0
    assert run.count > 100
    # Of one core, at most the time that went by.
    assert 0 < run.spent < 1.5e9

    paced = h2load(setup, LOAD, 200, 1, tmp_path)
    assert 150 < paced.rate < 250
    assert paced.failed == 0
    assert 0 < Pace.of(paced).at(50) < 1_000_000
    assert 0 < paced.each < 5e6

    (held,), errors = idle.measure([setup], Idle(connections=200, before=20), progress=print)
    assert errors == []
    assert held.runs[0].count == 200


def test_answers_that_are_errors_count_as_failed(setup: Setup, tmp_path: Path) -> None:
    broken = Setup(setup.name, setup.group, f"{setup.url}broken", setup.pid)
    run = ask(broken, Load(), 1, tmp_path)
    assert run.failed == run.count > 0
    with pytest.raises(MeasureError, match="none was answered"):
        h2load(broken, Load(), 100, 1, tmp_path)


def test_too_few_descriptors_are_one_sentence(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 4096))
    with pytest.raises(MeasureError, match="need 18356 descriptors and the hard limit is 4096"):
        idle.measure([setup], Idle(), progress=print)
