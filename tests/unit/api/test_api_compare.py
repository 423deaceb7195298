"""Two revisions compared: only what people changed, and no more of it than somebody reads."""

from services.api.service.revisions import CHANGES_MAX, TEXT_LINES_MAX, compare
from shared.workflows.short_form import whole_form

STEP = {"id": "a", "uses": "wait", "with": {"seconds": 1}}
DOCUMENT = {"name": "n", "trigger": {"manual": {}}, "steps": [STEP]}
NAMES = ("revision 1", "revision 2")


def test_a_default_that_an_older_version_did_not_have_is_no_change() -> None:
    older = {name: value for name, value in whole_form(DOCUMENT).items() if name != "stop_on_match"}
    found = compare(older, whole_form(DOCUMENT), names=NAMES)
    assert (found.changes, found.text) == ([], "")


def test_a_document_of_an_unknown_shape_is_compared_as_it_is() -> None:
    found = compare({"name": "n", "shape": 1}, {"name": "n", "shape": 2}, names=NAMES)
    assert [each.pointer for each in found.changes] == ["#/shape"]
    assert found.text is not None
    assert "-shape: 1\n+shape: 2\n" in found.text


def test_what_is_too_long_to_read_is_left_out_and_counted() -> None:
    def with_body(letter: str) -> dict[str, object]:
        return {**DOCUMENT, "steps": [{**STEP, "with": {"n": [f"{letter}{n}" for n in range(TEXT_LINES_MAX + 1)]}}]}

    found = compare(with_body("a"), with_body("b"), names=NAMES)
    assert (len(found.changes), found.left_out, found.text) == (CHANGES_MAX, TEXT_LINES_MAX + 1 - CHANGES_MAX, None)
