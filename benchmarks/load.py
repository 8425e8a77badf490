"""Put load on a server: wrk for plain answers, our own client for streams. Both report the same."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.process import pinned
from benchmarks.tools import ROOT, NotAvailable, from_debian, libraries
from benchmarks.workloads import Request

HERE: Final = Path(__file__).resolve().parent
# wrk waits this long for an answer; also how long a run may exceed its duration.
PATIENCE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Load:
    """What one run did. The first_ times are those of a stream's first event."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    first_p50_ms: float | None = None
    first_p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard, how long, from where."""

    connections: int
    seconds: int
    core: int


def post(port: int, request: Request, effort: Effort) -> Load:
    """Send this request again and again."""
    headers = [f"{name}: {value}" for name, value in request.all_headers.items()]
    return wrk("post.lua", port, request.path, [request.body.decode(), *headers], effort)


def wrk(script: str, port: int, path: str, arguments: Sequence[str], effort: Effort) -> Load:
    binary = from_debian("wrk")
    size = ("-t1", f"-c{effort.connections}", f"-d{effort.seconds}s", f"--timeout={PATIENCE_SECONDS}s")
    url = f"http://127.0.0.1:{port}{path}"
    return _report((str(binary), *size, "-s", str(HERE / script), url, "--", *arguments), effort)


def stream(port: int, request: Request, effort: Effort) -> Load:
    """Take whole streams, one after the other on each connection."""
    client = (sys.executable, "-m", "benchmarks.stream_client", str(port))
    return _report((*client, str(effort.connections), str(effort.seconds)), effort, given=request.encode())


def _report(argv: Sequence[str], effort: Effort, *, given: bytes = b"") -> Load:
    """Run it, and read the line of JSON that it ends with."""
    patience = effort.seconds + PATIENCE_SECONDS
    try:
        run = subprocess.run(
            pinned(effort.core, argv),
            cwd=ROOT,
            env=os.environ | libraries(Path(argv[0])),
            input=given,
            capture_output=True,
            check=True,
            timeout=patience,
        )
    except subprocess.TimeoutExpired as error:
        raise NotAvailable(f"the load did not end within {patience} s") from error
    except subprocess.CalledProcessError as error:
        raise NotAvailable(f"the load failed: {error.stderr.decode(errors='replace')[-160:]}") from error
    return Load(**json.loads(run.stdout.splitlines()[-1]))
