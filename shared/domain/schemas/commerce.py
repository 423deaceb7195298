"""Event types of orders, customers and payments: translated from vendors, or published by upstream services."""

from shared.domain.schemas.event_type import EventType, amount_minor, boolean, count, currency, data_schema, string

ORDER_CREATED = EventType(
    name="order.created",
    title="Order created",
    description="A customer placed an order. The subject is the order's id.",
    published_by=("shopify", "upstream services"),
    schema=data_schema(
        "order.created",
        required=("order_id", "amount_minor", "currency"),
        properties={
            "order_id": string("The order's id at the shop."),
            "order_name": string("The order's number as the customer sees it."),
            "amount_minor": amount_minor("The order's total, tax and shipping included, in the currency's minor unit."),
            "currency": currency(),
            "customer_id": string("The customer's id at the shop."),
            "email": string("Where the customer wants mail about the order."),
            "line_count": count("How many lines the order has."),
            "test": boolean("Whether the order is a trial without money."),
        },
    ),
    examples=(
        {
            "order_id": "820982911946154508",
            "order_name": "#9999",
            "amount_minor": 40495,
            "currency": "USD",
            "customer_id": "115310627314723954",
            "email": "jon@example.com",
            "line_count": 3,
            "test": False,
        },
        {"order_id": "1001", "amount_minor": 1500, "currency": "JPY"},
    ),
)

ORDER_REFUNDED = EventType(
    name="order.refunded",
    title="Order refunded",
    description="Money of an order goes back to the customer. The subject is the order's id; an order may be refunded "
    "several times, each with an event of its own.",
    published_by=("shopify", "upstream services"),
    schema=data_schema(
        "order.refunded",
        required=("order_id", "refund_id", "amount_minor", "currency"),
        properties={
            "order_id": string("The order's id at the shop."),
            "refund_id": string("The refund's id at the shop."),
            "amount_minor": amount_minor(
                "What this refund gives back, in the currency's minor unit: the sum of its transactions that went "
                "through or are under way; not the order's running total. 0 where goods come back without money."
            ),
            "currency": currency(),
            "reason": string("Why, in the words of who refunded."),
        },
    ),
    examples=(
        {
            "order_id": "820982911946154508",
            "refund_id": "890088186047892319",
            "amount_minor": 8500,
            "currency": "USD",
            "reason": "Things were damaged",
        },
    ),
)

CUSTOMER_CREATED = EventType(
    name="customer.created",
    title="Customer created",
    description="Somebody became a customer. The subject is the customer's id.",
    published_by=("shopify", "stripe", "upstream services"),
    schema=data_schema(
        "customer.created",
        required=("customer_id",),
        properties={
            "customer_id": string("The customer's id at the vendor."),
            "email": string("The customer's mail address."),
            "name": string("The customer's whole name."),
            "phone": string("The customer's telephone number."),
        },
    ),
    examples=({"customer_id": "706405506930370084", "email": "bob@example.com", "name": "Bob Biller"},),
)

_PAYMENT = {
    "payment_id": string("The payment's id at the vendor."),
    "currency": currency(),
    "customer_id": string("The customer's id at the vendor."),
    "email": string("Where the receipt goes."),
}

PAYMENT_SUCCEEDED = EventType(
    name="payment.succeeded",
    title="Payment succeeded",
    description="A payment was received. The subject is the payment's id.",
    published_by=("stripe", "upstream services"),
    schema=data_schema(
        "payment.succeeded",
        required=("payment_id", "amount_minor", "currency"),
        properties={
            **_PAYMENT,
            "amount_minor": amount_minor("What was received, in the currency's minor unit."),
        },
    ),
    examples=({"payment_id": "pi_3Kj4", "amount_minor": 2000, "currency": "USD", "customer_id": "cus_9s6X"},),
)

PAYMENT_FAILED = EventType(
    name="payment.failed",
    title="Payment failed",
    description="An attempt to pay failed; others may follow. The subject is the payment's id.",
    published_by=("stripe", "upstream services"),
    schema=data_schema(
        "payment.failed",
        required=("payment_id", "amount_minor", "currency"),
        properties={
            **_PAYMENT,
            "amount_minor": amount_minor("What was to be paid, in the currency's minor unit."),
            "failure_code": string("The vendor's code of the reason."),
            "failure_message": string("The reason in words."),
        },
    ),
    examples=(
        {
            "payment_id": "pi_3Kj5",
            "amount_minor": 2000,
            "currency": "USD",
            "failure_code": "card_declined",
            "failure_message": "Your card was declined.",
        },
    ),
)

COMMERCE = (ORDER_CREATED, ORDER_REFUNDED, CUSTOMER_CREATED, PAYMENT_SUCCEEDED, PAYMENT_FAILED)
