"""Expansion of values: ``$(VARIABLE)``, then ``@(FILE)``, then ``%(placeholder)``.

What is not defined stays as it is, as in uWSGI. Any setting can be a placeholder, the first of a name counts, and its
own value is expanded first. ``%(a + 1 * 2)`` calculates from left to right with ``+ - * / ++ --``; two words side by
side are put together. Where uWSGI leaves text as it is although it could be expanded (``$()`` and ``@()`` in values of
``set-placeholder``, placeholders set in terms of later ones), it is expanded.
"""

import re
from collections.abc import Callable, Mapping

VARIABLE = re.compile(r"\$\(([^()]*)\)")
_FILE = re.compile(r"@\(([^()]*)\)")
PLACEHOLDER = re.compile(r"%\(([^()]*)\)")
_NUMBER = re.compile(r"\s*([+-]?\d{1,18})")
_MARK = "\0("
_STEPS = frozenset({"++", "--"})
_OPERATORS = frozenset({"+", "-", "*", "/"})
MAX_LENGTH = 1 << 20
MAX_DEPTH = 32


class ExpansionError(ValueError):
    """A value cannot be expanded; ``str()`` says why."""


def names_in(text: str) -> set[str]:
    """Return the placeholders that a text may use."""
    return {word for found in PLACEHOLDER.findall(text) for word in found.split()}


class Placeholders:
    """Expands values.

    Args:
        lookup: the value of a placeholder as written, or None.
        environ: for ``$(VARIABLE)``.
        read: the text of a file, for ``@(FILE)``; raises ``OSError``.
        longest: characters that a value may have.
    """

    def __init__(
        self,
        lookup: Callable[[str], str | None],
        environ: Mapping[str, str],
        read: Callable[[str], str],
        longest: int = MAX_LENGTH,
    ) -> None:
        self._longest = longest
        self._lookup = lookup
        self._environ = environ
        self._read = read
        self._open: list[str] = []
        self._done: dict[str, str] = {}
        self.used: set[str] = set()
        """Names that were looked up, or may be; whoever reads lines adds to it."""

    def expand(self, text: str) -> str:
        """Expand a value.

        Raises:
            ExpansionError: for a file that cannot be read, a placeholder that leads to itself, a division by zero
                and results that are too long.
        """
        if "(" not in text:
            return text
        if not self._open:
            self._done.clear()  # what was not defined may be by now
        text = VARIABLE.sub(lambda match: self._environ.get(match[1], match[0]), text)
        text = _FILE.sub(lambda match: self._file(match[1]), text)
        while True:
            replaced = self._replaced(text)
            if replaced == text:
                return text.replace(_MARK, "%(")
            text = replaced

    def _replaced(self, text: str) -> str:
        """Return the text with each placeholder replaced once; a few lines can ask for more than there is memory."""
        parts: list[str] = []
        end = length = 0
        for match in PLACEHOLDER.finditer(text):
            value = self._value(match)
            parts += (text[end : match.start()], value)
            end = match.end()
            length += len(value)
            if length > self._longest:
                break
        if max(length, len(text)) > self._longest:
            raise ExpansionError(f"the value is longer than {self._longest} characters")
        return "".join((*parts, text[end:]))

    def _file(self, path: str) -> str:
        if "://" in path:
            raise ExpansionError(f"@({path}): only plain files can be put in")
        try:
            return self._read(path).rstrip("\n")
        except OSError as error:
            raise ExpansionError(f"@({path}): {error.strerror}") from None

    def _value(self, match: re.Match[str]) -> str:
        words = match[1].split()
        if not words:
            return _MARK + match[1] + ")"
        values = [self._word(word) for word in words]
        if len(words) == 1:
            value = values[0]
        elif any(
            value is None and not _NUMBER.fullmatch(word) and word not in _STEPS | _OPERATORS
            for word, value in zip(words, values, strict=True)
        ):
            value = None
        else:
            value = _calculate(words, values)
        return _MARK + match[1] + ")" if value is None else value

    def _word(self, name: str) -> str | None:
        self.used.add(name)
        raw = self._lookup(name)
        if raw is None:
            return None
        if name in self._done:
            return self._done[name]
        if name in self._open or len(self._open) >= MAX_DEPTH:
            raise ExpansionError(f"placeholders go in a circle: {' -> '.join([*self._open, name])}")
        self._open.append(name)
        try:
            self._done[name] = self.expand(raw)
        finally:
            self._open.pop()
        return self._done[name]


def _calculate(words: list[str], values: list[str | None]) -> str:
    result, operator = "", ""
    for word, value in zip(words, values, strict=True):
        if value is None and word in _STEPS:
            result = str(_number(result) + (1 if word == "++" else -1))
        elif value is None and word in _OPERATORS:
            operator = word
        elif operator:
            result = _apply(
                operator, _number(result), _number(value if value is not None else word)
            )
            operator = ""
        else:
            result += value if value is not None else word
    return result


def _apply(operator: str, left: int, right: int) -> str:
    if operator == "+":
        return str(left + right)
    if operator == "-":
        return str(left - right)
    if operator == "*":
        return str(left * right)
    if right == 0:
        raise ExpansionError("division by zero")
    quotient = abs(left) // abs(right)
    return str(quotient if (left < 0) == (right < 0) else -quotient)


def _number(text: str) -> int:
    """Leading digits, else 0."""
    match = _NUMBER.match(text)
    return int(match[1]) if match else 0
