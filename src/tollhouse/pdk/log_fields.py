"""What plugins add to the log record of an exchange."""

from collections.abc import MutableMapping
from typing import Any


class LogFields:
    """Values by their dotted path in the record."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def put(self, path: str, value: Any) -> None:
        """Sets a field; a later value of the same path counts."""
        self._values[path] = value

    def fill(self, record: MutableMapping[str, Any]) -> None:
        """Puts the fields into a record. What stands in the way of a path is replaced."""
        for path, value in self._values.items():
            *parents, last = path.split(".")
            place = record
            for name in parents:
                inner = place.get(name)
                if not isinstance(inner, dict):
                    inner = place[name] = {}
                place = inner
            place[last] = value
