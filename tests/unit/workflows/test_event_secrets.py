"""Nothing that lies below a key that names a secret is told, whatever a template or a condition makes of it."""

import base64
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain.json_text import dump_json
from shared.testing.examples import examples
from shared.testing.explaining import NOW, Explaining, event_of, said
from shared.workflows.catalogue import Catalogue
from shared.workflows.explaining import see_event, windows_known
from shared.workflows.hiding import HIDDEN, Hiding

WHY = Explaining(Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={}))
SECRET = "hunter2secret"
LEAKY = {"auth": {"password": SECRET}, "creds": {"token": SECRET}, "list": [{"api_key": SECRET}], "plain": "p", "n": 1}

KEYS = (
    "{{ event.data.auth.password }}",
    "{{ event.data.auth | json }}",
    "{{ event.data | json | upcase }}",
    "{{ event | json | base64_encode }}",
    "{% for p in event.data.auth %}{{ p[1] }}{% endfor %}",
    "{% assign x = event.data.auth %}{{ x | json }}",
    "{% for each in event.data.list %}{{ each.api_key | url_encode }}{% endfor %}",
    "{{ event.data.list[0] | json }}",
    "{{ event.data[event.data.which] | json }}",
    "{{ event.data.auth | json | date: '%Y' }}",
)
CONDITIONS = (
    "{'a': 1}[event.data.creds.map(k, event.data.creds[k])[0]] == 3",
    "{'a': 1}[event.data.list[0]['api_' + 'key']] == 3",
    "int(event.data.creds.map(k, event.data.creds[k])[0]) == 3",
    "event.data.list.exists(each, {'a': 1}[each['api_' + 'key']] == 3)",
    "event.data == {} && event.data.auth == 3",
)


def triggers_with(key: str) -> list[dict[str, Any]]:
    bounds = {"within_seconds": 60, "key": key}
    waits = {"after": {"event": "order.refunded"}, "of": {"event": "order.closed"}, **bounds}
    ends = {"after": {"event": "order.created"}, "of": {"event": "order.refunded"}, **bounds}
    return [{"count": {"event": "order.refunded", "times": 3, **bounds}}, {"absence": waits}, {"absence": ends}]


def all_told(trigger: Any, condition: str | None, data: Any) -> str:
    """Everything that an answer holds, as JSON, with what became of the windows of the event and its sentence."""
    workflow = WHY.workflow_of(trigger, condition)
    event, start = event_of(data), WHY.start_of(WHY.workflow_of(trigger, condition))
    seen = see_event(event, NOW, Hiding())
    records = [fact for decided in WHY.decisions(workflow, event) for fact in decided.windows]
    known = windows_known("acme", event.id, records, start, seen.secrets, whole=True)
    verdict = WHY.explained(workflow, event)
    return dump_json([verdict, list(known.values()), said(verdict)]).decode()


def spellings(secret: str) -> list[str]:
    return [secret, secret.upper(), quote(secret), base64.b64encode(secret.encode()).decode()[: len(secret)]]


@pytest.mark.parametrize("key", KEYS)
def test_no_key_of_a_window_tells_a_secret_that_its_template_does_not_name(key: str) -> None:
    for trigger in triggers_with(key):
        told = all_told(trigger, None, {**LEAKY, "which": "auth"})
        assert not any(each in told for each in spellings(SECRET)), told
        assert HIDDEN in told


@pytest.mark.parametrize("condition", CONDITIONS)
def test_no_error_of_a_condition_quotes_a_secret(condition: str) -> None:
    told = all_told({"event": "order.refunded"}, condition, LEAKY)
    assert SECRET not in told, told


def test_what_is_made_of_nothing_secret_is_still_told() -> None:
    told = all_told(triggers_with("{{ event.data.plain }}{{ event.subject | default: '' }}")[0], None, LEAKY)
    assert 'for the key \\"p\\"' in told
    error = all_told({"event": "order.refunded"}, "{'a': 1}[event.data.plain] == 3", LEAKY)
    assert "p is missing" in error
    unhidden = all_told(triggers_with("{{ event.data.auth | json }}")[0], None, {"auth": {"open": SECRET}})
    assert SECRET in unhidden


SECRET_KEYS = st.sampled_from(["password", "Access-Token", "apiKey", "card_number", "card"])
PLAIN_KEYS = st.sampled_from(["auth", "a", "number", "list", "b"])
SECRETS = st.text("ghjkqvwxyz", min_size=6, max_size=9)


def _below(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(children, max_size=3), st.dictionaries(PLAIN_KEYS, children, max_size=3))


hidden_values = st.recursive(SECRETS, _below, max_leaves=3)
data_of_events = st.recursive(
    st.one_of(st.integers(0, 9), st.just("p"), st.dictionaries(SECRET_KEYS, hidden_values, min_size=1, max_size=2)),
    _below,
    max_leaves=6,
)
paths = st.lists(st.one_of(PLAIN_KEYS, SECRET_KEYS.filter(str.isidentifier)), max_size=3).map(
    lambda keys: ".".join(["event.data", *keys])
)
templates = st.builds(
    lambda path, form: form.replace("PATH", path),
    paths,
    st.sampled_from(
        [
            "{{ PATH | json }}",
            "{{ PATH }}",
            "{% for x in PATH %}{{ x | json }}{% endfor %}",
            "{{ PATH[0] | default: '' | json }}",
            "{{ PATH['a'] | json }}",
            "{{ PATH | first | json }}",
            "{{ PATH | minus: 1 }}",
        ]
    ),
)
predicates = st.builds(
    lambda path, form: form.replace("PATH", path),
    paths,
    st.sampled_from(
        [
            "PATH == 3",
            "{'a': 1}[PATH] == 3",
            "{'a': 1}[PATH.map(k, PATH[k])[0]] == 3",
            "int(PATH) == 3",
            "PATH.exists(x, {'a': 1}[x] == 3)",
            "size(PATH) > 99 && PATH[0] == 1",
        ]
    ),
)


def texts_in(value: Any, *, hidden: bool = False, path: str = "data") -> set[tuple[str, bool]]:
    """Each text in a value, and whether a key that names a secret is above it."""
    if isinstance(value, str):
        return {(value, hidden)}
    if isinstance(value, list):
        return {each for item in value for each in texts_in(item, hidden=hidden, path=path)}
    found = set()
    for key, member in value.items() if isinstance(value, dict) else ():
        below = f"{path}.{key}"
        found |= texts_in(member, hidden=hidden or Hiding().names_secret(below), path=below)
    return found


@settings(max_examples=examples(300), deadline=None)
@given(data=data_of_events, template=templates, predicate=predicates, which=st.integers(0, 2))
def test_no_secret_of_any_event_is_in_any_answer(data: Any, template: str, predicate: str, which: int) -> None:
    texts = texts_in(data)
    secrets = {text for text, hidden in texts if hidden and (text, False) not in texts}
    for told in (
        all_told(triggers_with(template)[which], None, data),
        all_told({"event": "order.refunded"}, predicate, data),
    ):
        assert not any(secret in told for secret in secrets), told
