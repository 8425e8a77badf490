"""`python -m benchmarks`: Tollhouse beside its peers, in one run."""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence

from benchmarks import chart, options, report
from benchmarks.contenders import PEERS
from benchmarks.contenders.contender import Contender
from benchmarks.contenders.tollhouse import OtherCommand, Tollhouse
from benchmarks.measure import Plan, Row, measure
from benchmarks.process import Cores
from benchmarks.tools import NotAvailable, from_debian
from benchmarks.workloads import WORKLOADS


def main() -> int:
    chosen = options.parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is stopped
    try:
        for needed in ("wrk", "nginx"):
            from_debian(needed)
    except NotAvailable as reason:
        print(f"wrk and nginx are needed (apt-get install wrk nginx-light): {reason}", file=sys.stderr)
        return 2
    plan = _plan(chosen)
    print(f"{plan.cores}; {report.describe(plan)}", flush=True)
    results = _run(_contenders(chosen), chosen.workloads, plan)
    _write(results, plan, chosen)
    print("Targets\n", *report.targets(results), sep="\n")
    return 1 if chosen.check and _has_failed(results) else 0


def _run(contenders: Sequence[Contender], names: Sequence[str], plan: Plan) -> dict[str, list[Row]]:
    for contender in contenders:
        contender.prepare()
    results = {}
    for workload in WORKLOADS:
        if workload.name in names:
            rows = measure(workload, [each for each in contenders if each.takes(workload)], plan)
            results[workload.name] = rows
            print(f"\n{workload.title}\n\n{report.table(workload, rows)}", flush=True)
    return results


def _write(results: report.Results, plan: Plan, chosen: argparse.Namespace) -> None:
    name = "quick" if chosen.quick else "latest"
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    chosen.results.mkdir(parents=True, exist_ok=True)
    file = chosen.results / name
    file.with_suffix(".json").write_text(report.as_json(results, plan, command))
    file.with_suffix(".md").write_text(report.markdown(results, plan, command, picture=f"{name}.svg"))
    file.with_suffix(".svg").write_text(chart.draw(results))


def _has_failed(results: report.Results) -> bool:
    ours = [row for rows in results.values() for row in rows if row.contender == "tollhouse"]
    missed = any(target.is_met is False for target in report.targets(results))
    return missed or any(row.reason or row.errors for row in ours)


def _contenders(chosen: argparse.Namespace) -> list[Contender]:
    ours = OtherCommand(chosen.tollhouse_command) if chosen.tollhouse_command else Tollhouse()
    return [ours, *(PEERS[name]() for name in chosen.peers)]


def _plan(chosen: argparse.Namespace) -> Plan:
    return Plan(
        seconds=chosen.duration,
        warm_up_seconds=chosen.warm_up,
        connections=chosen.connections,
        repeat=chosen.repeat,
        stream_writes=chosen.stream_writes,
        stream_pause_ms=chosen.stream_pause_ms,
        cores=Cores.of_this_machine(),
    )


if __name__ == "__main__":
    sys.exit(main())
