"""Keywords of the Python API: an unknown one is refused with the nearest that there is."""

import difflib
import functools
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, TypeVar

T = TypeVar("T")


def names_the_nearest(cls: type[T]) -> type[T]:
    """Make constructor and ``set_`` methods of a class name the nearest keyword for an unknown one."""
    for name, method in list(vars(cls).items()):
        if isinstance(method, FunctionType) and (name == "__init__" or name.startswith("set_")):
            setattr(cls, name, _checked(method))
    return cls


def _checked(method: FunctionType) -> Callable[..., Any]:
    known = _parameters(method)

    @functools.wraps(method)
    def call(self: object, *args: Any, **keywords: Any) -> Any:
        for keyword in keywords:
            if keyword not in known:
                raise TypeError(_message(type(self), method, keyword))
        return method(self, *args, **keywords)

    return call


def _parameters(method: FunctionType) -> tuple[str, ...]:
    code = method.__code__
    return code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]


def _message(cls: type, method: FunctionType, keyword: str) -> str:
    constructor = method.__name__ == "__init__"
    call = cls.__name__ if constructor else f"{cls.__name__}.{method.__name__}"
    return f"{call}() has no parameter {keyword}{_hint(cls, method, keyword)}"


def _hint(cls: type, method: FunctionType, keyword: str) -> str:
    """Return what was probably meant: a parameter of this method, or else of another one."""
    own = difflib.get_close_matches(keyword, _parameters(method), n=1)
    elsewhere = {parameter: name for name, parameter in _others(cls, method.__name__)}
    if keyword not in elsewhere and own:
        return f"; did you mean {own[0]}?"
    other = difflib.get_close_matches(keyword, elsewhere, n=1)
    return f"; did you mean {elsewhere[other[0]]}({other[0]}=…)?" if other else ""


def _others(cls: type, method: str) -> Iterator[tuple[str, str]]:
    for name in dir(cls):
        if name.startswith("set_") and name != method:
            for parameter in _parameters(getattr(cls, name).__wrapped__):
                yield name, parameter
