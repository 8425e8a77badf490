"""Counting in workers, adding up in control, and the text that Prometheus reads."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.telemetry.metrics import Count, Gathered, Metrics, Series, gauge_lines, number


def over_the_wire(changes: list[Series]) -> list[Series]:
    """As control gets them from a worker."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(changes), type=list[Series])


def test_what_was_handed_over_is_counted_once() -> None:
    metrics, gathered = Metrics(), Gathered()
    series = metrics.counter("requests_total", "Requests", ("code",)).series(("200",))
    series.value += 2
    gathered.add(over_the_wire(metrics.hand_over()))
    gathered.add(over_the_wire(metrics.hand_over()))
    series.value += 3
    gathered.add(over_the_wire(metrics.hand_over()))

    assert gathered.render() == [
        "# HELP requests_total Requests",
        "# TYPE requests_total counter",
        'requests_total{code="200"} 5',
    ]


class Calls:
    """What is counted once and told by two series."""

    def __init__(self, *series: Count) -> None:
        self.made = 0
        self._series = series

    def pour(self) -> None:
        for each in self._series:
            each.value += self.made
        self.made = 0


def test_sums_are_poured_into_their_series_once() -> None:
    metrics, gathered = Metrics(), Gathered()
    series = [metrics.counter(name, "", ()).series(()) for name in ("calls", "calls_of_role")]
    for made in (2, 3):
        metrics.sums("calls", lambda: Calls(*series)).made += made
        gathered.add(metrics.hand_over())
    gathered.add(metrics.hand_over())

    assert {"calls 5", "calls_of_role 5"} <= set(gathered.render())


def test_what_a_dead_worker_had_counted_stays() -> None:
    gathered = Gathered()
    for worker in range(3):  # each one a process that replaces the one before
        metrics = Metrics()
        metrics.counter("c", "", ()).series(()).value += worker + 1
        metrics.histogram("h", "", (), (10,)).series(())[worker * 10] += 1
        gathered.add(over_the_wire(metrics.hand_over()))

    assert gathered.render()[-4:] == ['h_bucket{le="10"} 2', 'h_bucket{le="+Inf"} 3', "h_count 3", "h_sum 30"]
    assert "c 6" in gathered.render()


def test_a_histogram_counts_a_value_in_all_buckets_that_hold_it() -> None:
    metrics, gathered = Metrics(), Gathered()
    latency = metrics.histogram("latency_ms", "Latency", ("route",), (1, 5, 10.5)).series(("r",))
    for value in (0, 1, 2, 5, 6, 11):
        latency[value] += 1
    gathered.add(metrics.hand_over())

    assert gathered.render()[2:] == [
        'latency_ms_bucket{route="r",le="1"} 2',
        'latency_ms_bucket{route="r",le="5"} 4',
        'latency_ms_bucket{route="r",le="10.5"} 5',
        'latency_ms_bucket{route="r",le="+Inf"} 6',
        'latency_ms_count{route="r"} 6',
        'latency_ms_sum{route="r"} 25',
    ]


def test_any_number_of_different_values_is_counted() -> None:
    metrics, gathered = Metrics(), Gathered()
    latency = metrics.histogram("latency_ms", "Latency", (), (999.5,)).series(())
    for value in (*range(2000), 7, 7.5):
        latency[value] += 1
    assert len(latency) < 300
    gathered.add(metrics.hand_over())

    assert gathered.render()[2:] == [
        'latency_ms_bucket{le="999.5"} 1002',
        'latency_ms_bucket{le="+Inf"} 2002',
        "latency_ms_count 2002",
        "latency_ms_sum 1999014.5",
    ]


def test_asking_twice_gives_one_metric_and_one_series() -> None:
    metrics = Metrics()

    assert metrics.counter("c", "", ("a",)) is metrics.counter("c", "", ("a",))
    assert metrics.counter("c", "", ("a",)).series(("x",)) is metrics.counter("c", "", ("a",)).series(("x",))


def test_a_metric_that_nothing_was_counted_in_is_not_shown() -> None:
    metrics, gathered = Metrics(), Gathered()
    metrics.counter("c", "", ("a",)).series(("x",))
    gathered.add(metrics.hand_over())

    assert gathered.render() == []


def test_labels_cannot_break_out_of_their_quotes() -> None:
    metrics, gathered = Metrics(), Gathered()
    metrics.counter("c", "", ("name",)).series(('a"b\\c\nd',)).value += 1
    gathered.add(metrics.hand_over())

    assert gathered.render()[-1] == 'c{name="a\\"b\\\\c\\nd"} 1'


def test_gauges_and_numbers() -> None:
    assert gauge_lines("g", "Help", [({"a": 1}, 2.5), ({}, 3.0)]) == [
        "# HELP g Help",
        "# TYPE g gauge",
        'g{a="1"} 2.5',
        "g 3",
    ]
    assert number(1e-9) == "1e-09"


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.integers(1, 9)), max_size=60))
def test_however_workers_hand_over_the_sum_is_right(counted: list[tuple[int, str, int]]) -> None:
    workers, gathered = [Metrics() for _ in range(4)], Gathered()
    expected: dict[str, int] = {}
    for worker, label, amount in counted:
        workers[worker].counter("c", "", ("l",)).series((label,)).value += amount
        expected[label] = expected.get(label, 0) + amount
        if amount % 2:
            gathered.add(over_the_wire(workers[worker].hand_over()))
    for metrics in workers:
        gathered.add(over_the_wire(metrics.hand_over()))

    lines = [line for line in gathered.render() if not line.startswith("#")]
    assert lines == [f'c{{l="{label}"}} {expected[label]}' for label in sorted(expected)]
