"""`/metrics`: every line is one that Prometheus' text format knows, numbers are what was counted, and no label is unbounded."""

import re
from collections import defaultdict

from shared.telemetry import metrics as catalogue
from shared.telemetry.collecting import MetricsPage
from shared.telemetry.metrics import CATALOGUE, Metric, Metrics, labels_of

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
HELP = re.compile(rf"# HELP ({NAME}) (?:[^\\\n]|\\[\\n])*")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge)")
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")

Samples = dict[str, dict[str, float]]


def parsed(page: str) -> Samples:
    """Name → labels → value. AssertionError where a line is none of the format's, or a metric's lines are not together."""
    found: Samples = defaultdict(dict)
    helped, typed, current = set(), {}, ""
    assert page.endswith("\n")
    for line in page.splitlines():
        if match := HELP.fullmatch(line):
            assert match[1] not in helped
            helped.add(match[1])
            current = match[1]
        elif match := TYPE.fullmatch(line):
            assert match[1] == current
            typed[match[1]] = match[2]
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            assert match[1] == current
            assert match[1].endswith("_total") == (typed[current] == "counter")
            assert match[2] not in found[match[1]]
            found[match[1]][match[2] or ""] = float(match[3])
    return found


def test_what_was_counted_stands_on_the_page() -> None:
    metrics = Metrics()
    metrics.add(catalogue.RECORDS_READ, 3, "upshot.events")
    metrics.add(catalogue.RECORDS_READ, 4, "upshot.events")
    metrics.add(catalogue.RECORDS_READ, 1, "upshot.runs")
    metrics.add(catalogue.APPEND_SECONDS, 0.000001)
    metrics.add(catalogue.APPENDS, 12345678)
    page = parsed(MetricsPage(metrics).text())
    assert page["upshot_records_read_total"] == {'topic="upshot.events"': 7, 'topic="upshot.runs"': 1}
    assert page["upshot_append_seconds_total"] == {"": 1e-6}
    assert page["upshot_appends_total"] == {"": 12345678}


def test_a_gauge_shows_what_is_now_and_forgets_what_was() -> None:
    metrics = Metrics()
    lags = {0: 5.0, 1: 2.0}
    metrics.show(
        catalogue.LAG, lambda: {labels_of(catalogue.LAG, "t", "g", str(each)): lag for each, lag in lags.items()}
    )
    assert parsed(MetricsPage(metrics).text())["upshot_lag_records"] == {
        'topic="t",group="g",partition="0"': 5,
        'topic="t",group="g",partition="1"': 2,
    }
    lags.pop(0)
    lags[1] = 0
    assert parsed(MetricsPage(metrics).text())["upshot_lag_records"] == {'topic="t",group="g",partition="1"': 0}


def test_values_of_labels_cannot_break_a_line() -> None:
    metrics = Metrics()
    metrics.add(catalogue.RECORDS_READ, 1, 'a"b\\c\nd')
    assert parsed(MetricsPage(metrics).text())["upshot_records_read_total"] == {r'topic="a\"b\\c\nd"': 1}


def test_the_catalogue_is_whole_and_bounded() -> None:
    constants = [each for each in vars(catalogue).values() if isinstance(each, Metric)]
    assert sorted(each.name for each in constants) == sorted(each.name for each in CATALOGUE)
    assert len({each.name for each in CATALOGUE}) == len(CATALOGUE)
    for each in CATALOGUE:
        assert each.name.startswith("upshot_")
        assert not each.name.endswith("_total")
        assert set(each.labels) <= {"topic", "group", "partition", "state", "type", "reason"}
