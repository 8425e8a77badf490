"""tollhouse plugin list: bundled plugins, those in folders, and those of installed packages."""

from collections.abc import Iterator
from dataclasses import dataclass

import click
import msgspec

from tollhouse import __version__
from tollhouse.cli.output import fail, fail_config, say
from tollhouse.config.settings import Settings, from_environment
from tollhouse.custom.find import places
from tollhouse.errors import ConfigErrors
from tollhouse.model.fields import Field, Missing
from tollhouse.model.schema import Record
from tollhouse.plugins import BUNDLED, Registry


@dataclass(frozen=True, slots=True)
class Listed:
    """A plugin as the list shows it; `problem` is why it cannot be loaded."""

    name: str
    version: str
    priority: int | None
    where: str
    enabled: bool
    problem: str | None = None


@click.command("list")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(name: str | None, *, as_json: bool) -> None:
    """Show which plugins there are, or the settings of the one called NAME.

    Those in folders of TOLLHOUSE_PLUGINS_PATH and of installed packages are used if KONG_PLUGINS names
    them.
    """
    try:
        settings = from_environment()
        if name is not None:
            _show_settings(settings, name)
            return
    except ConfigErrors as errors:
        fail_config(errors)
    plugins = [*_bundled(settings), *listed_custom(settings)]
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(plugins)).decode())
    else:
        show(plugins)


def show(plugins: list[Listed]) -> None:
    """Writes a table of plugins, and what is wrong with some of them."""
    width = max([len(plugin.name) for plugin in plugins], default=4)
    say(f"{'NAME':{width}}  {'VERSION':9}  {'PRIORITY':>8}  {'ENABLED':7}  FROM")
    for plugin in plugins:
        priority = "" if plugin.priority is None else str(plugin.priority)
        enabled = "yes" if plugin.enabled else "no"
        say(f"{plugin.name:{width}}  {plugin.version:9}  {priority:>8}  {enabled:7}  {plugin.where}")
    for plugin in plugins:
        if plugin.problem is not None:
            say(f"\n{plugin.problem}")


def _bundled(settings: Settings) -> Iterator[Listed]:
    every, enabled = Registry(), Registry.of(settings)
    for name in sorted(BUNDLED):
        cls = every.plugin_class(name)
        if cls is not None:
            yield Listed(name, __version__, cls.priority, "bundled", name in enabled.names)


def listed_custom(settings: Settings) -> Iterator[Listed]:
    """Plugins of folders and packages, whether they are enabled or not."""
    enabled = Registry.of(settings).custom.places
    names = {
        next((name for name in enabled if place.is_called(name)), place.name): place
        for place in places(settings.plugins_path)
    }
    for name, place in names.items():
        shelf = Registry((name,), folders=settings.plugins_path, style=settings.python_pdk_style).custom
        try:
            shelf.refresh()
        except ConfigErrors as errors:
            yield Listed(name, "", None, place.shown, name in enabled, str(errors))
            continue
        cls = shelf.plugin_class(name)
        if name in BUNDLED or cls is None:
            yield Listed(name, "", None, place.shown, False, f"the bundled plugin '{name}' is used instead")
        else:
            yield Listed(name, shelf.version(name) or "", cls.priority, place.shown, name in enabled)


def _show_settings(settings: Settings, name: str) -> None:
    registry = Registry(("bundled", name), folders=settings.plugins_path, style=settings.python_pdk_style)
    record = registry.config(name)
    if record is None:
        fail(f"there is no plugin '{name}'; `tollhouse plugin list` shows those there are")
    rows = list(_rows(record))
    width = max([len(path) for path, _, _ in rows], default=0)
    for path, kind, doc in rows:
        say(f"{path:{width}}  {kind}  {doc}".rstrip())


def _rows(record: Record, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, field in record.fields.items():
        path = f"{prefix}{name}"
        yield path, _kind(field), field.doc
        inner = field.shape.element if field.shape.element is not None else field.shape
        if inner.record is not None:
            yield from _rows(inner.record, f"{path}{'[]' if inner is not field.shape else ''}.")


def _kind(field: Field) -> str:
    if isinstance(field.default, Missing) or field.default is None:
        return f"{field.kind}{', required' if field.required and field.shape.record is None else ''}"
    return f"{field.kind}, default {msgspec.json.encode(field.default).decode()}"
