"""Words of the Python API: messages about options, with the names that a program has written."""

import re
from collections.abc import Mapping
from typing import Any, Final

from uwsgi_router.router.config import table

# An option, perhaps with its value, as messages have it.
_OPTION: Final = re.compile(r"\b([a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?: = (\S*[^\s:,;]))?")
# Forwarders are no parameters, but values of one.
_FORWARDERS: Final = {
    "use-cache": "ForwarderCache(…)",
    "use-pattern": "ForwarderPath('…%s…')",
    "use-base": "ForwarderPath('…/')",
    "subscription-server": "ForwarderSubscriptionServer(…)",
    "use-code-string": "ForwarderCode(…)",
    "use-socket": "ForwarderSocket(…)",
    "to": "a list of addresses",
}
_CALLED: Final = {
    "fastrouter": "the fastrouter",
    "http": "the HTTP router",
    "rawrouter": "the raw router",
    "sslrouter": "the SSL router",
}


class _Recorder:
    """Stands for a router: notes the option of each parameter."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.found: dict[str, str] = {}

    def _set(self, method: str, **given: tuple[str, object]) -> "_Recorder":
        for parameter, (name, _value) in given.items():
            option = table.find(name)
            assert option is not None
            self.found |= dict.fromkeys(option.names, f"{method}({parameter}=…)")
        return self


def parameters(router: type[Any]) -> Mapping[str, str]:
    """Return the parameter, as it is written in a call, of each option that a router's class has one for."""
    alias = router.alias
    recorder = _Recorder(alias)
    for name in dir(router):
        if name.startswith("set_") and name != "set_option":
            getattr(router, name)(recorder)
    found = recorder.found
    return found | {f"{alias}-{name}": text for name, text in _FORWARDERS.items()}


def in_words(message: str, router: type[Any]) -> str:
    """Return a message about options in the words of a router's class."""
    known = parameters(router)

    def word(match: re.Match[str]) -> str:
        name, value = match.groups()
        if value is not None and name == (router.listens or router.alias):
            return f"on={value!r}"
        text = known.get(name)
        if text is None:
            return match[0]
        return text if value is None else text.replace("…)", f"{value!r})")

    # The router's prefix is an option, too, and a word of its own.
    return _OPTION.sub(word, message).replace(_CALLED[router.alias], router.__name__)
