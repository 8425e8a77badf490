"""Error logs: where the node's own log lines go, and what they look like (nginx's manner)."""

import logging
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Final

from tollhouse.errors import ConfigError, ConfigErrors

#: Kong's log levels as Python's
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "crit": logging.CRITICAL,
    "alert": logging.CRITICAL,
    "emerg": logging.CRITICAL,
}
_NAMES: Final = {logging.WARNING: "warn", logging.CRITICAL: "crit"}
#: what belongs to the Admin API's log
_ADMIN: Final = ("tollhouse.admin", "tollhouse.control")


class _Formatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(kong)s] %(process)d#0: %(name)s: %(message)s", "%Y/%m/%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        record.kong = _NAMES.get(record.levelno, record.levelname.lower())
        return super().format(record)


def set_up(level: str, proxy: str = "/dev/stderr", admin: str = "/dev/stderr") -> None:
    """Opens the logs. The processes that are started later have them, too. Raises `ConfigErrors`."""
    handler = _handler(proxy, "KONG_PROXY_ERROR_LOG")
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)
    other = handler if admin == proxy else _handler(admin, "KONG_ADMIN_ERROR_LOG")
    for name in _ADMIN:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [other], False


def set_level(level: str) -> None:
    """Lets the logs of this process hold another level and those above."""
    logging.getLogger().setLevel(_LEVELS[level])


def _handler(path: str, variable: str) -> logging.Handler:
    handler: logging.Handler
    if path == "/dev/stderr":
        handler = logging.StreamHandler(sys.stderr)
    elif path == "/dev/stdout":
        handler = logging.StreamHandler(sys.stdout)
    else:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            handler = WatchedFileHandler(path, encoding="utf-8")
        except OSError as error:
            reason = f"cannot write to {path}: {error.strerror}"
            raise ConfigErrors([ConfigError(variable, reason)]) from error
    handler.setFormatter(_Formatter())
    return handler
