"""What a Stripe event means on the platform: `payment.succeeded`, `payment.failed`, `customer.created`, else itself."""

from collections.abc import Callable
from datetime import datetime

from services.ingest.sources import Translated
from services.ingest.sources.money import EXPONENTS, Money, currency_code, from_units
from services.ingest.sources.reading import event_type, identifier, member, moment, present, text, untranslated

# Where Stripe's unit is not ISO 4217's minor unit: kept at two digits for old integrations, or never divided.
_STRIPE_DIGITS = {"ISK": 2, "UGX": 2, "MGA": 0}


def translated(event: object) -> tuple[Translated, ...]:
    """The platform events of a Stripe event object."""
    kind = text(event, "type")
    happened = moment(event, "created")
    object_ = member(event, "data", "object")
    subject = text(object_, "id")
    if kind is None:
        return untranslated("stripe.received", subject=subject, time=happened, note="the event names no type")
    known = _TRANSLATIONS.get(kind)
    meaning = known(object_, happened) if known is not None else None
    if meaning is not None:
        return (meaning,)
    note = f"{kind} lacks the fields of its platform event" if known is not None else None
    return untranslated(event_type("stripe", kind), subject=subject, time=happened, note=note)


def _succeeded(intent: object, happened: datetime | None) -> Translated | None:
    """The amount is what was received: a capture may be of less than was authorised."""
    received = "amount_received" if member(intent, "amount_received") is not None else "amount"
    return _payment("payment.succeeded", intent, _money(intent, received), happened)


def _failed(intent: object, happened: datetime | None) -> Translated | None:
    error = member(intent, "last_payment_error")
    return _payment(
        "payment.failed",
        intent,
        _money(intent, "amount"),
        happened,
        failure_code=text(error, "code") or text(intent, "charges", "data", "0", "failure_code"),
        failure_message=text(error, "message") or text(intent, "charges", "data", "0", "failure_message"),
    )


def _payment(
    kind: str, intent: object, money: Money | None, happened: datetime | None, **more: str | None
) -> Translated | None:
    payment_id = identifier(intent, "id")
    if payment_id is None or money is None:
        return None
    return Translated(
        type=kind,
        subject=payment_id,
        time=happened,
        data=present(
            payment_id=payment_id,
            amount_minor=money.amount_minor,
            currency=money.currency,
            customer_id=identifier(intent, "customer") or identifier(intent, "customer", "id"),
            email=text(intent, "receipt_email"),
            **more,
        ),
    )


def _customer_created(customer: object, happened: datetime | None) -> Translated | None:
    customer_id = identifier(customer, "id")
    if customer_id is None:
        return None
    return Translated(
        type="customer.created",
        subject=customer_id,
        time=happened,
        data=present(
            customer_id=customer_id,
            email=text(customer, "email"),
            name=text(customer, "name"),
            phone=text(customer, "phone"),
        ),
    )


def _money(intent: object, amount: str) -> Money | None:
    code = currency_code(member(intent, "currency"))
    if code is None:
        return None
    return from_units(member(intent, amount), _STRIPE_DIGITS.get(code, EXPONENTS[code]), code)


_TRANSLATIONS: dict[str, Callable[[object, datetime | None], Translated | None]] = {
    "payment_intent.succeeded": _succeeded,
    "payment_intent.payment_failed": _failed,
    "customer.created": _customer_created,
}
