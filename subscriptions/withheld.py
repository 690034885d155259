"""Withheld names: of nodes that get no requests, whether they leave and come back meanwhile or not."""


class _Name:
    """Name that is withheld: by how many, and whether its nodes stay drained after that."""

    __slots__ = ("holders", "kept")

    def __init__(self, *, kept: bool) -> None:
        self.holders = 1
        self.kept = kept


class WithheldNames:
    """Withheld names of nodes, each with the number of those that withhold it."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, _Name] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str, *, kept: bool) -> None:
        """Withhold a name; ``kept``: its nodes were drained before."""
        held = self._names.get(name)
        if held is None:
            self._names[name] = _Name(kept=kept)
        else:
            held.holders += 1

    def keep(self, name: str) -> None:
        """Note that an operator drained nodes of this name: they stay so."""
        held = self._names.get(name)
        if held is not None:
            held.kept = True

    def forget(self, name: str) -> None:
        """Withhold a name no more, whoever did."""
        self._names.pop(name, None)

    def remove(self, name: str) -> bool:
        """Withhold a name once less; return True if its nodes may have requests again now."""
        held = self._names.get(name)
        if held is None:
            return False
        held.holders -= 1
        if held.holders:
            return False
        del self._names[name]
        return not held.kept
