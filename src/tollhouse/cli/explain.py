"""tollhouse explain: where a request would go, and what would happen to it on the way."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from tollhouse.cli.config.sources import Workbench, admin_url
from tollhouse.cli.output import fail, say
from tollhouse.review.asked import Unreadable, asked
from tollhouse.review.explain import Explanation, Placed, explain

#: more routes than this that do not match are counted, not listed
_LISTED: Final = 20
_SECRET: Final = re.compile("secret|password|header_value|param_value|token|api_key|access_key")


@click.command("explain", context_settings={"ignore_unknown_options": True})
@click.option(
    "-c", "--config", "path", type=click.Path(path_type=Path, exists=True), help="A file or folder."
)
@admin_url
@click.option("--consumer", help="Who calls, by username or id; left out, a key of key-auth tells.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="[METHOD] URL [-H 'Name: value']… | curl …"
)
def command(
    path: Path | None, admin_url: str | None, consumer: str | None, as_json: bool, words: tuple[str, ...]
) -> None:
    """Show which route a request takes and why the others do not, its plugins with their settings and
    where these come from, and what the upstream is asked for. Nothing is sent.

    Without --config it asks the running node. Exit code 1 if no route takes the request.
    """
    bench = Workbench()
    snapshot = bench.snapshot_of(path) if path else bench.running(bench.place(admin_url))
    try:
        found = explain(snapshot, asked(words), bench.settings.router_flavor, bench.registry, consumer)
    except (Unreadable, LookupError) as error:
        fail(str(error), 2)
    if as_json:
        click.echo(msgspec.json.encode(_as_json(found)))
    else:
        for line in _lines(found):
            say(line)
    if found.route is None:
        sys.exit(1)


def _lines(found: Explanation) -> Iterator[str]:
    if found.route is None:
        yield click.style("no route matches: 404 no Route matched with those values", fg="red")
    else:
        yield click.style(f"route     {found.route.name or found.route.id}", fg="green")
        if found.prefix:
            yield f"          its path stands for {found.prefix}"
        for name, value in found.captures.items():
            yield f"          captured {name} = {value}"
        yield f"service   {(found.service.name or found.service.id) if found.service else 'none'}"
    yield f"consumer  {(found.consumer.username or found.consumer.id) if found.consumer else 'not known'}"
    yield "plugins" if found.plugins else "plugins   none"
    for placed in found.plugins:
        yield f"  {placed.priority:>8}  {click.style(placed.name, bold=True)} from {placed.origin}"
        for name, value in _settings(placed.instance.config):
            yield f"            {name}: {value}"
    for placed in found.outweighed:
        yield click.style(f"  outweighed  {placed.name} from {placed.origin}", dim=True)
    if found.upstream_uri is not None:
        yield f"upstream  {found.upstream_uri}"
        yield f"          Host: {found.upstream_host}"
        yield from (f"          target {target}" for target in found.targets)
    if found.missed:
        yield "other routes"
    for missed in found.missed[:_LISTED]:
        yield f"  {missed.route}: {missed.reason}"
    if len(found.missed) > _LISTED:
        yield f"  and {len(found.missed) - _LISTED} more"


def _settings(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """What is set, nested names dotted."""
    for name, value in _masked(config).items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{name}.")
        elif value is not None and value != []:
            yield prefix + name, msgspec.json.encode(value).decode()


def _masked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for a screen: secrets stay away."""
    shown: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            shown[name] = _masked(value)
        else:
            shown[name] = "(secret)" if isinstance(value, str) and _SECRET.search(name) else value
    return shown


def _as_json(found: Explanation) -> dict[str, Any]:
    def shown(placed: Placed) -> dict[str, Any]:
        return {
            "name": placed.name,
            "priority": placed.priority,
            "from": placed.origin,
            "id": placed.instance.id,
            "config": _masked(placed.instance.config),
        }

    return {
        "route": found.route and (found.route.name or found.route.id),
        "service": found.service and (found.service.name or found.service.id),
        "consumer": found.consumer and (found.consumer.username or found.consumer.id),
        "prefix": found.prefix,
        "captures": dict(found.captures),
        "plugins": [shown(placed) for placed in found.plugins],
        "outweighed": [shown(placed) for placed in found.outweighed],
        "upstream": {"uri": found.upstream_uri, "host": found.upstream_host, "targets": list(found.targets)},
        "other_routes": [{"route": missed.route, "reason": missed.reason} for missed in found.missed],
    }
