"""What a contender has to say about itself."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from benchmarks.tools import NotAvailable
from benchmarks.workloads import Config, Request, Workload


@dataclass(frozen=True, slots=True)
class Site:
    """Where it is to run: an empty folder, two free ports, and the fake model server's port."""

    folder: Path
    port: int
    second_port: int
    upstream: int
    workload: Workload

    @property
    def upstream_url(self) -> str:
        return f"http://127.0.0.1:{self.upstream}"

    def write(self, name: str, text: str | Config) -> Path:
        path = self.folder / name
        path.write_text(text if isinstance(text, str) else json.dumps(text, indent=1))
        return path


@dataclass(frozen=True, slots=True)
class Launch:
    """How it is started, when it is ready, and the request that it understands."""

    argv: Sequence[str]
    request: Request
    env: Mapping[str, str] = field(default_factory=dict)
    ready_urls: Sequence[str] = ()
    port_file: Path | None = None  # for one that chooses its port itself


class Contender(ABC):
    name: ClassVar[str]
    title: ClassVar[str]
    only_llm: ClassVar[bool] = False
    version = ""
    reason = ""  # why it cannot take part

    def prepare(self) -> None:
        try:
            self.version = self.install()
        except NotAvailable as reason:
            self.reason = str(reason)

    @abstractmethod
    def install(self) -> str:
        """Make it runnable and return its version, or raise NotAvailable."""

    @abstractmethod
    def launch(self, site: Site) -> Launch:
        """Write its configuration into the folder and say how to start it."""

    def takes(self, workload: Workload) -> bool:
        return workload.for_llm or not self.only_llm
