"""tollhouse start: serves a configuration in the foreground."""

import logging
import os
import sys
from functools import partial
from pathlib import Path

import click

from tollhouse.cli.announce import announce_node
from tollhouse.cli.options import allow_missing_plugins, prefix
from tollhouse.cli.output import fail_config
from tollhouse.config.database import database_server
from tollhouse.config.settings import Settings, from_environment
from tollhouse.config.unheeded import unheeded
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.plugins import Registry
from tollhouse.supervisor.configuration import Source, at_start
from tollhouse.supervisor.database import first_snapshot
from tollhouse.supervisor.environment import kept_private, llm_gateway
from tollhouse.supervisor.instances import Instance, recorded
from tollhouse.supervisor.last_good import LastGood
from tollhouse.telemetry import error_log

log = logging.getLogger("tollhouse")


@click.command("start")
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Declarative file (YAML or JSON). Without one and without a database, an LLM gateway is served "
    "from the provider keys in the environment, or from the embedded model.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Worker processes; 1 runs everything in one process."
)
@prefix
@allow_missing_plugins
def command(file: Path | None, workers: int | None) -> None:
    """Serve a configuration in the foreground.

    SIGTERM lets requests finish and ends the node; SIGHUP reads the configuration again.
    """
    try:
        settings = from_environment()
        if workers is not None:
            os.environ["TOLLHOUSE_NGINX_WORKER_PROCESSES"] = str(workers)
            settings = from_environment()
        error_log.set_up(settings.log_level, settings.proxy_error_log, settings.admin_error_log)
        source = _source(settings, file)
        if source.generate is not None:
            settings = kept_private(settings, os.environ)
        sys.exit(run(settings, source, single=workers == 1))
    except ConfigErrors as errors:
        fail_config(errors)


def run(settings: Settings, source: Source, *, single: bool = False) -> int:
    """Checks the configuration and runs the node; returns the exit code. Raises `ConfigErrors`."""
    from tollhouse.supervisor.supervise import Supervisor

    registry = Registry.of(settings)
    for unknown in registry.unknown:
        log.warning("KONG_PLUGINS names an unknown plugin: %s", unknown)
    for variable, reason, missed in unheeded(os.environ):
        log.log(logging.WARNING if missed else logging.INFO, "%s has no effect: %s", variable, reason)
    if source.database is not None:
        snapshot = first_snapshot(settings, registry)
    else:
        snapshot = at_start(source, settings, registry)
    supervisor = Supervisor(settings, source, snapshot)
    settings = supervisor.settings
    instance = Instance(
        os.getpid(),
        tuple(map(str, settings.proxy_listen)),
        tuple(map(str, settings.admin_listen)),
        str(source.file) if source.file is not None else source.database or "environment",
        settings.allow_missing_plugins,
        settings.plugins,
        tuple(map(str, settings.plugins_path)),
    )
    announce = partial(announce_node, settings, source)
    with recorded(settings.prefix, instance):
        return supervisor.run_single(announce) if single else supervisor.run(announce)


def _source(settings: Settings, file: Path | None) -> Source:
    """What `-c` names, else what the environment does, else the providers whose keys it holds unless it
    asks for Kong's DB-less mode."""
    if settings.database != "off":
        return _database(settings, file)
    if file is None and settings.declarative_config is not None:
        file = Path(settings.declarative_config)
    if file is not None:
        return Source(file=file.absolute())
    if settings.declarative_config_string is not None:
        return Source(text=settings.declarative_config_string)
    if "KONG_DATABASE" in os.environ:  # as in Kong, a node without a database waits to be told
        return Source(posted=LastGood(settings.prefix, settings.prefix / "config"))
    return Source(generate=lambda: llm_gateway(os.environ))


def _database(settings: Settings, file: Path | None) -> Source:
    """The database, with which no file competes. Raises `ConfigErrors`."""
    text = (
        f"KONG_DATABASE is '{settings.database}', so the configuration is in the database: "
        "bring the file into it with 'tollhouse config sync'"
    )
    if file is not None:
        raise ConfigErrors([ConfigError("-c", text)])
    for name in ("declarative_config", "declarative_config_string"):
        if getattr(settings, name) is not None:  # which Kong passes over too
            log.warning("KONG_%s has no effect: %s", name.upper(), text)
    return Source(database=str(database_server(settings)))
