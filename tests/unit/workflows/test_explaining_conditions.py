"""Conditions are explained part by part, and nothing that is secret is quoted."""

from typing import Any

import orjson
import pytest

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.testing.explaining import Explaining, event_of, said
from shared.workflows.catalogue import Catalogue
from shared.workflows.explaining import Conjunct, Verdict
from shared.workflows.hiding import HIDDEN, Hiding

WHY = Explaining(Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={}))


def first_false(condition: str, data: Any) -> tuple[Conjunct, Verdict]:
    verdict = WHY.explained(WHY.workflow_of({"event": "order.refunded"}, condition), event_of(data))
    assert isinstance(verdict.first_failed, Conjunct)
    return verdict.first_failed, verdict


def test_the_first_conjunct_that_is_false_is_named_with_the_values_of_its_paths() -> None:
    conjunct, verdict = first_false(
        "event.data.n > 1 && (event.data.currency == 'EUR' || event.data.vip) && event.data.n < 5",
        {"n": 9, "currency": "USD", "vip": False},
    )

    assert conjunct.text == "(event.data.currency == 'EUR' || event.data.vip)"
    assert [(each.path, each.value) for each in conjunct.values] == [
        ("event.data.currency", "USD"),
        ("event.data.vip", False),
    ]
    assert verdict.condition is not None
    assert [each.holds for each in verdict.condition.conjuncts] == [True, False, False]
    assert (verdict.held, verdict.total) == (2, 4)


def test_what_cannot_be_evaluated_says_why() -> None:
    missing, verdict = first_false("event.data.a == 1 && event.data.b.c == 2", {"a": 1})
    assert (missing.text, missing.error) == ("event.data.b.c == 2", "b is missing; has(…) tests for it")
    assert [each.present for each in missing.values] == [False]
    assert verdict.condition is not None
    assert verdict.condition.error is not None

    clash, _ = first_false("event.data.a > 1", {"a": "x"})
    assert clash.error is not None
    assert "does not take" in clash.error


def test_a_false_conjunct_absorbs_the_error_of_another_and_is_what_decided() -> None:
    conjunct, verdict = first_false("event.data.missing == 1 && event.data.a == 1", {"a": 2})

    assert (conjunct.text, conjunct.error) == ("event.data.a == 1", None)
    assert verdict.condition is not None
    assert [each.error is None for each in verdict.condition.conjuncts] == [False, True]


SECRETS = {"auth": {"api-key": "k-1234", "plain": "p"}, "card": {"number": "4242"}, "list": [{"Password": "hunter2"}]}


@pytest.mark.parametrize(
    ("trigger", "condition"),
    [
        ({"pattern": {"data": {"auth": {"api-key": ["k-9999"]}}}}, None),
        ({"pattern": {"data": {"auth": {"api-key": [{"anything-but": "k-1234"}]}}}}, None),
        ({"pattern": {"data": {"card": {"number": [{"prefix": "9"}]}}}}, None),
        ({"event": "order.refunded"}, "event.data.auth['api-key'] == 'k-9999'"),
        ({"event": "order.refunded"}, "event.data.list.exists(x, x.Password == 'k-9999')"),
        ({"event": "order.refunded"}, "int(event.data.auth['api-key']) > 9 && event.data.auth == {}"),
    ],
)
def test_secret_values_are_nowhere_in_an_explanation(trigger: Any, condition: str | None) -> None:
    verdict = WHY.explained(WHY.workflow_of(trigger, condition), event_of(SECRETS))

    assert not verdict.matches
    for secret in ("k-1234", "4242", "hunter2", "k-9999"):
        assert secret not in repr(verdict)
        assert secret not in said(verdict)
    assert HIDDEN in repr(verdict)


def test_an_object_is_shown_with_what_is_secret_in_it_hidden() -> None:
    conjunct, _ = first_false("size(event.data.auth) > 5", SECRETS)

    assert [each.value for each in conjunct.values] == [{"api-key": HIDDEN, "plain": "p"}]
    unhidden = WHY.explained(
        WHY.workflow_of({"event": "x.y"}, "size(event.data.auth) > 5"), event_of(SECRETS), Hiding([])
    )
    assert "k-1234" in repr(unhidden)


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("data.accessToken", True),
        ("data.X-Api-Key", True),
        ("data.card.number", True),
        ("data.CARD_NUMBER", True),
        ("data.secrets.value", True),
        ("data.amount_minor", False),
        ("data.discard.numbers", True),  # rather too much than too little
        ("data.keyboard", False),
    ],
)
def test_which_keys_name_secrets(path: str, hidden: bool) -> None:
    assert Hiding().names_secret(path) is hidden


def test_what_is_shown_is_bounded() -> None:
    shown = Hiding().shown("data", {"deep": _nested(40), "long": "x" * 1000, "many": list(range(1000))})
    assert len(orjson.dumps(shown)) < 2_000


def _nested(depth: int) -> Any:
    return {"x": _nested(depth - 1)} if depth else 1
