"""`upshot conformance signatures FILE`: recorded deliveries against the verification that ingest uses.

FILE is JSON (a list) or JSON lines of {scheme, secret, headers, body, valid} with optional `id`, `now` (unix seconds;
without it no timestamp is too old), `settings` of the source, `ambiguous` and `policy`: rows that have one of the
last two are reported, never failed.
Next: `services/ingest/sources/__init__.py` for what is verified.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from services.cli.conformance_report import ConformanceReport, read_rows
from services.ingest.sources import Delivery, Headers, Verified
from services.ingest.sources.configure import read_settings, source_of
from shared.domain.errors import InvalidInput

_EXPECTED = {"True": "valid", "False": "invalid"}
_VENDORS_BY_SCHEME = {"svix": "standardwebhooks", "standard-webhooks": "standardwebhooks"}


def run_signature_cases(path: Path) -> ConformanceReport:
    """Every row of the file, in order. Raises InvalidInput for a file that is none; a row that is none has failed."""
    passed = failed = reported = 0
    lines: list[str] = []
    for number, row in enumerate(read_rows(path), start=1):
        case = row if isinstance(row, dict) else {}
        expected = _EXPECTED.get(str(case.get("valid")), "true or false in `valid`")
        got = _verdict(case)
        agreed = got.split(" ", maxsplit=1)[0] == expected
        if not agreed:
            lines.append(f"{case.get('id') or f'row-{number}'}: expected {expected}, got {got}")
        if case.get("ambiguous") or case.get("policy"):
            reported += 1
        elif agreed:
            passed += 1
        else:
            failed += 1
    return ConformanceReport(passed=passed, failed=failed, reported=reported, lines=lines)


def _verdict(case: Mapping[str, object]) -> str:
    """`valid`, `invalid (why)`, or what is wrong with the row."""
    scheme, secret, headers, body = (case.get(name) for name in ("scheme", "secret", "headers", "body"))
    now, given_settings = case.get("now"), case.get("settings", {})
    if not isinstance(scheme, str) or not isinstance(secret, str) or not isinstance(body, str):
        return "an unreadable row: scheme, secret and body are strings"
    if not isinstance(headers, dict) or not isinstance(given_settings, dict) or not isinstance(now, int | float | None):
        return "an unreadable row: headers and settings are objects, now is a number"
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
