"""Where custom plugins are: files of the folders in `plugins_path`, and entry points of packages."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

#: entry points of this group name a `Plugin` class, or a module in the form of Kong's Python PDK
GROUP: Final = "tollhouse.plugins"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one plugin's code is: a file, or else an entry point."""

    name: str
    file: Path | None = None
    entry: EntryPoint | None = None

    @property
    def shown(self) -> str:
        """The place as an operator knows it."""
        if self.entry is None:
            return str(self.file)
        return f"{self.entry.dist.name} {self.entry.dist.version}" if self.entry.dist else self.entry.value

    def is_called(self, name: str) -> bool:
        """A file `my_plugin.py` holds the plugin `my-plugin`, or one that is called like the file."""
        return name == self.name or (self.file is not None and name == self.file.stem)


def find(name: str, folders: Sequence[Path]) -> Place | None:
    """The place of a plugin: the first folder that has it, else an entry point."""
    found = next((place for place in places(folders) if place.is_called(name)), None)
    return Place(name, found.file, found.entry) if found is not None else None


def places(folders: Sequence[Path]) -> Iterator[Place]:
    """Every plugin that can be found; files whose names begin with `_` or `test_` are none."""
    for folder in folders:
        for file in sorted(folder.glob("*.py")):
            if not file.name.startswith(("_", "test_", "conftest")):
                yield Place(file.stem.replace("_", "-"), file)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        yield Place(entry.name, entry=entry)
