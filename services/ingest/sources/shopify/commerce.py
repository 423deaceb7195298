"""What a Shopify topic means on the platform: `order.created`, `order.refunded`, `customer.created`, else itself.

Amounts are the shop's currency, as text in the payload; see `money.py`.
"""

from collections.abc import Callable, Iterator

from services.ingest.sources import Translated
from services.ingest.sources.money import AMOUNT_MINOR_MAX, Money, currency_code, from_decimal
from services.ingest.sources.reading import event_type, identifier, member, moment, present, text, untranslated
from services.ingest.sources.signing import printable

_COUNTED_STATUSES = ("success", "pending")


def translated(topic: str | None, payload: object) -> tuple[Translated, ...]:
    """The platform events of a payload that came under a topic (`orders/create`, `customer.tags_added`)."""
    subject = identifier(payload, "id") or text(payload, "admin_graphql_api_id")
    if topic is None:
        return untranslated("shopify.received", subject=subject, note="the header X-Shopify-Topic was missing")
    known = _TRANSLATIONS.get(topic.lower())
    meaning = known(payload) if known is not None else None
    if meaning is not None:
        return (meaning,)
    return untranslated(
        event_type("shopify", topic.replace("/", ".")),
        subject=subject,
        time=moment(payload, "updated_at") or moment(payload, "created_at"),
        topic=printable(topic),
        note=f"{topic} lacks the fields of its platform event" if known is not None else None,
    )


def _order_created(order: object) -> Translated | None:
    order_id = identifier(order, "id")
    money = from_decimal(member(order, "total_price"), member(order, "currency")) or from_decimal(
        member(order, "total_price_set", "shop_money", "amount"),
        member(order, "total_price_set", "shop_money", "currency_code"),
    )
    if order_id is None or money is None:
        return None
    test = member(order, "test")
    lines = member(order, "line_items")
    return Translated(
        type="order.created",
        subject=order_id,
        time=moment(order, "created_at"),
        data=present(
            order_id=order_id,
            order_name=text(order, "name"),
            amount_minor=money.amount_minor,
            currency=money.currency,
            customer_id=identifier(order, "customer", "id"),
            email=text(order, "email") or text(order, "customer", "email"),
            line_count=len(lines) if isinstance(lines, list) else None,
            test=test if isinstance(test, bool) else None,
        ),
    )


def _order_refunded(refund: object) -> Translated | None:
    refund_id, order_id = identifier(refund, "id"), identifier(refund, "order_id")
    money = _refund_money(refund)
    if refund_id is None or order_id is None or money is None:
        return None
    return Translated(
        type="order.refunded",
        subject=order_id,
        time=moment(refund, "created_at"),
        data=present(
            order_id=order_id,
            refund_id=refund_id,
            amount_minor=money.amount_minor,
            currency=money.currency,
            reason=text(refund, "note"),
        ),
    )


def _refund_money(refund: object) -> Money | None:
    """What this refund gives back: the sum of its own refund transactions that went through or are under way.

    None where a transaction cannot be read: half a sum would be a wrong sum.
    """
    transactions = member(refund, "transactions")
    if not isinstance(transactions, list):
        return None
    currency = _refund_currency(refund, transactions)
    total = 0
    for transaction in transactions:
        if text(transaction, "kind") != "refund" or text(transaction, "status") not in _COUNTED_STATUSES:
            if text(transaction, "kind") is None or text(transaction, "status") is None:
                return None
            continue
        money = from_decimal(member(transaction, "amount"), currency)
        if money is None:
            return None
        total += money.amount_minor
    if currency is None or total > AMOUNT_MINOR_MAX:
        return None
    return Money(amount_minor=total, currency=currency)


def _refund_currency(refund: object, transactions: list[object]) -> str | None:
    """The transactions' currency; where they name none, that of the refund's prices, if they all agree."""
    named = {currency_code(member(each, "currency")) for each in transactions} - {None}
    if not named:
        named = set(_price_currencies(refund))
    return named.pop() if len(named) == 1 else None


def _price_currencies(refund: object) -> Iterator[str | None]:
    sets = [member(refund, "total_duties_set")]
    for lines, names in (
        ("refund_line_items", ("subtotal_set", "total_tax_set")),
        ("order_adjustments", ("amount_set",)),
        ("refund_shipping_lines", ("subtotal_amount_set",)),
    ):
        found = member(refund, lines)
        sets += [member(line, name) for line in (found if isinstance(found, list) else []) for name in names]
    for each in sets:
        for side in ("shop_money", "presentment_money"):
            if (code := member(each, side, "currency_code")) is not None:
                yield currency_code(code)


def _customer_created(customer: object) -> Translated | None:
    customer_id = identifier(customer, "id")
    if customer_id is None:
        return None
    names = [name for name in (text(customer, "first_name"), text(customer, "last_name")) if name]
    return Translated(
        type="customer.created",
        subject=customer_id,
        time=moment(customer, "created_at"),
        data=present(
            customer_id=customer_id,
            email=text(customer, "email"),
            name=" ".join(names) or None,
            phone=text(customer, "phone"),
        ),
    )


_TRANSLATIONS: dict[str, Callable[[object], Translated | None]] = {
    "orders/create": _order_created,
    "refunds/create": _order_refunded,
    "customers/create": _customer_created,
}
