"""The router, counting the opcodes that it runs: ``python -m tools.anatomy.opcodes REPORT OPTION…``.

The first SIGPROF begins counting. Each writes what was counted since the one before, as JSON, to
REPORT.1, REPORT.2 and so on; it is there as soon as it is whole. What is in C (the parser's regular
expressions, uvloop, built-in types) has no opcodes, nor has a compiled build.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from uwsgi_router.router.cli import main as cli

_Trace = Callable[[FrameType, str, Any], Any]


class _Count:
    """Count of one function, made when it is first called."""

    __slots__ = ("calls", "code", "name", "opcodes")

    def __init__(self, frame: FrameType) -> None:
        self.code = frame.f_code
        self.name = _name(frame)
        self.calls = 0
        self.opcodes = 0

    def step(self, _frame: FrameType, event: str, _argument: object) -> _Trace:
        """Count what the interpreter does next."""
        if event == "opcode":
            self.opcodes += 1
        return self.step


class Counting:
    """Counter of opcodes and calls of all functions of the main thread.

    A call is also whenever a coroutine or a generator goes on. A function that is under way when
    counting begins (the loop itself) is not counted.

    Args:
        report: path of the reports, without their numbers.
    """

    def __init__(self, report: str) -> None:
        self._report = report
        self._written = 0
        # Codes are told apart by their ids: equal ones may be of different files.
        self._counts: dict[int, _Count] = {}

    def signalled(self, _number: int, _frame: FrameType | None) -> None:
        """Write what was counted, and begin anew."""
        sys.settrace(None)
        functions = [
            {
                "file": count.code.co_filename,
                "line": count.code.co_firstlineno,
                "name": count.name,
                "calls": count.calls,
                "opcodes": count.opcodes,
            }
            for count in self._counts.values()
        ]
        self._counts.clear()
        self._written += 1
        path = f"{self._report}.{self._written}"
        with open(f"{path}.part", "w") as file:
            json.dump(functions, file)
        os.replace(f"{path}.part", path)
        sys.settrace(self._called)

    def _called(self, frame: FrameType, _event: str, _argument: object) -> _Trace | None:
        code = frame.f_code
        if code.co_filename == __file__:
            return None
        count = self._counts.get(id(code))
        if count is None:
            count = self._counts[id(code)] = _Count(frame)
        count.calls += 1
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return count.step


def _name(frame: FrameType) -> str:
    """Return a function's name, with its class's."""
    code = frame.f_code
    if code.co_filename != "<string>" or not code.co_varnames:
        return code.co_qualname
    # A dataclass's method does not know of what class it is.
    me = frame.f_locals.get(code.co_varnames[0])
    return f"{type(me).__qualname__}.{code.co_name}"


def main() -> int:
    """Run the router."""
    report, *arguments = sys.argv[1:]
    # SIGPROF: the others have a meaning for the router.
    signal.signal(signal.SIGPROF, Counting(report).signalled)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
