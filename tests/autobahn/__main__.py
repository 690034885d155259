"""``python -m tests.autobahn [--cases 1.*,2.*]``: the same verdicts with and without the router?

An echo server of the ``websockets`` package is asked directly, through the router, and through the
router that checks frames. A case whose verdict is another one through the router is a failure.

The server's verdicts in a few cases depend on what it reads at once (it echoes a message, or sees
first that the next frame is bad). So cases that differ are played again, and count as different
only if the router leads to a verdict that never comes without it. OK in place of NON-STRICT is named, and
no failure: the router that checks sees bad UTF-8 before the message is whole.
"""

# ruff: noqa: T201

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.autobahn import suite
from tests.lab import programs
from tests.lab.place import temporary
from tests.lab.processes import free_port

#: How often cases that differ are played again.
AGAIN = 4
DIRECT, PLAIN, CHECKED = "direct", "through the router", "checked by the router"
GOOD = "OK/OK"
#: Agent, case, verdicts.
Found = dict[str, dict[str, set[str]]]
#: Autobahn sends messages of up to 16 MiB.
_LARGE = 64 * 1024 * 1024
_ROUTER = ("--http-keepalive", "--http-websockets", "--http-backend-http")
_CHECK = (
    "--http-websocket-check",
    f"--http-websocket-max-frame={_LARGE}",
    f"--http-websocket-max-message={_LARGE}",
)
#: Options of each agent's router, if it has one.
AGENTS: dict[str, tuple[str, ...]] = {DIRECT: (), PLAIN: _ROUTER, CHECKED: (*_ROUTER, *_CHECK)}


def main() -> int:
    """Run; return the exit status: 1 if a verdict differs, 2 if the suite can't be had."""
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn", description=__doc__)
    parser.add_argument("--cases", default="*", help="comma list, as 1.*,7.1.1 (default: all)")
    parser.add_argument(
        "--reports", type=Path, default=programs.ROOT / "build" / "autobahn", metavar="DIRECTORY"
    )
    parser.add_argument(
        "--without-check", action="store_true", help="leave the checking router out"
    )
    options = parser.parse_args()
    try:
        python = suite.python27()
        suite.install(python)
    except suite.Missing as exc:
        sys.stderr.write(f"autobahn: {exc}\n")
        return 2
    shutil.rmtree(options.reports, ignore_errors=True)
    started = time.monotonic()
    with ExitStack() as stack:
        agents = start(stack, check=not options.without_check)

        def play(cases: Sequence[str], reports: Path) -> None:
            def one(agent: str) -> dict[str, dict[str, Any]]:
                place = reports / agent.replace(" ", "-")
                return suite.run(python, agent, agents[agent], cases, place)

            # Side by side: each waits for its own peer most of the time.
            with ThreadPoolExecutor(len(agents)) as pool:
                for agent, played in zip(agents, pool.map(one, agents), strict=True):
                    collect(played, found.setdefault(agent, {}))

        found: Found = {}
        play(options.cases.split(","), options.reports)
        for number in range(AGAIN):
            if again := sorted({name for cases in differing(found).values() for name in cases}):
                print(f"again, because they differ: {', '.join(again)}", flush=True)
                play(again, options.reports / f"again{number + 1}")
    return report(found, time.monotonic() - started)


def start(stack: ExitStack, *, check: bool) -> dict[str, str]:
    """Start an echo server for each agent, and the routers; return where the agents are."""
    agents = {}
    for name, options in AGENTS.items():
        if name == CHECKED and not check:
            continue
        lab = stack.enter_context(temporary())
        port = free_port()
        echo = lab.program("echo", sys.executable, "-m", "tests.lab.echo", str(port))
        echo.wait_for_output("listening")
        agents[name] = f"127.0.0.1:{port}"
        if options:
            agents[name] = lab.http_router(*options, f"--http-to=127.0.0.1:{port}").address
    return agents


def collect(played: dict[str, dict[str, Any]], found: dict[str, set[str]]) -> None:
    """Add the verdicts on the behaviour and on the closing handshake to those of before."""
    for name, case in played.items():
        found.setdefault(name, set()).add(f"{case['behavior']}/{case['behaviorClose']}")


def differing(found: Found) -> dict[str, list[str]]:
    """Return by agent the cases that have a verdict which they never have without the router."""
    return {
        agent: [
            name
            for name, verdicts in found[DIRECT].items()
            if not cases.get(name, {"none"}) <= verdicts | {GOOD}
        ]
        for agent, cases in found.items()
    }


def report(found: Found, seconds: float) -> int:
    """Print what differs; return the exit status."""
    bad = differing(found)
    for agent, cases in found.items():
        good = sum(
            any(verdict.startswith(("OK", "INFO")) for verdict in verdicts)
            for verdicts in cases.values()
        )
        print(f"{agent}: {good} of {len(cases)} OK or informational, {len(bad[agent])} differ")
        for name in bad[agent]:
            verdicts, direct = cases.get(name, {"none"}), found[DIRECT][name]
            print(f"  {name}: {sorted(verdicts)}, without the router {sorted(direct)}")
        better = [name for name in cases if GOOD in cases[name] - found[DIRECT][name]]
        if better:
            print(f"  better: {', '.join(better)}")
    print(f"{seconds:.0f} s")
    return int(any(bad.values()))


if __name__ == "__main__":
    sys.exit(main())
