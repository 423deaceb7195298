"""Amounts in minor units: exact or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.sources.money import AMOUNT_MINOR_MAX, EXPONENTS, Money, currency_code, from_decimal, from_units


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("404.95", "USD", 40495),
        ("404.9", "usd", 40490),
        ("404", "EUR", 40400),
        (404, "EUR", 40400),
        ("0.00", "EUR", 0),
        ("1500", "JPY", 1500),
        ("1500.00", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("1.23", "KWD", 1230),
        ("1.2345", "CLF", 12345),
        ("0.29", "USD", 29),  # 28.999999999999996 as a float
        ("90071992547409.91", "USD", AMOUNT_MINOR_MAX),
    ],
)
def test_decimal_text_becomes_minor_units(amount: object, currency: str, minor: int) -> None:
    assert from_decimal(amount, currency) == Money(amount_minor=minor, currency=currency.upper())


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("10.005", "USD"),
        ("10.50", "JPY"),
        ("-1.00", "USD"),
        ("+1.00", "USD"),
        ("1e3", "USD"),
        ("NaN", "USD"),
        ("Infinity", "USD"),
        (" 1.00", "USD"),
        ("1.00\n", "USD"),
        ("1,00", "USD"),
        ("1.", "USD"),
        (".5", "USD"),
        ("١", "USD"),
        ("", "USD"),
        (10.5, "USD"),
        (True, "USD"),
        (-1, "USD"),
        (None, "USD"),
        ({}, "USD"),
        ("1" * 16, "USD"),
        ("90071992547409.92", "USD"),
        ("1.00", "XXX"),
        ("1.00", "BTC"),
        ("1.00", ""),
        ("1.00", None),
        ("1.00", ["USD"]),
    ],
)
def test_what_is_not_exactly_an_amount_is_refused(amount: object, currency: object) -> None:
    assert from_decimal(amount, currency) is None


@given(st.sampled_from(sorted(EXPONENTS)), st.integers(0, 10**14))
def test_printing_and_reading_an_amount_gives_it_back(currency: str, minor: int) -> None:
    digits = EXPONENTS[currency]
    printed = format(Decimal(minor).scaleb(-digits), "f")
    assert from_decimal(printed, currency) == Money(amount_minor=minor, currency=currency)


@given(
    st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.lists(st.text())),
    st.one_of(st.sampled_from(["USD", "JPY", "kwd"]), st.text(), st.none(), st.integers()),
)
def test_nothing_raises(amount: object, currency: object) -> None:
    for money in (from_decimal(amount, currency), from_units(amount, 2, currency)):
        assert money is None or 0 <= money.amount_minor <= AMOUNT_MINOR_MAX


@pytest.mark.parametrize(
    ("amount", "digits", "currency", "minor"),
    [(2000, 2, "usd", 2000), (500, 2, "ISK", 5), (550, 2, "ISK", None), (7, 0, "MGA", 700), (True, 2, "USD", None)],
)
def test_a_vendors_unit_is_turned_into_isos(amount: object, digits: int, currency: str, minor: int | None) -> None:
    money = from_units(amount, digits, currency)
    assert (money.amount_minor if money else None) == minor


def test_codes_are_three_capital_letters_and_listed_once() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in EXPONENTS)
    assert {"USD", "EUR", "JPY", "KWD", "BHD", "CLP", "GBP", "INR", "CHF"} <= EXPONENTS.keys()
    assert currency_code("eur") == "EUR"
    assert EXPONENTS["JPY"] == 0
    assert EXPONENTS["KWD"] == 3
