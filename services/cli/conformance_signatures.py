"""`upshot conformance signatures FILE`: recorded deliveries against the verification that ingest uses.

FILE holds rows {scheme, secret, headers, body, valid} with optional `id`, `now` (unix seconds;
without it no timestamp is too old), `settings` of the source, `ambiguous` and `policy`: rows that have one of the
last two are reported, never failed. A row {key, valid} asks whether `key` can be the secret of an endpoint.
Next: `services/ingest/sources/__init__.py` for what is verified.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from services.cli.conformance_report import ConformanceReport, Verdict, report_on
from services.cli.conformance_rows import BadRow, Row, read_rows
from services.ingest.sources import Delivery, Headers, Verified
from services.ingest.sources.configure import read_settings, source_of
from shared.domain.endpoint_secret import parse_endpoint_secret
from shared.domain.errors import InvalidInput

_VENDORS_BY_SCHEME = {"svix": "standardwebhooks", "standard-webhooks": "standardwebhooks"}


def run_signature_cases(path: Path) -> ConformanceReport:
    """Every row of the file, in order. Raises InvalidInput where there is no such file; a row that is no case has failed."""
    return report_on(read_rows(path), _judge)


def _judge(row: Row) -> Verdict | BadRow:
    valid = row.get("valid")
    if not isinstance(valid, bool):
        return BadRow("an unreadable row: valid is true or false")
    got = _verdict_of_secret(row["key"]) if "key" in row and "scheme" not in row else _verdict(row)
    if isinstance(got, BadRow):
        return got
    expected = "valid" if valid else "invalid"
    return Verdict(
        expected=expected,
        got=got,
        agrees=got.split(" ", maxsplit=1)[0] == expected,
        reported_only=bool(row.get("ambiguous") or row.get("policy")),
    )


def _verdict_of_secret(key: object) -> str | BadRow:
    """`valid` or `invalid (why)`, which never quotes the key."""
    if not isinstance(key, str):
        return BadRow("an unreadable row: key is a string")
    try:
        parse_endpoint_secret(key)
    except InvalidInput as error:
        return f"invalid ({error})"
    return "valid"


def _verdict(case: Row) -> str | BadRow:
    """`valid`, `invalid (why)`, or why it cannot be checked."""
    scheme, secret, headers, body = (case.get(name) for name in ("scheme", "secret", "headers", "body"))
    now, given_settings = case.get("now"), case.get("settings", {})
    if not isinstance(scheme, str) or not isinstance(secret, str) or not isinstance(body, str):
        return BadRow("an unreadable row: scheme, secret and body are strings")
    if not isinstance(headers, dict) or not isinstance(given_settings, dict) or not isinstance(now, int | float | None):
        return BadRow("an unreadable row: headers and settings are objects, now is a number")
    vendor = _VENDORS_BY_SCHEME.get(scheme, scheme)
    try:
        source, settings = source_of(vendor), read_settings(vendor, given_settings)
    except InvalidInput as error:
        return f"no verification: {error}"
    if not settings.signed:
        return "no verification: the settings ask for none"
    delivery = Delivery(
        body=body.encode("utf-8", "surrogatepass"),
        headers=Headers.of(_pairs(headers)),
        received_at=now,
        source_name=scheme,
    )
    verdict = source.verify(delivery, [secret], settings)
    return "valid" if isinstance(verdict, Verified) else f"invalid ({verdict.reason}: {verdict.detail})"


def _pairs(headers: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """A list stands for a header that came several times."""
    for name, value in headers.items():
        for each in value if isinstance(value, list) else [value]:
            yield name, str(each)
