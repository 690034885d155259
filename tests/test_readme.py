"""What the README tells people to type exists and is accepted."""

import re
import shlex
from pathlib import Path

import pytest

from tests.router.config.configuring import load
from uwsgi_router.router.app.prepare.prepare import prepare
from uwsgi_router.router.config.load import examine
from uwsgi_router.subscriptions.client.command import parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_ini_file_is_accepted_as_it_stands(tmp_path: Path) -> None:
    (text,) = fenced("ini")
    file = tmp_path / "uwsgi-router.ini"
    file.write_text(text)
    configuration = load([str(file)], {})
    assert configuration.warnings == ()
    assert configuration.routers[0].listen == ("127.0.0.1:3031",)
    assert configuration.routers[0].subscription_servers == ("127.0.0.1:3032",)


def test_nginx_and_systemd_name_the_addresses_of_the_ini_file() -> None:
    (ini,) = fenced("ini")
    (nginx,) = fenced("nginx")
    stream = re.search(r"^fastrouter = (.*)$", ini, re.MULTILINE)
    datagram = re.search(r"^fastrouter-subscription-server = (.*)$", ini, re.MULTILINE)
    assert stream is not None
    assert datagram is not None
    assert f"uwsgi_pass {stream[1]};" in nginx
    socket_unit, _service = fenced("systemd")
    assert f"ListenStream={stream[1]}" in socket_unit
    assert f"ListenDatagram={datagram[1]}" in socket_unit


@pytest.mark.parametrize(
    "line", re.findall(r"^    (uwsgi-router (?:--|subscribe).*)$", README, re.MULTILINE)
)
def test_commands_are_accepted_as_they_stand(line: str) -> None:
    words = shlex.split(line)[1:]
    if words[0] == "subscribe":
        assert parse(words[1:]).program
        return
    report = prepare(examine(words, {}))
    assert (report.problems, report.warnings) == ((), ())


@pytest.mark.parametrize("target", re.findall(r"make ([a-z]+)", README))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).is_file()
