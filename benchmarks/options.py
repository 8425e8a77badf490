"""The command line of `python -m benchmarks`."""

import argparse
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from benchmarks.contenders import PEERS
from benchmarks.workloads import WORKLOADS

RESULTS: Final = Path(__file__).resolve().parent / "results"
QUICK: Final = {"peers": ["nginx"], "duration": 1, "repeat": 2, "warm_up": 0}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    workloads = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Tollhouse beside its peers.")
    add = parser.add_argument
    add("--quick", action="store_true", help="only nginx beside Tollhouse, short turns: a smoke test")
    add("--peers", type=_some_of(PEERS), default=list(PEERS), help=f"of {','.join(PEERS)} (all)")
    add("--workloads", type=_some_of(workloads), default=workloads, help=f"of {','.join(workloads)} (all)")
    add("--duration", type=int, default=5, metavar="SECONDS", help="of each turn (5)")
    add("--warm-up", type=int, default=8, metavar="SECONDS", help="before the first turn (8)")
    add("--repeat", type=int, default=3, metavar="TURNS", help="of each contender; medians are reported (3)")
    add("--connections", type=int, default=32, help="kept busy at once (32)")
    add("--stream-writes", type=int, default=10, metavar="COUNT", help="that a streamed answer comes in (10)")
    add("--stream-pause-ms", type=float, default=1.0, metavar="MS", help="between these writes (1)")
    add(
        "--tollhouse-command",
        metavar="COMMAND",
        help="measured in Tollhouse's place, {port}, {upstream} and {config} filled in",
    )
    add(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="FOLDER",
        help="for latest.* or quick.* (benchmarks/results)",
    )
    add("--check", action="store_true", help="fail when a target is missed")
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args(arguments)


def _some_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return chosen

    return names
