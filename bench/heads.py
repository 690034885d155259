"""Request heads as browsers send them: ten fields, and no two heads the same.

What differs from one real request to the next differs here: the query, Referer, the session in
Cookie, X-Request-Id. A program that remembered whole heads would get nothing from it. The heads are
the same in every run.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.measure import Load

#: How many there are, before they repeat.
COUNT = 256
HOST = "app.example.com"

#: The tenth field: as a web server in front adds it, and as a browser sends it to a server.
FROM_SERVER = ("X-Forwarded-Proto", "https")
FROM_BROWSER = ("Upgrade-Insecure-Requests", "1")

_REPEATING = """
local heads, number = {%s}, 0
request = function()
  number = number %% #heads + 1
  return heads[number]
end
"""

_KEYED = """
local before, after = {%s}, {%s}
local number, key = 0, 0
request = function()
  number = number %% #before + 1
  key = (key + %d) %% %d
  return before[number] .. "%s" .. key .. "%s" .. after[number]
end
"""


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a GET.

    Attributes:
        target: path and query.
        host: value of Host.
        fields: (name, value) of the nine others.
    """

    target: str
    host: str
    fields: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """All of it, with the empty line."""
        lines = [f"GET {self.target} HTTP/1.1", f"Host: {self.host}"]
        lines += (f"{name}: {value}" for name, value in self.fields)
        return "\r\n".join((*lines, "", ""))


def heads(tenth: tuple[str, str], *, host: str = HOST, count: int = COUNT) -> list[Head]:
    """Return heads that differ as real ones do.

    Args:
        tenth: the last field, :data:`FROM_SERVER` or :data:`FROM_BROWSER`.
        host: value of Host.
        count: how many.
    """
    numbers = random.Random(6)  # always the same ones
    return [_head(numbers, tenth, host) for _ in range(count)]


def _head(numbers: random.Random, tenth: tuple[str, str], host: str) -> Head:
    page, article = numbers.randrange(1, 100), numbers.randrange(1000, 10_000)
    session, request = numbers.randbytes(10).hex(), numbers.randbytes(16).hex()
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    identity = "-".join((request[:8], request[8:12], request[12:16], request[16:20], request[20:]))
    return Head(
        f"/articles?page={page}&after={article}",
        host,
        (
            ("User-Agent", agent),
            ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
            ("Accept-Encoding", "gzip, deflate, br"),
            ("Referer", f"https://{host}/articles/2026/11/{article}?page={page}"),
            ("Cookie", f"session={session}; csrftoken=Zk3PqWv9sT1uXy7B; theme=dark"),
            ("Cache-Control", "no-cache"),
            ("X-Request-Id", identity),
            tenth,
        ),
    )


def load(tenth: tuple[str, str], connections: int = 16) -> Load:
    """Return what wrk and h2load ask for: wrk sends the heads in turn.

    h2load can vary the target alone; the fields are those of the first head.
    """
    several = heads(tenth)
    return Load(
        connections=connections,
        script=_REPEATING % _lua_strings([head.text for head in several]),
        headers=tuple(f"{name}: {value}" for name, value in several[0].fields),
        targets=tuple(head.target for head in several),
    )


def keyed_load(tenth: tuple[str, str], prefix: str, suffix: str, *, keys: int, stride: int) -> Load:
    """Return what wrk asks for: each request has another Host than the one before.

    Args:
        tenth: the last field of the heads.
        prefix: Host is this, a number,
        suffix: and this.
        keys: how many numbers there are, from 0.
        stride: from one request's to the next; prime to ``keys``.
    """
    parts = [head.text.partition(f"Host: {HOST}") for head in heads(tenth)]
    before = _lua_strings([f"{request_line}Host: " for request_line, _, _ in parts])
    after = _lua_strings([fields for _, _, fields in parts])
    return Load(script=_KEYED % (before, after, stride, keys, prefix, suffix), paced=False)


def _lua_strings(texts: Sequence[str]) -> str:
    """Return ASCII texts as Lua writes them, with commas between them."""
    return ",\n".join(json.dumps(text) for text in texts)
