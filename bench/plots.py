"""Plots of results as SVG: small, the same for the same results, on light and dark pages.

Needs matplotlib (the extra ``bench``); nothing else imports it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.latency import PERCENTILES
from bench.results import Outcome, Result

mpl.rcParams.update(
    {
        "svg.hashsalt": "uwsgi-router",  # ids are random otherwise
        "svg.fonttype": "none",  # text stays text
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib; it gives the widths
        "font.size": 9,
        # As far from white as from black.
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"),
            "#7d7d7d",
        ),
    }
)

_OURS = ("#d9700f", "#e0a030")
_OTHERS = ("#3d8fd1", "#2a9d74", "#b565b8", "#8a8f2a", "#c05b6a")
_MARKERS = "osD^vP"
_WIDTH, _BAR, _MARGIN = 7.2, 0.3, 0.75


def draw(outcome: Outcome, directory: Path) -> Iterator[tuple[Path, str]]:
    """Write the plots of a scenario; yield each file and what it shows."""
    groups = outcome.groups
    what = next(iter(groups.values()))[0].unit
    path = directory / f"{outcome.scenario}-cost.svg"
    _write(_costs(groups), path)
    shows = "Memory" if what.cost == "bytes" else "CPU"
    yield path, f"{shows} per {what.one}: medians, least and most"
    paced = {
        group: [result for result in results if result.paces] for group, results in groups.items()
    }
    paced = {group: results for group, results in paced.items() if results}
    if paced:
        path = directory / f"{outcome.scenario}-latency.svg"
        _write(_latencies(paced), path)
        yield path, "Latency at a fixed rate, by percentile"


def _write(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def _colors(results: Sequence[Result]) -> list[str]:
    """Return a color for each: ours differ from the others at a glance."""
    ours, others = iter(_OURS * len(results)), iter(_OTHERS * len(results))
    return [next(ours if "uwsgi-router" in result.name else others) for result in results]


def _costs(groups: dict[str, list[Result]]) -> Figure:
    """Bars: what a unit costs; lines: the least and the most of all runs."""
    heights = [len(results) * _BAR + _MARGIN for results in groups.values()]
    figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (group, results) in zip(panels, groups.items(), strict=True):
        unit = results[0].unit
        costs = [result.cost for result in results]
        least = [result.cost - min(result.costs) for result in results]
        most = [max(result.costs) - result.cost for result in results]
        bars = axes.barh(
            [result.name for result in results],
            costs,
            height=0.7,
            color=_colors(results),
            alpha=0.5,
            xerr=[least, most],
            error_kw={"ecolor": _colors(results), "elinewidth": 1.5},
        )
        form = "{:,.0f}" if max(costs) >= 100 else "{:.3g}"
        axes.bar_label(bars, [form.format(cost) for cost in costs], padding=5)
        axes.set_xlim(0, max(cost + more for cost, more in zip(costs, most, strict=True)) * 1.15)
        axes.invert_yaxis()
        axes.set_title(group, loc="left", fontweight="bold", fontsize=9)
        axes.set_xlabel(unit.cost if unit.cost == "bytes" else f"{unit.cost} of CPU per {unit.one}")
        _bare(axes)
    return figure


def _latencies(groups: dict[str, list[Result]]) -> Figure:
    """Lines: latency over the percentile, which the axis spreads towards 100."""
    figure = Figure(figsize=(_WIDTH, 2.8 * len(groups)), layout="constrained")
    panels = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
    ticks = (50, 75, 90, 95, 99, 99.5, 99.9)
    for axes, (group, results) in zip(panels, groups.items(), strict=True):
        for number, (result, color) in enumerate(zip(results, _colors(results), strict=True)):
            axes.plot(
                [100 / (100 - percent) for percent in PERCENTILES],
                [latency / 1000 for latency in result.latencies],
                label=result.name,
                color=color,
                marker=_MARKERS[number % len(_MARKERS)],
                markevery=[PERCENTILES.index(tick) for tick in ticks],
                markersize=4,
                linewidth=1.2,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(100 / 60, 1000)
        axes.set_xticks([100 / (100 - tick) for tick in ticks], [f"p{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
        axes.set_ylabel("ms")
        rate, unit = results[0].rate, results[0].unit
        axes.set_title(
            f"{group}: {rate:,} {unit.many}/s", loc="left", fontweight="bold", fontsize=9
        )
        axes.grid(color="#7d7d7d", alpha=0.25, linewidth=0.6)
        axes.legend(frameon=False)
        _bare(axes)
    return figure


def _bare(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
