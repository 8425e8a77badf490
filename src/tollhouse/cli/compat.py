"""tollhouse compat: what of a configuration of Kong's would be the same, differ or be missing here."""

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
import msgspec

from tollhouse.cli.config.sources import Workbench, file_or_folder
from tollhouse.cli.output import fail_config, say
from tollhouse.errors import ConfigErrors
from tollhouse.review.compat import EntityReview, Report, review
from tollhouse.review.differences import Verdict
from tollhouse.supervisor.configuration import Source

_COLOURS: Final[dict[Verdict, str]] = {"same": "green", "differs": "yellow", "not supported": "red"}


@click.command("compat")
@file_or_folder
@click.option("--json", "as_json", is_flag=True, help="The report as JSON, every field of every entity.")
@click.option("--all", "everything", is_flag=True, help="Show fields that are the same, too.")
def command(path: Path, as_json: bool, everything: bool) -> None:
    """Tell what of a file for Kong 3.x, declarative or exported by decK, is the same here, differs or is not
    supported, and what to do then; exit code 1 if something is not supported."""
    bench = Workbench()
    try:
        text = bench.rendered(path).text if path.is_dir() else Source(file=path).read()
        report = review(
            text,
            file=str(path),
            plugins=bench.registry,
            flavor=bench.settings.router_flavor,
            environment=os.environ,
        )
    except ConfigErrors as errors:
        fail_config(errors)
    if as_json:
        say(msgspec.json.format(msgspec.json.encode(_document(report))).decode())
    else:
        for line in _tree(report, everything):
            say(line)
    if report.count("not supported"):
        sys.exit(1)


def _document(report: Report) -> dict[str, object]:
    entities = [{**asdict(entity), "verdict": entity.verdict} for entity in report.entities]
    return {
        "summary": {verdict: report.count(verdict) for verdict in _COLOURS},
        "entities": entities,
        "everywhere": report.everywhere,
    }


def _tree(report: Report, everything: bool) -> Iterator[str]:
    for entity in report.entities:
        depth = entity.path.count(".")
        same = sum(field.verdict == "same" for field in entity.fields)
        counted = f" ({same} field{'s' if same != 1 else ''})" if entity.verdict == "same" else ""
        verdict = click.style(entity.verdict, fg=_COLOURS[entity.verdict])
        name = f" {entity.name}" if entity.name and entity.name != entity.path else ""
        yield f"{'  ' * depth}{entity.path.rpartition('.')[2]}{name}: {verdict}{counted}"
        for line in _fields(entity, everything):
            yield f"{'  ' * depth}    {line}"
    yield ""
    yield "Whatever a file says:"
    yield from (f"  {text}" for text in report.everywhere)
    yield ""
    counts = (f"{report.count(verdict)} {verdict}" for verdict in _COLOURS)
    yield f"{len(report.entities)} entities: {', '.join(counts)}"


def _fields(entity: EntityReview, everything: bool) -> Iterator[str]:
    for field in entity.fields:
        if field.verdict == "same":
            if everything:
                yield f"{field.field}: same"
            continue
        verdict = click.style(field.verdict, fg=_COLOURS[field.verdict])
        yield f"{field.field or 'as a whole'}: {verdict}: {field.how}"
        if field.todo:
            yield f"    → {field.todo}"
