"""Money as platform events state it: an integer of the currency's minor unit (ISO 4217). Decimals only, no floats.

An amount that is not a whole number of minor units is refused, never rounded: who sends it means another unit.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

AMOUNT_MINOR_MAX = 2**53 - 1
"""The largest amount that every JSON reader keeps exactly."""

_AMOUNT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")

_NO_MINOR_UNIT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS = "CLF UYW"
# With the codes withdrawn since 2010, which old orders still carry. XXX (no currency) and XTS (tests) are none.
_TWO_DIGITS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY
COP COU CRC CUC CUP CVE CZK DKK DOP DZD EEK EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR
ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL LTL LVL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV
MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP
STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG ZWL
"""

EXPONENTS = {
    code: digits
    for digits, codes in ((0, _NO_MINOR_UNIT), (2, _TWO_DIGITS), (3, _THREE_DIGITS), (4, _FOUR_DIGITS))
    for code in codes.split()
}
"""How many digits a currency's minor unit has, by ISO 4217 code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    amount_minor: int
    currency: str


def currency_code(value: object) -> str | None:
    """The ISO 4217 code that a vendor's text means, upper case; None where it means none."""
    if not isinstance(value, str):
        return None
    code = value.upper()
    return code if code in EXPONENTS else None


def from_decimal(amount: object, currency: object) -> Money | None:
    """From an amount of the major unit, as text (`"10.50"`) or an integer. None: not exactly representable."""
    code = currency_code(currency)
    if isinstance(amount, int) and not isinstance(amount, bool):
        amount = str(amount)
    if code is None or not isinstance(amount, str) or not _AMOUNT.fullmatch(amount):
        return None
    return _whole(Decimal(amount).scaleb(EXPONENTS[code]), code)


def from_units(amount: object, digits: int, currency: object) -> Money | None:
    """From an integer of a unit with `digits` decimal digits: a vendor's minor unit, which may not be ISO's."""
    code = currency_code(currency)
    if code is None or not isinstance(amount, int) or isinstance(amount, bool) or not 0 <= amount <= AMOUNT_MINOR_MAX:
        return None
    return _whole(Decimal(amount).scaleb(EXPONENTS[code] - digits), code)


def _whole(minor: Decimal, code: str) -> Money | None:
    if minor != minor.to_integral_value() or minor > AMOUNT_MINOR_MAX:
        return None
    return Money(amount_minor=int(minor), currency=code)
