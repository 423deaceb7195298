"""A process's metrics as OpenTelemetry's instruments collect them. Next: `prometheus.py`, the page."""

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from shared.telemetry.metrics import CATALOGUE, Metric, Metrics
from shared.telemetry.prometheus import render


class MetricsPage:
    """Made once for a process's `Metrics`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reader = InMemoryMetricReader()
        provider = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)
        meter = provider.get_meter("upshot")
        for metric in CATALOGUE:
            create = meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
            create(metric.name, [self._observer(metric)], metric.unit, metric.description)

    def text(self) -> str:
        """As Prometheus reads it."""
        return render(self._reader.get_metrics_data())

    def _observer(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, dict(labels)) for labels, value in self._metrics.values(metric).items()]

        return observe
