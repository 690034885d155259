"""The pages hang together, say only what exists, and become a site without a warning."""

import ast
import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS, PAGES
from tests.docs.scenario import series
from tests.lab.processes import run
from tests.router.admin.stats.fixtures import NOW, WALL, Source, announce
from uwsgi_router.router.admin.stats import metrics
from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.router.config.crosschecks import PRECEDENCE
from uwsgi_router.router.config.table import names
from uwsgi_router.router.core import reasons
from uwsgi_router.subscriptions.registry import Registry

ROOT = DOCS.parent
TEXTS = {page.name: page.read_text() for page in PAGES}


def test_every_page_is_in_the_contents() -> None:
    trees = re.findall(r"```\{toctree\}\n(.*?)```", TEXTS["index.md"], re.DOTALL)
    listed = [
        line for tree in trees for line in tree.splitlines() if re.fullmatch(r"[a-z-]+", line)
    ]
    assert sorted([*listed, "index"]) == sorted(page.stem for page in PAGES)
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize(
    ("page", "link"),
    [
        pytest.param(name, link, id=f"{name}-{link}")
        for name, text in TEXTS.items()
        for link in dict.fromkeys(re.findall(r"\]\(([^)\s]+)\)", text))
    ],
)
def test_links_lead_somewhere(page: str, link: str) -> None:
    assert "//" not in link, "nothing here depends on somebody else's site"
    target, _, anchor = link.partition("#")
    file = target or page
    if file.startswith("benchmarks/"):  # plots, and a page of its own
        assert (DOCS / file).is_file()
        assert not anchor
        return
    assert file in TEXTS
    headings = re.findall(r"^#+ (.+)$", TEXTS[file], re.MULTILINE)
    assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_options_that_the_pages_name_exist() -> None:
    known = set(names())
    named = {
        name
        for text in TEXTS.values()
        for name in re.findall(
            r"`((?:fastrouter|http|subscription|stats|cache)-[a-z-]+[a-z])\b", text
        )
    }
    assert named
    assert named - known == set()


def test_forwarders_stand_in_the_order_in_which_they_decide() -> None:
    rows = re.findall(r"^\| \[`([a-z-]+)`\]", TEXTS["forwarders.md"], re.MULTILINE)
    assert rows == [f"fastrouter-{option}" for _field, option in PRECEDENCE]


def test_metrics_that_the_pages_name_exist() -> None:
    ends = [CertificateEnd("a.example", "/a.crt", 2_000_000_000)]
    source = Source(registry=Registry(started=0.0), certificate_ends=ends)
    assert source.registry is not None
    source.counters.handshakes["TLSv1.3"] += 1
    source.counters.handshakes_failed["version"] += 1
    announce(source.registry, b"example.com", "127.0.0.1:4001")
    source.counters.failed["connect"] += 1
    source.counters.refused_connections["max-connections"] += 1
    text = b"".join(metrics.render(source, now=NOW, wall=WALL)).decode()
    named = {name for page in TEXTS.values() for name in re.findall(r"\buwsgi_router_\w+", page)}
    assert named - {series(line)[0] for line in text.splitlines()} == set()


def test_troubleshooting_explains_every_reason_for_a_failed_request() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([\d, ]+) \|", TEXTS["troubleshooting.md"], re.MULTILINE)
    assert {reason for reason, _status in rows} == _reasons()


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("sphinx") is None and os.environ.get("CI") != "true":
        pytest.skip("Sphinx is not there: `make docs` installs it")
    argv = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = run(*argv, "-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "site"), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "index.html").is_file()


def _reasons() -> set[str]:
    """Return the reasons that the code gives: those of the table, and ``HttpError(X, reason, …)`` of the parser."""
    found = set(reasons.BY_WORD)
    for file in (ROOT / "protocol").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "HttpError":
                found |= _words(node.args[1])
    return found


def _words(node: ast.expr) -> set[str]:
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }
