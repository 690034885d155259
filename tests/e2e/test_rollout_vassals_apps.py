"""Rollouts of [app] vassals, which our Emperor runs, behind the router beside it: no request is lost."""

from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.asking import Asking, ask
from tests.lab.empire import PROGRAMS, Empire
from tests.lab.place import Place
from tests.lab.processes import run
from tests.lab.programs import uwsgi_router

pytestmark = [
    pytest.mark.sources,
    pytest.mark.skipif(programs.ROUTER_UNDER_TEST == "uwsgi", reason="it has no control socket"),
]


class Applications(Empire):
    """[app] files beside an HTTP router of the same program."""

    def __init__(self, directory: Path) -> None:
        self.stats = str(directory / "stats.sock"), str(directory / "http.sock")
        emperor, http = self.stats
        super().__init__(directory, f"--emperor-stats={emperor}", f"--http-stats={http}")

    def wait_ready(self) -> None:
        for name in ("gunicorn", "files"):
            self.put_app(name, PROGRAMS[name], "replicas = 2")
        self.wait_for_http()
        for name in ("gunicorn", "files"):
            assert ask(self.port, f"{name}.example") == 200

    def roll(self, *more: str) -> tuple[int, str, str]:
        emperor, http = self.stats
        done = run(
            *(uwsgi_router(), "roll", "--emperor-path", str(self.vassals)),
            *("--emperor-stats-socket", emperor, "--fastrouter-stats-socket", http),
            *("--control", str(self.control), *more),
        )
        return done.returncode, done.stdout, done.stderr


def test_applications_roll_themselves_out_one_vassal_after_the_other(lab: Place) -> None:
    site = lab.started(Applications(lab.directory))
    with (
        Asking(site.port, "gunicorn.example") as one,
        Asking(site.port, "files.example") as other,
    ):
        code, output, errors = site.roll()
    assert (code, output, errors) == (0, "files: reloaded\ngunicorn: reloaded\n", "")
    assert set(one.statuses) == set(other.statuses) == {200}
    code, output, errors = site.roll("--dry-run", "--vassal", "files")
    assert "; its supervisor rolls its applications out; GET /" in output
    site.put_app("files", "-m no_such_module {port}", "replicas = 2", "start-timeout = 3")
    code, output, errors = site.roll("--timeout", "4")
    assert (code, output) == (1, "files: timeout reached\n")
    assert "No module named no_such_module" in errors
    assert ask(site.port, "files.example") == 200
