"""Writes what is made from code in `docs/reference`: settings, limits, API, events, metrics, commands, workflows' JSON Schema.

`--check` writes nothing and ends with 1 where a page is not current.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reference_limits import limits_page  # noqa: E402
from reference_pages import MADE, cli_page, events_page, events_schema, metrics_page, workflow_schema  # noqa: E402

import services  # noqa: E402  the path above comes first
import shared  # noqa: E402
from services.api.app import ABOUT, ApiDependencies, api_routes  # noqa: E402
from services.api.settings import ApiSettings  # noqa: E402
from services.backtests.api import BacktestsDependencies  # noqa: E402
from services.backtests.api import routes as backtests_routes  # noqa: E402
from services.backtests.settings import BacktestsSettings  # noqa: E402
from services.ingest.api import IngestDependencies  # noqa: E402
from services.ingest.api import routes as ingest_routes  # noqa: E402
from services.ingest.settings import IngestSettings  # noqa: E402
from shared.runtime.http.docs_markdown import render_api_page  # noqa: E402
from shared.runtime.http.openapi import openapi_document  # noqa: E402
from shared.runtime.settings_page import find_settings, render_settings_page  # noqa: E402

FOLDER = ROOT / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Each page's place and text."""
    # Routes are described without being called, and only their limits are read while they are made.
    unused = dict.fromkeys(("bus", "queries", "readiness", "metrics_page"))
    api = cast(ApiDependencies, SimpleNamespace(settings=ApiSettings(), **unused))
    ingest = cast(IngestDependencies, SimpleNamespace(settings=IngestSettings()))
    trying = cast(BacktestsDependencies, SimpleNamespace(settings=BacktestsSettings()))
    routes = [*ingest_routes(ingest), *api_routes(api), *backtests_routes(trying)]
    document = openapi_document(routes, ABOUT)
    return {
        FOLDER / "settings.md": render_settings_page(find_settings([services, shared])),
        FOLDER / "api.md": render_api_page(document),
        FOLDER / "events.md": events_page(),
        FOLDER / "events.schema.json": events_schema(),
        FOLDER / "cli.md": cli_page(),
        FOLDER / "metrics.md": metrics_page(),
        FOLDER / "limits.md": limits_page(MADE),
        FOLDER / "workflow.schema.json": workflow_schema(),
    }


def main() -> int:
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not current: run python scripts/reference.py\n")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
