"""Values of options that are more than a number or a text."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """One cache (``cache2``)."""

    name: str
    items: int
    """How many it holds; in uWSGI one less."""
    max_key: int = 2_048
    max_value: int = 65_536
    expire: bool = True
    """False (``no_expire``): items stay whatever was asked for."""
    when_full: Literal["refuse", "purge", "clear"] = "refuse"
    """``purge_lru``: the item that was not used for longest goes; ``clear_on_full``: all go."""
    log_full: bool = True
    unused: tuple[str, ...] = ()
    """Keys of the line that have no effect, for a warning."""


@dataclass(frozen=True, slots=True)
class CacheItem:
    """An item to begin with (``add-cache-item``, ``load-file-in-cache``)."""

    cache: str | None
    """None: in every cache."""
    key: str
    value: str | None
    """None: what is in the file called ``key``."""


@dataclass(frozen=True, slots=True)
class CodeString:
    """``use-code-string = 0:FILE:FUNCTION``: the function that names the nodes.

    Attributes:
        file: a path (it has a slash or ends in ``.py``) or a dotted module.
        function: its name in there.
    """

    file: str
    function: str

    def __str__(self) -> str:
        return f"0:{self.file}:{self.function}"


@dataclass(frozen=True, slots=True)
class ZergPool:
    """``zerg-pool = PATH:ADDRESS[,ADDRESS]``: sockets for other programs.

    Attributes:
        path: of the UNIX socket where they are given.
        listen: their addresses.
    """

    path: str
    listen: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}:{','.join(self.listen)}"


@dataclass(frozen=True, slots=True)
class RedirectListener:
    """``http-to-https = ADDRESS[,PORT]``: every request is redirected to https.

    Attributes:
        listen: where clients come.
        port: for the Location, None for the default port of https.
    """

    listen: str
    port: int | None = None
