"""Markdown tables of an anatomy."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import markdown
from tools.anatomy.cpu import Cpu
from tools.anatomy.functions import Function, by_layer
from tools.anatomy.native import Instructions
from tools.anatomy.syscalls import Syscall

_NOTHING = "-"
#: What happens less often in a request is left out of tables.
_LEAST = 0.05


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Anatomy of one scenario: all that was measured.

    Attributes:
        name: of the scenario.
        says: what it is.
        count: requests that counts are of.
        cpu: None if it was not measured, as with all others.
        syscalls: of all requests.
        instructions: of all requests.
        functions: of all requests.
        missing: what was not measured, and why: sentences.
    """

    name: str
    says: str
    count: int
    cpu: Cpu | None
    syscalls: Sequence[Syscall] | None
    instructions: Instructions | None
    functions: Sequence[Function] | None
    missing: Sequence[str] = ()


def overview(anatomies: Sequence[Anatomy]) -> str:
    """Return what one request costs in each scenario."""
    table = [
        [
            "one request",
            "CPU, µs",
            "in user space",
            "in the kernel",
            "system calls",
            "instructions",
            "opcodes",
            "calls",
        ]
    ]
    for found in anatomies:
        cpu, functions = found.cpu, found.functions
        syscalls = None if found.syscalls is None else sum(each.calls for each in found.syscalls)
        table.append(
            [
                found.name,
                *(
                    (f"{cpu.both:.1f}", f"{cpu.user:.1f}", f"{cpu.kernel:.1f}")
                    if cpu
                    else [_NOTHING] * 3
                ),
                _NOTHING if syscalls is None else f"{syscalls / found.count:.1f}",
                (
                    _NOTHING
                    if found.instructions is None
                    else f"{found.instructions.total / found.count:,.0f}"
                ),
                *(
                    (
                        f"{sum(each.opcodes for each in functions) / found.count:,.0f}",
                        f"{sum(each.calls for each in functions) / found.count:,.1f}",
                    )
                    if functions is not None
                    else [_NOTHING] * 2
                ),
            ]
        )
    return markdown(table)


def section(found: Anatomy, top: int, repeat: str) -> str:
    """Return a section about one scenario.

    Args:
        found: about it.
        top: how many functions to show.
        repeat: the command that finds it again.
    """
    parts = [f"## {found.name}", found.says, overview([found])]
    if found.cpu:
        each = found.cpu.each
        parts.append(
            f"CPU: median of {len(each)} batches, {min(each):.1f} to {max(each):.1f} µs; "
            f"{found.cpu.share:.0%} of it in user space."
        )
    if found.syscalls is not None:
        parts.append(_syscalls(found.syscalls, found.count))
    if found.instructions is not None and found.instructions.functions:
        parts += [
            _files(found.instructions, found.count),
            _native(found.instructions, found.count, top),
        ]
    if found.functions is not None:
        parts += [
            _layers(found.functions, found.count),
            _functions(found.functions, found.count, top),
        ]
    parts += found.missing
    parts.append(f"Counts: of {found.count:,} requests. Again: `{repeat}`")
    return "\n\n".join(parts) + "\n"


def _syscalls(syscalls: Sequence[Syscall], count: int) -> str:
    table = [["system call", "per request", "of these failed"]]
    for each in syscalls:
        if each.calls / count >= _LEAST:
            failed = f"{each.errors / count:.2f}" if each.errors / count >= _LEAST else ""
            table.append([f"`{each.name}`", f"{each.calls / count:.2f}", failed])
    return markdown(table)


def _files(instructions: Instructions, count: int) -> str:
    table = [["program file", "instructions", "share"]]
    table += [
        [what, f"{number / count:,.0f}", _percent(number, instructions.total)]
        for what, number in instructions.files
    ]
    return markdown(table)


def _native(instructions: Instructions, count: int, top: int) -> str:
    table = [["compiled function", "instructions with callees", "share", "in it", "calls"]]
    table += [
        [
            f"`{function.name}`",
            f"{function.all / count:,.0f}",
            _percent(function.all, instructions.total),
            f"{function.own / count:,.0f}",
            f"{function.calls / count:.2f}",
        ]
        for function in instructions.functions[:top]
    ]
    return markdown(table)


def _layers(functions: Sequence[Function], count: int) -> str:
    every = sum(function.opcodes for function in functions)
    table = [["layer", "opcodes", "share", "calls"]]
    table += [
        [
            layer.name,
            f"{layer.opcodes / count:,.1f}",
            _percent(layer.opcodes, every),
            f"{layer.calls / count:.2f}",
        ]
        for layer in by_layer(functions)
        if layer.opcodes / count >= _LEAST
    ]
    return markdown(table)


def _functions(functions: Sequence[Function], count: int, top: int) -> str:
    every = sum(function.opcodes for function in functions)
    table = [["function", "where", "opcodes", "share", "calls"]]
    table += [
        [
            f"`{function.name}`",
            f"`{function.file}:{function.line}`",
            f"{function.opcodes / count:,.1f}",
            _percent(function.opcodes, every),
            f"{function.calls / count:.2f}",
        ]
        for function in functions[:top]
    ]
    return markdown(table, left=2)


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else _NOTHING
