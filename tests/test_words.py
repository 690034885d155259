"""Plain words: docstrings that name what they are about, and references that a reader can follow."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("protocol", "subscriptions", "router", "bench", "scripts")
LONGEST_SUMMARY = 140
QUESTION = re.compile(r"(what|who|whom|whose|how|when|where|which|why)\b", re.IGNORECASE)

FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
FILES += sorted((ROOT / "uwsgi_router").glob("*.py"))
PLAIN = FILES

#: What an engineer searches for, and the file that does it.
PLACES = {
    "access log": "router/report/access_log.py",
    "admission control": "subscriptions/gate.py",
    "backlog": "router/net/acceptor.py",
    "backpressure": "router/proxy/pump.py",
    "connection pool": "router/proxy/upstream_pool.py",
    "dns": "router/net/resolver.py",
    "ejection": "subscriptions/health.py",
    "error page": "router/fronts/http/pages.py",
    "firewall": "router/jails/tuntap/firewall.py",
    "expiring set": "subscriptions/expiring_set.py",
    "half-close": "router/proxy/body.py",
    "health check": "router/table/prober.py",
    "idle timeout": "router/net/fiber.py",
    "keepalive": "router/fronts/http/connection.py",
    "lease": "router/proxy/lease.py",
    "load balancing": "subscriptions/balancing.py",
    "rate limit": "subscriptions/rate.py",
    "pseudo-terminal": "router/jails/forkpty/session.py",
    "replay protection": "subscriptions/replay.py",
    "retry": "router/proxy/exchange.py",
    "rollout of vassals": "router/rollout/__init__.py",
    "round robin": "router/routing/rotation.py",
    "slow client": "router/fronts/http/pace.py",
    "spool": "router/proxy/spool.py",
    "supervisor": "router/supervision/supervisor.py",
    "websocket": "router/fronts/http/websocket/frames.py",
}


def summary_of(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.partition("\n")[0]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_module_says_in_one_line_what_it_is(path: Path) -> None:
    assert 0 < len(summary_of(path)) <= LONGEST_SUMMARY


@pytest.mark.parametrize("path", PLAIN, ids=name)
def test_no_docstring_is_a_question(path: Path) -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]
    texts = [ast.get_docstring(node) or "" for node in nodes]
    assert [text for text in texts if QUESTION.match(text)] == []


@pytest.mark.parametrize("term", PLACES)
def test_a_search_for_the_fields_word_finds_the_file(term: str) -> None:
    assert term in summary_of(ROOT / PLACES[term]).lower()


def test_nothing_refers_to_notes_outside_the_repository() -> None:
    # Not written out, or this file would be the first to be found.
    outside = re.compile(r"\bshe" + r"ets?\b", re.IGNORECASE)
    files = [*ROOT.glob("*.md"), *ROOT.glob("*.toml")]
    for folder in (*FOLDERS, "tests", "docs"):
        for suffix in ("py", "md", "toml", "sh", "txt"):
            files += (ROOT / folder).rglob(f"*.{suffix}")
    assert [name(path) for path in files if outside.search(path.read_text())] == []
