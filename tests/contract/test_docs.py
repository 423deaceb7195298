"""Documents say what is so: snippets parse and pass the checks of saving, links lead somewhere, named files and targets exist.

`tests/e2e/test_documentation.py` runs the shell snippets against a platform.
"""

import hashlib
import hmac
import json
import re
import subprocess
from pathlib import Path

import pytest

from services.executor.actions import discover_actions
from services.ingest.sources import Delivery, Headers, Source, Verified
from services.matcher.triggers import discover_triggers
from services.processes import PROCESSES
from shared.domain import catalogue
from shared.domain.endpoint_secret import parse_endpoint_secret
from shared.runtime.http.yaml_text import read_yaml
from shared.runtime.webhook_signing import signed_headers
from shared.testing.markdown import Snippet, documents, snippets
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.document import parse_document

ROOT = Path(__file__).resolve().parents[2]
SNIPPETS = snippets(ROOT)
KINDS = {
    *("text", "json", "yaml", "yaml workflow"),
    *("sh", "sh make", "sh docker", "sh lock", "sh services", "sh segments", "sh move"),
    *("python verify", "python vendor", "python trigger"),
    *("python kafka", "sh kafka", "sh acls", "sh letters"),
}
CATALOGUE = Catalogue(
    actions=discover_actions(),
    triggers=discover_triggers(),
    event_schemas={each.name: each.schema for each in catalogue.all_types()},
)


def of_kind(*kinds: str) -> list[Snippet]:
    return [each for each in SNIPPETS if each.kind in kinds]


def named(each: Snippet) -> str:
    return each.place


def test_every_fence_says_what_it_is() -> None:
    assert [(each.place, each.kind) for each in SNIPPETS if each.kind not in KINDS] == []


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert targets == set(re.findall(r"[\w-]+", makefile.split(".PHONY:")[1].splitlines()[0]))
    return targets


@pytest.mark.parametrize("snippet", of_kind("yaml workflow"), ids=named)
def test_workflows_can_be_saved(snippet: Snippet) -> None:
    check_document(parse_document(read_yaml(snippet.text.encode())), CATALOGUE)


@pytest.mark.parametrize("path", sorted((ROOT / "services/demo/workflows").glob("*.yaml")), ids=lambda path: path.name)
def test_the_demos_workflows_can_be_saved(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("name: ")  # the demo looks its workflows up by this line
    check_document(parse_document(read_yaml(text.encode())), CATALOGUE)


def test_workflows_in_shell_snippets_can_be_saved() -> None:
    found = [
        text
        for each in of_kind("sh")
        for text in re.findall(r"<<'YAML'\n(.*?)^YAML$", each.text, re.MULTILINE | re.DOTALL)
    ]
    assert len(found) >= 3
    for text in found:
        check_document(parse_document(read_yaml(text.encode())), CATALOGUE)


@pytest.mark.parametrize("snippet", of_kind("json"), ids=named)
def test_json_parses(snippet: Snippet) -> None:
    json.loads(snippet.text)


@pytest.mark.parametrize("snippet", of_kind("sh make"), ids=named)
def test_make_snippets_name_nothing_but_targets(snippet: Snippet) -> None:
    named_targets = re.findall(r"^(?:[A-Z_]+=\S+ )*make ([\w-]+)", snippet.text, re.MULTILINE)
    assert len(named_targets) == len(snippet.text.splitlines())
    assert set(named_targets) <= make_targets()


@pytest.mark.parametrize("path", documents(ROOT), ids=lambda path: str(path.relative_to(ROOT)))
def test_make_targets_named_in_a_text_exist(path: Path) -> None:
    assert set(re.findall(r"`make ([\w-]+)", path.read_text(encoding="utf-8"))) <= make_targets()


def test_make_help_names_every_target() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"^make ([\w-]+)  ", told, re.MULTILINE)) == make_targets() - {"help", "setup-test"}


@pytest.mark.parametrize("snippet", of_kind("sh services"), ids=named)
def test_every_service_is_named_and_no_other(snippet: Snippet) -> None:
    """`tests/e2e/test_services_apart.py` runs them."""
    assert sorted(snippet.text.split()) == sorted([*PROCESSES, *["upshot"] * len(PROCESSES)])


@pytest.mark.parametrize("snippet", of_kind("sh lock"), ids=named)
def test_lock_commands_name_files_that_exist(snippet: Snippet) -> None:
    for line in snippet.text.splitlines():
        assert (ROOT / line.split("-o ")[1]).is_file()


@pytest.mark.parametrize("path", documents(ROOT), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            assert (path.parent / target.partition("#")[0]).exists(), f"{path.name}: {target}"


def test_the_architecture_page_is_short_and_names_what_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    paths = re.findall(r"`((?:services|shared|tests|docs)/[\w/.]+)`", text)
    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_documented_verification_holds_for_what_we_sign() -> None:
    (snippet,) = of_kind("python verify")
    scope: dict[str, object] = {}
    exec(compile(snippet.text, snippet.place, "exec"), scope)
    holds = scope["holds"]
    assert callable(holds)
    secret, body, now = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"type":"order.created"}', 1_767_225_600

    headers = signed_headers([parse_endpoint_secret(secret)], "msg_1_tell", now, body)

    assert holds(secret, headers, body, now)
    assert not holds(secret, headers, body + b" ", now)
    assert not holds(secret, headers, body, now + 301)


def test_the_documented_vendor_is_a_source() -> None:
    (snippet,) = of_kind("python vendor")
    scope: dict[str, object] = {"__name__": "courier"}
    exec(compile(snippet.text, snippet.place, "exec"), scope)
    source: Source[object] = scope["SOURCE"]  # type: ignore[assignment,type-var]  # made by the snippet
    settings = source.settings_model()
    body = b'{"id": "7", "event": "parcel.lost", "parcel": "P-1"}'
    signature = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    delivery = Delivery(
        body=body, headers=Headers.of([("X-Courier-Signature", signature)]), received_at=None, source_name="parcels"
    )

    assert source.verify(delivery, ["secret"], settings) == Verified(secret_index=0)
    assert not isinstance(source.verify(delivery, ["other"], settings), Verified)
    (event,) = source.translate(delivery, json.loads(body), settings)
    assert (event.type, event.subject) == ("courier.parcel.lost", "P-1")


def test_the_documented_trigger_is_a_trigger() -> None:
    (snippet,) = of_kind("python trigger")
    scope: dict[str, object] = {"__name__": "subject"}
    exec(compile(snippet.text, snippet.place, "exec"), scope)
    trigger = scope["TRIGGER"]
    known = Catalogue(actions=CATALOGUE.actions, triggers={"subject": trigger}, event_schemas={})  # type: ignore[dict-item]
    step = {"id": "note", "uses": "wait", "with": {"seconds": 0}}

    check_document(parse_document({"name": "n", "trigger": {"subject": "order-*"}, "steps": [step]}), known)
