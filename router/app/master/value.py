"""Configuration as a value, for other processes: each field by its name, so that versions may differ by fields."""

import dataclasses
import io
import pickle
from typing import Any

from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.version import __version__


class _Pickler(pickle.Pickler):
    """Pickler that writes dataclasses by the names of their fields: by position they would be mixed up."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how an object is made again."""
        if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
            given = {one.name: getattr(obj, one.name) for one in dataclasses.fields(obj)}
            return _make, (type(obj), given)
        return NotImplemented


def _make(kind: type, given: dict[str, Any]) -> Any:
    """Make an object of another version, perhaps: what this one does not know is left out."""
    known = {one.name for one in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in given.items() if name in known})


def dump(configuration: Configuration) -> bytes:
    """Write a configuration."""
    buffer = io.BytesIO()
    _Pickler(buffer).dump((__version__, configuration))
    return buffer.getvalue()


def load(data: bytes) -> Configuration:
    """Read a configuration that :func:`dump` of this program wrote, and nobody else.

    Raises:
        StartError: it is one of another version, which has other options.
    """
    try:
        _version, configuration = pickle.loads(data)  # noqa: S301 - from our own parent, over an inherited descriptor
    except (TypeError, AttributeError, ImportError, ValueError) as exc:
        raise StartError(
            f"the configuration is one of another version ({exc}): reload, or restart"
        ) from exc
    assert isinstance(configuration, Configuration)
    return configuration
