"""The custom plugins that are enabled on a node, loaded, and loaded again when their files change."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tollhouse.custom.find import Place, find
from tollhouse.custom.load import Loaded, digest_of, load
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.pdk.plugin import Plugin

log = logging.getLogger("tollhouse.plugins")


class Shelf:
    """Plugins by name. Nothing is run before the first `refresh`."""

    def __init__(self, names: Iterable[str], folders: Sequence[Path], style: str = "auto") -> None:
        found = ((name, find(name, folders)) for name in names)
        self.places: Mapping[str, Place] = {name: place for name, place in found if place is not None}
        self._style = style
        self._loaded: dict[str, Loaded] = {}
        self._is_read = False

    def refresh(self) -> bool:
        """Loads what is new or has changed, all or nothing; whether anything was. Raises `ConfigErrors`
        with everything that is wrong, and what was loaded before stays."""
        fresh: dict[str, Loaded] = {}
        errors: list[ConfigError] = []
        for name, place in self.places.items():
            before = self._loaded.get(name)
            try:
                if before is None or before.digest != digest_of(place):
                    fresh[name] = load(place, self._style)
            except ConfigErrors as refused:
                errors += refused.errors
        self._is_read = True
        if errors:
            raise ConfigErrors(errors)
        self._loaded |= fresh
        return bool(fresh)

    def read(self) -> None:
        """Loads everything unless that was done. Raises `ConfigErrors`."""
        if len(self._loaded) < len(self.places):
            self.refresh()

    def read_what_can_be(self) -> None:
        """Loads each plugin that can be loaded; what is wrong with the others is logged."""
        self._is_read = True
        for name, place in self.places.items():
            try:
                before = self._loaded.get(name)
                if before is None or before.digest != digest_of(place):
                    self._loaded[name] = load(place, self._style)
            except ConfigErrors as errors:
                log.error("%s", errors)

    def plugin_class(self, name: str) -> type[Plugin[Any]] | None:
        """The class of a plugin; `None` for one that is not here or could not be loaded."""
        if not self._is_read and name in self.places:
            self.refresh()
        loaded = self._loaded.get(name)
        return loaded.cls if loaded is not None else None

    def version(self, name: str) -> str | None:
        """What a plugin says its version is."""
        loaded = self._loaded.get(name)
        return loaded.version if loaded is not None else None
