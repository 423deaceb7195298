"""What OpenTelemetry collected, as the text that Prometheus scrapes (format 0.0.4). Pure.

The SDK's own exporter to Prometheus is in beta, and brings a registry of its own for the sake of these thirty lines.
"""

from collections.abc import Iterator, Mapping

from opentelemetry.sdk.metrics.export import Gauge, Metric, MetricsData, NumberDataPoint, Sum

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(data: MetricsData | None) -> str:
    """Counters and gauges, each with its help; a metric that has no value is left out."""
    if data is None:
        return ""
    metrics = [
        metric for resource in data.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    ]
    return "".join(line for metric in sorted(metrics, key=lambda each: each.name) for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    match metric.data:
        case Sum(data_points=points):
            name, kind = f"{metric.name}_total", "counter"
        case Gauge(data_points=points):
            name, kind = metric.name, "gauge"
        case _:
            raise ValueError(f"{metric.name}: only sums and gauges have a place on the page")
    yield f"# HELP {name} {_escaped(metric.description or '')}\n# TYPE {name} {kind}\n"
    for point in points:
        if isinstance(point, NumberDataPoint):
            yield f"{name}{_labels(point.attributes or {})} {point.value:.15g}\n"


def _labels(attributes: Mapping[str, object]) -> str:
    if not attributes:
        return ""
    pairs = (f'{name}="{_escaped(str(value), quoted=True)}"' for name, value in attributes.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(text: str, *, quoted: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quoted else text
