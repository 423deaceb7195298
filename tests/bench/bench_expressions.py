"""Microseconds of conditions and templates on a small context, on one of 5.7 KB, and on one of 100 KB.

Run: python tests/bench/bench_expressions.py
"""

import json
import sys
import timeit
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.expressions import canonical_json, compile_condition, compile_template
from shared.expressions.conditions import _compile
from shared.expressions.template_checks import _parsed

SMALL: dict[str, object] = {
    "event": {
        "id": "e1",
        "type": "order.refunded",
        "subject": "order/1001",
        "data": {
            "amount_minor": 12500,
            "currency": "EUR",
            "customer": {"email": "ada@example.com", "vip": True},
            "items": [{"sku": f"SKU-{i}", "quantity": i, "price_minor": 100 * i} for i in range(1, 4)],
        },
    },
    "inputs": {"limit": 10000},
}


def grown(lines: int) -> dict[str, object]:
    """The small context with the vendor's payload beside it."""
    line = {"id": 1, "title": "A thing of some length", "sku": "SKU-1", "price": "12.50", "tags": ["a", "b", "c"]}
    event = SMALL["event"]
    assert isinstance(event, dict)
    raw = {"line_items": [{**line, "id": i} for i in range(lines)]}
    return {**SMALL, "event": {**event, "data": {**event["data"], "raw": raw}}}


CONTEXTS = {"small": SMALL, "5.7 KB": grown(55), "100 KB": grown(1040)}

CONDITIONS = {
    "one comparison": "event.data.currency == 'EUR'",
    "three comparisons": "event.data.amount_minor > inputs.limit && event.data.currency == 'EUR' && event.data.customer.vip",
    "exists over 3 items": "event.data.items.exists(i, i.sku == 'SKU-2' && i.quantity > 1)",
    "a regular expression": "event.data.customer.email.matches('^[a-z]+@example[.]com$')",
    "a missing path (an error)": "event.data.nope == 1",
}
TEMPLATES: dict[str, object] = {
    "constant": {"text": "hello", "list": [1, 2, 3]},
    "one whole leaf": "{{ event.data.amount_minor }}",
    "one text": "Refund of {{ event.data.amount_minor | money: event.data.currency }} for {{ event.subject }}",
    "a typical body of 6 leaves": {
        "text": "Refund of {{ event.data.amount_minor | money: event.data.currency }} for {{ event.subject }}",
        "amount": "{{ event.data.amount_minor }}",
        "customer": {"email": "{{ event.data.customer.email | downcase }}", "vip": "{{ event.data.customer.vip }}"},
        "items": "{{ event.data.items }}",
        "note": "{{ event.data.note | default: 'none' }}",
        "kind": "refund",
    },
    "a loop over 3 items": "{% for i in event.data.items %}{{ i.quantity }} x {{ i.sku }}\n{% endfor %}",
}


def microseconds(function: Callable[[], object]) -> float:
    timer = timeit.Timer(function)
    number, _ = timer.autorange()
    return min(timer.repeat(repeat=5, number=max(number // 4, 1))) / max(number // 4, 1) * 1e6


def main() -> None:
    sizes = {name: len(json.dumps(context)) for name, context in CONTEXTS.items()}
    print(f"{'':34}" + "".join(f"{f'{name} ({sizes[name]} B)':>20}" for name in CONTEXTS))
    for name, text in CONDITIONS.items():
        condition = compile_condition(text)
        row = [microseconds(lambda c=context, e=condition: e.evaluate(c)) for context in CONTEXTS.values()]  # type: ignore[misc]
        print(f"condition: {name:23}" + "".join(f"{figure:17.1f} µs" for figure in row))
    for name, document in TEMPLATES.items():
        template = compile_template(document)
        row = [microseconds(lambda c=context, t=template: t.render(c)) for context in CONTEXTS.values()]  # type: ignore[misc]
        print(f"template: {name:24}" + "".join(f"{figure:17.1f} µs" for figure in row))
    row = [microseconds(lambda c=context: canonical_json(c)) for context in CONTEXTS.values()]  # type: ignore[misc]
    print(f"{'canonical JSON of the context':34}" + "".join(f"{figure:17.1f} µs" for figure in row))

    def compile_cold_condition() -> object:
        _compile.cache_clear()
        return compile_condition(CONDITIONS["three comparisons"])

    def compile_cold_template() -> object:
        _parsed.cache_clear()
        return compile_template(TEMPLATES["a typical body of 6 leaves"])

    print(
        f"compile a condition {microseconds(compile_cold_condition):.0f} µs, a body {microseconds(compile_cold_template):.0f} µs"
    )


if __name__ == "__main__":
    main()
