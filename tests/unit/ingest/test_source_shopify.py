"""Shopify: what its topics mean; above all, whose amount a refund is."""

from typing import Any

import pytest

from services.ingest.sources import Translated
from services.ingest.sources.shopify.commerce import translated


def price(amount: str, currency: str = "EUR", presented: str | None = None) -> dict[str, Any]:
    return {
        "shop_money": {"amount": amount, "currency_code": currency},
        "presentment_money": {"amount": amount, "currency_code": presented or currency},
    }


def transaction(amount: object, **changes: object) -> dict[str, Any]:
    return {"id": 1, "kind": "refund", "status": "success", "amount": amount, "currency": "EUR", **changes}


def refund(*transactions: object, **changes: object) -> Translated:
    payload = {"id": 7, "order_id": 1001, "note": "late", "transactions": list(transactions), **changes}
    (event,) = translated("refunds/create", payload)
    return event


def test_a_refund_is_the_sum_of_its_own_transactions() -> None:
    event = refund(transaction("75.00"), transaction("10.50"))
    assert event.type == "order.refunded"
    assert event.subject == "1001"
    assert event.data == {
        "order_id": "1001",
        "refund_id": "7",
        "amount_minor": 8550,
        "currency": "EUR",
        "reason": "late",
    }


def test_failed_tries_and_other_kinds_do_not_count_and_pending_ones_do() -> None:
    event = refund(
        transaction("75.00", status="failure"),
        transaction("75.00", status="error"),
        transaction("20.00", kind="void"),
        transaction("5.00", status="pending"),
    )
    assert event.data["amount_minor"] == 500


def test_goods_that_come_back_without_money_are_a_refund_of_nothing() -> None:
    event = refund(total_duties_set=price("0.00"))
    assert (event.type, event.data["amount_minor"], event.data["currency"]) == ("order.refunded", 0, "EUR")


def test_where_transactions_name_no_currency_the_refunds_prices_do() -> None:
    lines = [{"subtotal_set": price("5.00"), "total_tax_set": price("0.00")}]
    assert refund(transaction("5.00", currency=None), refund_line_items=lines).data["currency"] == "EUR"


@pytest.mark.parametrize(
    "event",
    [
        refund(transaction("5.00", currency=None)),
        refund(transaction("5.00", currency=None), total_duties_set=price("0", "EUR", presented="USD")),
        refund(transaction("5.00"), transaction("5.00", currency="USD")),
        refund(transaction("5.00"), transaction("5,00")),
        refund(transaction("5.00"), transaction(5.5)),
        refund(transaction("5.00"), transaction("5.00", status=None)),
        refund(transaction("5.00"), 7),
        refund(transaction("5.005")),
        refund(transaction("-5.00")),
        refund(transaction("5.00"), order_id=None),
        refund(transaction("5.00"), id=None),
        refund(transactions=None),
        refund(transactions={}),
        refund(),
        refund(*[transaction("90071992547409.91")] * 2),
    ],
)
def test_half_a_sum_is_never_stated(event: Translated) -> None:
    assert event.type == "shopify.refunds.create"
    assert "lacks the fields" in str(event.data["note"])
    assert "amount_minor" not in event.data


ORDER = {
    "id": 820982911946154508,
    "name": "#9999",
    "total_price": "404.95",
    "currency": "USD",
    "created_at": "2026-01-01T00:00:00-05:00",
    "customer": {"id": 115310627314723954, "email": "john@example.com"},
    "line_items": [{}, {}],
    "test": False,
}


def order(**changes: object) -> Translated:
    (event,) = translated("orders/create", {**ORDER, **changes})
    return event


def test_an_order_keeps_every_digit_of_its_ids() -> None:
    event = order()
    assert event.type == "order.created"
    assert event.data == {
        "order_id": "820982911946154508",
        "order_name": "#9999",
        "amount_minor": 40495,
        "currency": "USD",
        "customer_id": "115310627314723954",
        "email": "john@example.com",
        "line_count": 2,
        "test": False,
    }
    assert event.time is not None
    assert event.time.isoformat() == "2026-01-01T05:00:00+00:00"


def test_without_a_plain_total_the_shops_money_counts() -> None:
    assert order(total_price=None, total_price_set=price("1500", "JPY")).data["amount_minor"] == 1500


@pytest.mark.parametrize("changes", [{"id": None}, {"total_price": "free"}, {"currency": "XXX"}, {"currency": 5}])
def test_an_order_that_cannot_be_read_is_kept_with_a_note(changes: dict[str, object]) -> None:
    event = order(**changes)
    assert event.type == "shopify.orders.create"
    assert "lacks the fields" in str(event.data["note"])


def test_unknown_customers_have_no_null_fields() -> None:
    (event,) = translated("customers/create", {"id": 5, "email": None, "first_name": "Ada", "last_name": None})
    assert event.data == {"customer_id": "5", "name": "Ada"}


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("products/update", "shopify.products.update"),
        ("customer.tags_added", "shopify.customer.tags_added"),
        ("app/scopes_update", "shopify.app.scopes_update"),
        ("ORDERS/CREATE", "order.created"),
        ("a b/ç", "shopify.a_b._"),
        ("", "shopify"),
        (None, "shopify.received"),
    ],
)
def test_both_spellings_of_topics(topic: str | None, kind: str) -> None:
    (event,) = translated(topic, ORDER)
    assert event.type == kind
