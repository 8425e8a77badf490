"""Running instances of this user, so that `tollhouse stop` and `reload` find them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec


class Instance(msgspec.Struct, frozen=True):
    """A running node: its supervisor's pid, where it listens, what it was started from."""

    pid: int
    proxy: tuple[str, ...]
    admin: tuple[str, ...]
    configuration: str
    allow_missing_plugins: bool = False
    #: the names of `plugins`, and the folders of `plugins_path`
    plugins: tuple[str, ...] = ()
    plugins_path: tuple[str, ...] = ()

    @property
    def has_file(self) -> bool:
        """Whether it was started from a declarative file."""
        return self.configuration != "environment" and not self.configuration.startswith("postgres://")


@contextmanager
def recorded(prefix: Path, instance: Instance) -> Iterator[None]:
    """Keeps a record of the instance while it runs."""
    path = record_of(prefix, instance.pid)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(msgspec.json.encode(instance))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def record_of(prefix: Path, pid: int) -> Path:
    """The record of an instance: its supervisor writes it, and reads what `reload` wishes in it."""
    return prefix / "run" / f"{pid}.json"


def allow_missing_plugins(prefix: Path, instance: Instance) -> None:
    """Lets a running instance accept plugins that it does not know, from its next reload on."""
    path = record_of(prefix, instance.pid)
    wished = path.with_suffix(".new")
    wished.write_bytes(msgspec.json.encode(msgspec.structs.replace(instance, allow_missing_plugins=True)))
    wished.replace(path)


def allows_missing_plugins(record: Path) -> bool:
    """Whether an instance was started, or told by a reload, to accept plugins that it does not know."""
    try:
        return msgspec.json.decode(record.read_bytes(), type=Instance).allow_missing_plugins
    except (OSError, msgspec.DecodeError):
        return False


def running(prefix: Path) -> list[Instance]:
    """The instances that are alive; records of others are removed."""
    found = []
    for path in sorted((prefix / "run").glob("*.json")):
        try:
            instance = msgspec.json.decode(path.read_bytes(), type=Instance)
        except (OSError, msgspec.DecodeError):
            continue
        if is_alive(instance.pid):
            found.append(instance)
        else:
            path.unlink(missing_ok=True)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process of that pid exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    status = Path(f"/proc/{pid}/stat")
    if status.exists():
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    return True
