"""``python -m bench.attacks [ATTACK …]``: an innocent's p50 and p99, without attack and during each."""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import idle
from bench.attacks.attack import ATTACKS, Attack
from bench.attacks.innocent import Innocent, Waits
from bench.attacks.report import Row, markdown, terminal
from bench.attacks.targets import TARGETS, Nodes, Ports, Target
from bench.idle import memory
from bench.programs import MeasureError, MissingError, StartError, free_port, module_process
from bench.scenarios.nodes import lean

_SECONDS = 3.0


def main() -> int:
    options = _options()
    idle.raise_descriptors()
    rows: list[Row] = []
    failed = False
    for attack in [ATTACKS[name] for name in options.attack or ATTACKS]:
        for name in options.router or TARGETS:
            if not attack.suits(name):
                continue
            try:
                row = run(attack, name, TARGETS[name], options.seconds)
            except MissingError as exc:
                _tell(f"left out: {attack.name}, {name}: missing {exc}")
                continue
            except (StartError, MeasureError, OSError) as exc:
                _tell(f"FAILED: {attack.name}, {name}: {exc}")
                failed = True
                continue
            rows.append(row)
            _tell(terminal(row))
    print(markdown(rows))
    return int(failed or not rows)


def run(attack: Attack, name: str, target: Target, seconds: float) -> Row:
    """Attack one router.

    Raises:
        MissingError: it is not there.
        StartError: something does not come up.
        MeasureError: nothing can be measured.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attacks-")))
        directory.chmod(0o755)
        innocent = lean(stack, "bench.bulk_node", f"127.0.0.1:{free_port()}", "http", "12")
        attacked = lean(
            stack, attack.node[0], f"127.0.0.1:{free_port()}", attack.protocol, *attack.node[1:]
        )
        nodes = Nodes(innocent, attacked, attack.protocol)
        ports = target(stack, directory, nodes, attack.options, attack.table)
        asked = ports.stats if attack.asks_stats else ports.http
        with Innocent(asked, seconds / 2) as client:
            quiet = client.waits()
        before = memory(ports.pid)
        during, held = _attacked(attack, ports, asked, seconds)
        return Row(attack.name, name, quiet, during, max(0, held - before))


def _attacked(attack: Attack, ports: Ports, asked: int, seconds: float) -> tuple[Waits, int]:
    """Attack; return how long the innocent waited, and the router's memory at the end of that."""
    port = {"http": ports.http, "stats": ports.stats, "announces": ports.announces}[attack.port]
    with module_process(
        "bench.attacks.attackers", attack.kind, port, attack.connections
    ) as attackers:
        try:
            assert attackers.stdout
            assert attackers.stderr
            if attackers.stdout.readline() != "ready\n":
                error = attackers.stderr.read().strip().rpartition("\n")[2]
                raise MeasureError(f"the attackers gave up: {error}")
            with Innocent(asked, seconds) as client:
                waits = client.waits()
            held = memory(ports.pid)
            if attackers.poll() is not None:
                raise MeasureError(f"the attackers ended: {attackers.stderr.read()[-300:]}")
            return waits, held
        finally:
            attackers.kill()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.attacks",
        description="How long an innocent client waits during attacks.",
    )
    parser.add_argument("attack", nargs="*", help=f"of {', '.join(ATTACKS)}; default: all")
    parser.add_argument(
        "--router",
        action="append",
        choices=TARGETS,
        help="may be given several times; default: all",
    )
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="of each attack")
    options = parser.parse_args()
    for name in options.attack:
        if name not in ATTACKS:
            parser.error(f"no attack {name!r}; there are {', '.join(ATTACKS)}")
    return options


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
