"""Rollout of vassals for people: arguments to settings, lines, a bar or JSON, exit status."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from uwsgi_router.protocol.text import printable, show
from uwsgi_router.router.cli.commands import failed
from uwsgi_router.router.rollout.actions import Step, ToldStep
from uwsgi_router.router.rollout.health import HealthGate
from uwsgi_router.router.rollout.lock import EmperorLock, KeptOut, LockTaken
from uwsgi_router.router.rollout.mapping import NodeMap
from uwsgi_router.router.rollout.observer import Observer, parent_of, seen_controls, sources
from uwsgi_router.router.rollout.plan import Planner, RolloutPlan, text_of
from uwsgi_router.router.rollout.rollout import Rollout, RolloutOutcome
from uwsgi_router.router.rollout.settings import RolloutSettings
from uwsgi_router.router.rollout.stats_client import StatsError
from uwsgi_router.router.rollout.views import Moment
from uwsgi_router.router.rollout.withdrawal import DrainLimits
from uwsgi_router.subscriptions.application import runtime
from uwsgi_router.subscriptions.application.listening import listeners_of_process

_BAR: Final = 20


def roll(parsed: argparse.Namespace, environ: Mapping[str, str], controls: Sequence[str]) -> int:
    """Reload vassals; return the exit status.

    Args:
        parsed: the command line.
        environ: of this process.
        controls: control sockets of routers.
    """
    settings = settings_of(parsed, controls)
    out = output_of(parsed)
    try:
        with EmperorLock(settings.directory):
            return _rolled(settings, parsed, environ, out)
    except (StatsError, LockTaken) as exc:
        return out.refused([str(exc)])
    except KeyboardInterrupt:
        return out.refused(["interrupted before anything was done"])
    except OSError as exc:
        return out.refused([f"{exc.filename or settings.directory}: {exc.strerror or exc}"])


def _rolled(
    settings: RolloutSettings,
    parsed: argparse.Namespace,
    environ: Mapping[str, str],
    out: "Output",
) -> int:
    observer = Observer(settings, _wall)
    node_map = NodeMap(listeners_of_process, settings.nodes)
    kept_out = KeptOut(runtime.control_directories(environ), settings.directory)
    moment = observer.moment()
    left_out = kept_out.read()
    plan = Planner(
        settings,
        moment,
        sources(settings.directory, settings.suffix),
        seen_controls(settings.controls),
        left_out,
        node_map,
        parent_of,
    ).plan()
    out.planned(plan, settings, moment, shown=parsed.dry_run)
    if plan.refusals:
        return out.refused(plan.refusals)
    if parsed.dry_run:
        return 0
    rollout = Rollout(settings, plan, observer, node_map, out)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: rollout.interrupt())
    outcome = rollout.run()
    returned = {
        place.address
        for one in plan.vassals
        if outcome.steps[one.name] == "reloaded"
        for place in one.places
    }
    kept_out.write((left_out - returned) | set(outcome.kept_out))
    return out.ended(outcome)


def settings_of(parsed: argparse.Namespace, controls: Sequence[str]) -> RolloutSettings:
    """Return what the command line says."""
    gate: HealthGate | None = HealthGate()
    if parsed.no_health:
        gate = None
    elif parsed.health is not None:
        gate = HealthGate(parsed.health, below=400)
    return RolloutSettings(
        directory=parsed.emperor_path,
        emperor_stats=parsed.emperor_stats_socket,
        router_stats=tuple(parsed.fastrouter_stats_socket),
        suffix=parsed.vassal_config_file_suffix,
        minimum=parsed.minimum_active_vassals,
        most=parsed.max_unavailable,
        timeout=60.0 if parsed.timeout is None else parsed.timeout,
        interval=parsed.check_interval,
        only=tuple(parsed.vassal),
        key=parsed.key,
        controls=tuple(controls),
        fifo=parsed.fifo,
        log=parsed.log,
        nodes=dict(parsed.node),
        unrouted=parsed.allow_unrouted,
        gate=gate,
        drain=DrainLimits(parsed.drain, parsed.drain_streams),
        tolerance=parsed.subscription_tolerance,
    )


def _wall() -> float:
    return datetime.now(UTC).timestamp()


class Output:
    """Output for people: a line for each vassal, errors on standard error.

    Args:
        quiet: no lines of vassals that went well.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def planned(
        self, plan: RolloutPlan, settings: RolloutSettings, moment: Moment, *, shown: bool
    ) -> None:
        """Show a plan, if that was asked for."""
        if shown:
            self.line("\n".join(text_of(plan, settings, moment)))

    def told(self, step: ToldStep) -> None:
        """Show how a vassal ended."""
        if self._quiet:
            return
        if step.step == "reloaded":
            self.line(f"{step.name}: reloaded{f' ({step.why})' if step.why else ''}")
        elif step.step == "failed":
            self.line(
                f"{step.name}: {'timeout reached' if step.timeout else f'failed: {step.why}'}"
            )

    def line(self, text: str) -> None:
        """Write a line of what was asked for."""
        print("\n".join(printable(show(one)) for one in text.split("\n")), flush=True)

    def warned(self, text: str) -> None:
        """Show what went wrong."""
        self.error(text)

    def error(self, text: str) -> None:
        """Write a line on standard error."""
        failed("rollout", printable(show(text)))

    def looked(self, steps: dict[str, Step]) -> None:
        """Do nothing: lines are enough."""

    def refused(self, reasons: Sequence[str]) -> int:
        """Show why nothing was done; return the exit status."""
        for reason in reasons:
            self.error(reason)
        return 1

    def ended(self, outcome: RolloutOutcome) -> int:
        """Show what came of it; return the exit status."""
        if not outcome.reason:
            return 0
        for line in outcome.lines:
            print(f"  {line}", file=sys.stderr)
        counted = list(outcome.steps.values())
        failures = counted.count("failed")
        rest = (
            f"{counted.count('reloaded')} of {len(counted)} are reloaded,"
            f" {counted.count('untouched')} untouched"
        )
        name = f"{outcome.vassal}: " if failures else ""
        self.error(f"{name}{outcome.reason}; {rest}")
        for address in outcome.kept_out:
            self.error(
                f"{address} stays out of service until the next rollout, or `uwsgi-router enable {address}`"
            )
        return 1


class BarOutput(Output):
    """Output on a terminal: the same lines, and below them a bar that shows how far it is."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._shown = ""

    def line(self, text: str) -> None:
        """Write a line above the bar."""
        self._clear()
        super().line(text)

    def error(self, text: str) -> None:
        """Write a line above the bar."""
        self._clear()
        super().error(text)

    def looked(self, steps: dict[str, Step]) -> None:
        """Show how far all are, and what is being done."""
        ended = sum(step in {"reloaded", "failed", "untouched"} for step in steps.values())
        filled = _BAR * ended // max(1, len(steps))
        busy = ", ".join(
            f"{name} {step}"
            for name, step in steps.items()
            if step not in {"waiting", "reloaded", "failed", "untouched"}
        )
        bar = (
            f"[{'#' * filled}{'.' * (_BAR - filled)}] {ended}/{len(steps)} {printable(show(busy))}"
        )
        try:
            bar = bar[: os.get_terminal_size(sys.stderr.fileno()).columns - 1]
        except OSError:
            pass
        if bar != self._shown:
            self._clear()
            self._shown = bar
            sys.stderr.write(bar)
            sys.stderr.flush()

    def ended(self, outcome: RolloutOutcome) -> int:
        """Show what came of it, without the bar."""
        self._clear()
        return super().ended(outcome)

    def _clear(self) -> None:
        if self._shown:
            self._shown = ""
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class JsonOutput(Output):
    """Output for programs: an object a line, the last one with ``ok``."""

    def planned(
        self, plan: RolloutPlan, settings: RolloutSettings, moment: Moment, *, shown: bool
    ) -> None:
        """Write the plan."""
        self._write(
            event="plan",
            emperor={"pid": moment.emperor.pid, "version": moment.emperor.version},
            routers=[
                {"stats": one.address, "version": one.version, "way": plan.ways[one.address]}
                for one in moment.routers
            ],
            vassals=[
                {
                    "vassal": one.name,
                    "file": one.path,
                    "nodes": sorted(
                        [place.router, place.key, place.address] for place in one.places
                    ),
                    "withdrawn": one.withdrawn,
                }
                for one in plan.vassals
            ],
            pools=[
                {"router": router, "key": key, "serving": count}
                for (router, key), count in plan.pools.items()
            ],
            minimum=settings.minimum,
            most=plan.limits.most,
        )
        if shown and not plan.refusals:
            self._write(event="end", ok=True, reason="")

    def told(self, step: ToldStep) -> None:
        """Write a new state."""
        self._write(event="step", vassal=step.name, step=step.step, why=step.why)

    def warned(self, text: str) -> None:
        """Write what went wrong."""
        self._write(event="warning", text=text)

    def refused(self, reasons: Sequence[str]) -> int:
        """Write why nothing was done."""
        self._write(event="end", ok=False, reason="; ".join(reasons))
        return 1

    def ended(self, outcome: RolloutOutcome) -> int:
        """Write what came of it."""
        self._write(
            event="end",
            ok=not outcome.reason,
            reason=outcome.reason,
            vassal=outcome.vassal,
            lines=list(outcome.lines),
            steps=outcome.steps,
            kept_out=list(outcome.kept_out),
        )
        return 1 if outcome.reason else 0

    @staticmethod
    def _write(**members: Any) -> None:
        print(json.dumps({"time": round(_wall(), 3), **members}), flush=True)


def output_of(parsed: argparse.Namespace) -> Output:
    """Return the output that the command line and the terminal ask for."""
    if parsed.json:
        return JsonOutput(quiet=parsed.quiet)
    if sys.stderr.isatty() and not parsed.quiet:
        return BarOutput(quiet=parsed.quiet)
    return Output(quiet=parsed.quiet)
