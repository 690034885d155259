"""Rounds of runs: setups in turn, first each as fast as it goes, then each at a rate that all can hold.

Every other round goes the other way round: who is first finds nodes and caches as others have left them.

A machine that others use is slower in one second than in the next, by more than the few per cent that
some setups differ by. These alternate: a second each, A B C, then C B A, with the reference in the
middle. So each second of one stands beside a second of the reference, as often before it as after it,
and the ratio is the median of these pairs' ratios (:meth:`bench.results.Result.ratios`).
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.latency import h2load, rate_for
from bench.measure import REQUEST, Load, Paced, Run, Setup, ask
from bench.programs import MeasureError, MissingError, find
from bench.results import Pace, Result

Measured = tuple[Setup, Result]


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of the runs: how many and how long.

    Attributes:
        rounds: runs of each setup as fast as it goes.
        seconds: of each of them.
        pairs: runs of a second of each setup that alternates, in each round: an even number.
        paces: runs of each setup at a fixed rate.
        pace_seconds: of each of them.
        warm_up: seconds before all that, of each setup; 0: none.
        idle_part: of the connections to hold, only one in so many are held.
    """

    rounds: int = 4
    seconds: int = 2
    pairs: int = 8
    paces: int = 3
    pace_seconds: int = 3
    warm_up: int = 2
    idle_part: int = 1

    @classmethod
    def quick(cls) -> "Plan":
        """Return a plan that shows that everything works, and rough figures."""
        return cls(rounds=1, seconds=1, pairs=2, paces=1, pace_seconds=1, warm_up=0, idle_part=5)


class Rounds:
    """Rounds of a scenario: its runs.

    Args:
        setups: what to measure; all are up the whole time, idle but for their turns.
        load: what to send, if a setup does not say otherwise.
        directory: for scratch files.
        progress: told what goes on.

    Attributes:
        errors: what could not be measured, and why: a setup that fails is left out from then on.
    """

    def __init__(
        self,
        setups: Sequence[Setup],
        load: Load,
        *,
        directory: Path,
        progress: Callable[[str], None],
    ) -> None:
        self.errors: list[str] = []
        self._load = load
        self._directory = directory
        self._tell = progress
        self._measured = [
            (
                setup,
                Result(
                    setup.group, setup.name, setup.unit, setup.reference, paired=setup.alternating
                ),
            )
            for setup in setups
        ]

    def measure(self, plan: Plan) -> list[Result]:
        """Warm all setups up, then run them in turn.

        In turn, because a machine gets slower and faster over minutes (neighbours, clock rates):
        what one setup suffers all suffer.

        Returns:
            The results of those that could be measured.

        Raises:
            MissingError: without wrk, where it is needed.
        """
        if plan.warm_up:
            self._warm_up(plan.warm_up)
        alternating = [measured for measured in self._measured if measured[0].alternating]
        others = [measured for measured in self._measured if not measured[0].alternating]
        for number in range(plan.rounds):
            what = f"round {number + 1}/{plan.rounds}"
            self._in_turn(
                in_order(others, number),
                lambda setup, result: self._add_run(setup, result, plan.seconds),
                what,
            )
            for group in dict.fromkeys(setup.group for setup, _result in alternating):
                same = [measured for measured in alternating if measured[0].group == group]
                self._alternate(same, plan.pairs, what)
        rates = self._rates()
        for number in range(plan.paces):
            self._in_turn(
                in_order(self._measured, number),
                lambda setup, result: self._add_pace(setup, result, rates, plan.pace_seconds),
                f"pace  {number + 1}/{plan.paces}",
            )
        return [result for _setup, result in self._measured if result.runs]

    def _warm_up(self, seconds: int) -> None:
        """Send to all at once that wrk sends to, then to the others in turn: nothing is measured yet."""
        with ThreadPoolExecutor() as pool:
            warm = {
                id(setup): pool.submit(self._run, setup, seconds)
                for setup, _result in self._measured
                if setup.run is None
            }
            self._in_turn(
                self._measured,
                lambda setup, _result: (
                    warm[id(setup)].result() if id(setup) in warm else self._run(setup, seconds)
                ),
                "warming up",
            )

    def _alternate(self, setups: Sequence[Measured], times: int, what: str) -> None:
        """Let setups run a second each, so many times, and every other time the other way round."""
        if not setups:
            return
        turns = reference_in_the_middle(setups)
        for _ in range(times):
            self._in_turn(turns, self._add_second, what)
            turns.reverse()
        self._in_turn(setups, _median, what)

    def _add_second(self, setup: Setup, result: Result) -> None:
        self._add_run(setup, result, 1)

    def _in_turn(
        self, setups: Iterable[Measured], run: Callable[[Setup, Result], object], what: str
    ) -> None:
        broken = {error.partition(":")[0] for error in self.errors}
        for setup, result in setups:
            name = f"{setup.group}, {setup.name}"
            if name in broken:
                continue
            try:
                said = run(setup, result)
            except MeasureError as exc:
                self.errors.append(f"{name}: {exc}")
                self._tell(f"{what}  FAILED: {self.errors[-1]}")
            else:
                if isinstance(said, str):
                    self._tell(f"{what}  {setup.group:14}  {setup.name:30}  {said}")

    def _run(self, setup: Setup, seconds: int) -> Run:
        if setup.run is not None:
            return setup.run(seconds)
        return ask(setup, setup.load or self._load, seconds, self._directory)

    def _add_run(self, setup: Setup, result: Result, seconds: int) -> str:
        result.runs.append(self._run(setup, seconds))
        failed = result.runs[-1].failed
        return f"{result.costs[-1]:9.4g} {setup.unit.cost}/{setup.unit.one}" + (
            f"  FAILED: {failed}" if failed else ""
        )

    def _rates(self) -> dict[str, int]:
        """Return the rate of each group, the same for all that it is asked of."""
        throughputs: dict[str, list[float]] = {}
        for setup, result in self._measured:
            if result.runs and (setup.paced is not None or self._is_paced_by_h2load(setup)):
                throughputs.setdefault(setup.group, []).append(result.throughput)
        if any(self._is_paced_by_h2load(setup) for setup, _result in self._measured):
            try:
                find("h2load")
            except MissingError as exc:
                self._tell(f"left out: latency at a fixed rate: missing {exc}")
                return {}
        return {group: rate_for(values) for group, values in throughputs.items()}

    def _is_paced_by_h2load(self, setup: Setup) -> bool:
        usual = setup.run is None and setup.paced is None and setup.unit is REQUEST
        return usual and (setup.load or self._load).paced

    def _add_pace(
        self, setup: Setup, result: Result, rates: dict[str, int], seconds: int
    ) -> str | None:
        if setup.group not in rates:
            return None
        rate = rates[setup.group]
        paced: Paced
        if setup.paced is not None:
            paced = setup.paced(rate, seconds)
        elif self._is_paced_by_h2load(setup):
            paced = h2load(setup, setup.load or self._load, rate, seconds, self._directory)
        else:
            return None
        result.rate = rate
        result.paces.append(Pace.of(paced))
        return (
            f"p50 {result.paces[-1].at(50)} µs, p99 {result.paces[-1].at(99)} µs at {rate}/s"
            + ("" if result.held else f"  NOT HELD: {paced.rate:.0f}/s")
            + (f"  FAILED: {paced.failed}" if paced.failed else "")
        )


def _median(setup: Setup, result: Result) -> str:
    failed = result.failed
    return f"{result.cost:9.4g} {setup.unit.cost}/{setup.unit.one}, median so far" + (
        f"  FAILED: {failed}" if failed else ""
    )


def in_order(setups: Sequence[Measured], number: int) -> Sequence[Measured]:
    """Return the setups in the order of a round, every other one the other way round."""
    return setups[::-1] if number % 2 else setups


def reference_in_the_middle(setups: Sequence[Measured]) -> list[Measured]:
    """Return the setups of one group so that the first of the others are next to the reference or near it."""
    others = [measured for measured in setups if not measured[0].reference]
    references = [measured for measured in setups if measured[0].reference]
    half = (len(others) + 1) // 2
    return [*reversed(others[:half]), *references, *others[half:]]
