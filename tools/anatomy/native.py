"""Instructions by program file and by compiled function, out of a dump of callgrind's."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

#: Options of valgrind for a dump that can be read here; recursion does not make a function's callees its own twice.
OPTIONS = ("--compress-strings=no", "--compress-pos=no", "--separate-recs=1")

#: What mypyc puts before the name of a function that it has compiled.
_COMPILED = "CPyDef_"
_COROUTINE = "_gen.__mypyc_generator_helper__"
_COST = re.compile(r"[\d+*-]+ (\d+)$")
_RECURSION = re.compile(r"'\d+$")
#: Program files by what is in their names and their directories'; the first that fits.
_FILES = (
    ("uwsgi_router__mypyc", "compiled packages"),
    ("uvloop/", "uvloop"),
    ("python", "interpreter"),
    ("libc.", "C library"),
)
_OTHERS = "others"


@dataclass(frozen=True, slots=True)
class NativeFunction:
    """Compiled function.

    Attributes:
        name: ``module.function`` or ``module.Class.method``.
        own: instructions in it.
        all: with those of what it called.
        calls: and how often a coroutine went on.
    """

    name: str
    own: int
    all: int
    calls: int


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions of some requests.

    Attributes:
        total: of all.
        files: (what, instructions), most first.
        functions: compiled ones, by all their instructions, most first.
    """

    total: int
    files: Sequence[tuple[str, int]]
    functions: Sequence[NativeFunction]


def parse(dump: str) -> Instructions:
    """Read a dump, which was made with :data:`OPTIONS`."""
    files: Counter[str] = Counter()
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    file, function, called = _OTHERS, "", ""
    # The line behind calls= has the costs of what was called.
    callee = False
    for line in dump.splitlines():
        key, equals, value = line.partition("=")
        if equals and key in {"ob", "fn", "cfn", "calls"}:
            if key == "ob":
                file = _file(value)
            elif key == "fn":
                function = _RECURSION.sub("", value)
            elif key == "cfn":
                called = _RECURSION.sub("", value)
            else:
                callee = True
                calls[called] += int(value.split()[0])
            continue
        cost = _COST.match(line)
        if cost is None:
            continue
        count = int(cost[1])
        if not callee:
            files[file] += count
            own[function] += count
        elif called != function:
            below[function] += count
        callee = False
    functions = [
        NativeFunction(_shown(name), own[name], own[name] + below[name], calls[name])
        for name in own
        if name.startswith(_COMPILED)
    ]
    functions.sort(key=lambda each: (-each.all, each.name))
    return Instructions(sum(own.values()), files.most_common(), functions)


def _file(path: str) -> str:
    name = "/".join(path.split("/")[-2:])
    return next((what for part, what in _FILES if part in name), _OTHERS)


def _shown(name: str) -> str:
    """Return a name as it is in Python: mypyc writes ``___`` for a dot."""
    name = name.removeprefix(_COMPILED).replace("___", ".")
    return name.removesuffix(_COROUTINE) + " (coroutine)" if name.endswith(_COROUTINE) else name
