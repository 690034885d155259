"""The command with a function of the operator's, from an ini file, beside files called like our packages."""

import pytest

from tests.lab import programs
from tests.lab.place import Place
from tests.lab.processes import run
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.peers

MAPPER = """
import asyncio

async def choose(key):
    await asyncio.sleep(0.001)
    assert isinstance(key, bytes)
    return ["127.0.0.1:1", {address!r}]
"""


@pytest.mark.parametrize("file", ["router.py", "mappers/by_host.py"])
def test_requests_go_where_the_function_says_and_follow_a_new_version(
    lab: Place, file: str
) -> None:
    project = lab.directory / "project"
    path = project / file
    path.parent.mkdir(parents=True)
    one, two = lab.vassal("one", None), lab.vassal("two", None)
    path.write_text(MAPPER.format(address=one.address))
    router = lab.router(
        f"--fastrouter-use-code-string=0:{file}:choose",
        "--fastrouter-code-reload",
        subscriptions=False,
        cwd=project,
    )
    load = lab.load(lab.nginx(router.address), "/")
    wait_until(lambda: load.answered_by()["one"] >= 50, "the first version's node answers")
    path.write_text("def choose(key) return")
    wait_until(lambda: "the version before it stays" in router.output(), "the broken one is told")
    path.write_text(MAPPER.format(address=two.address))
    wait_until(lambda: load.answered_by()["two"] >= 50, "the new version's node answers")
    load.stop()
    assert load.lost() == {}
    router.stop()


def test_a_file_that_cannot_be_loaded_is_one_line_and_exit_code_1(lab: Place) -> None:
    (lab.directory / "mapper.py").write_text("def choose(key):\n    return nodes[\n")
    ended = run(
        programs.uwsgi_router(),
        "--fastrouter=127.0.0.1:0",
        "--fastrouter-use-code-string=0:mapper.py:choose",
        cwd=lab.directory,
    )
    assert ended.returncode == 1
    line = ended.stderr.splitlines()[-1]
    assert line.startswith(
        "uwsgi-router: command line: fastrouter-use-code-string = 0:mapper.py:choose: "
    )
    assert "mapper.py:2: '[' was never closed" in line
    assert "Traceback" not in ended.stderr
