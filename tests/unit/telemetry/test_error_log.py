"""The node's own log: nginx's form, Kong's levels, a file of its own for the Admin API."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tollhouse.errors import ConfigErrors
from tollhouse.telemetry import error_log

LINE = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] \d+#0: (.*)")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Whatever a test sets up for logging is taken back."""
    loggers = [logging.getLogger(name) for name in ("", "tollhouse.admin", "tollhouse.control")]
    before = [(logger, list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def read(path: Path) -> list[tuple[str, str]]:
    found = (LINE.fullmatch(line) for line in path.read_text().splitlines())
    return [(each[1], each[2]) for each in found if each is not None]


def log_everything(name: str) -> None:
    logger = logging.getLogger(name)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logger.log(level, "hello")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warn", "error", "crit"]),
        ("info", ["info", "warn", "error", "crit"]),
        ("notice", ["info", "warn", "error", "crit"]),
        ("warn", ["warn", "error", "crit"]),
        ("error", ["error", "crit"]),
        ("crit", ["crit"]),
        ("alert", ["crit"]),
        ("emerg", ["crit"]),
    ],
)
def test_a_level_shows_itself_and_what_is_worse(level: str, shown: list[str], tmp_path: Path) -> None:
    error_log.set_up(level, str(tmp_path / "log"))

    log_everything("tollhouse.flow")

    assert read(tmp_path / "log") == [(word, "tollhouse.flow: hello") for word in shown]


def test_control_and_the_admin_api_have_a_log_of_their_own(tmp_path: Path) -> None:
    proxy, admin = tmp_path / "deep" / "error.log", tmp_path / "admin.log"
    error_log.set_up("error", str(proxy), str(admin))

    for name in ("tollhouse.worker", "tollhouse.admin", "tollhouse.control", "asyncio"):
        logging.getLogger(name).error("from %s", name)

    assert [text.partition(":")[0] for _, text in read(proxy)] == ["tollhouse.worker", "asyncio"]
    assert [text.partition(":")[0] for _, text in read(admin)] == ["tollhouse.admin", "tollhouse.control"]


def test_the_file_may_be_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "log"
    error_log.set_up("error", str(path), str(path))
    logging.getLogger("tollhouse.x").error("before")
    path.rename(tmp_path / "log.1")

    logging.getLogger("tollhouse.x").error("after")

    assert read(path) == [("error", "tollhouse.x: after")]


def test_a_file_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigErrors, match=r"KONG_PROXY_ERROR_LOG: cannot write to .*/file/log"):
        error_log.set_up("error", str(tmp_path / "file" / "log"))
