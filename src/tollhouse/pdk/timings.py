"""How long each plugin took in each phase of one exchange, where somebody wants to know."""


class Timings:
    """Seconds by phase and plugin: the instant of the first beginning and of the last end, and the sum."""

    __slots__ = ("entries", "shown")

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], list[float]] = {}
        #: whether log records tell it
        self.shown = False

    def add(self, phase: str, plugin: str, started: float, ended: float) -> None:
        """Counts one call."""
        entry = self.entries.get((phase, plugin))
        if entry is None:
            self.entries[(phase, plugin)] = [started, ended, ended - started]
        else:
            entry[1] = ended
            entry[2] += ended - started

    def routed_at(self) -> float | None:
        """When the route was known: at the beginning of the first plugin's access phase."""
        begun = [entry[0] for (phase, _), entry in self.entries.items() if phase == "access"]
        return min(begun, default=None)
