"""One batch, from the vendors' signed deliveries to the receiver's answers. Everything that should be is an expectation.

An author wrote the workflows, an approver decides: the platform would not count the author's own grant.
Next: `telling.py` shows what is found here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from services.demo.client import DemoTrouble, Json, Person, until
from services.demo.deliveries import BATCH, SOURCES, Planned, body_of
from services.demo.memory import Batch, Memory, Seen
from services.demo.stage import Stage
from shared.domain.clock import Randomness
from shared.domain.ids import delivery_id
from shared.testing.receivers import Received, Receiver, signature_flaws
from shared.testing.vendor_signing import sign_delivery

GRANT_REASON = "the photos show the damage"
DENY_REASON = "one declined card is no reason"
_ENDED = {"succeeded", "failed", "cancelled", "denied", "expired", "skipped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Something that should be, and whether it is."""

    what: str
    held: bool
    found: str = ""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of one delivery so far."""

    planned: Planned
    status: int
    event_ids: tuple[str, ...] = ()
    event: Json = None
    run: Json = None
    received: Received | None = None
    signature_holds: bool = False

    @property
    def event_id(self) -> str:
        return self.event_ids[0] if self.event_ids else ""


@dataclass(slots=True, kw_only=True)
class Story:
    """Tells one batch. `say` is called as it goes on."""

    author: Person
    approver: Person
    stage: Stage
    memory: Memory
    receiver: Receiver
    randomness: Randomness
    say: Callable[[str], None]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    expectations: list[Expectation] = field(default_factory=list)

    async def play(self) -> None:
        """Raises DemoTrouble where it cannot go on; smaller things are expectations that did not hold."""
        number = self.randomness.token_bytes(6).hex()
        for planned in BATCH:
            await self._send(planned, number)
        await self._see_events()
        await self._decide("failed", "deny", DENY_REASON)
        await self._decide("refund", "grant", GRANT_REASON)
        for outcome in self.outcomes.values():
            await self._see_end(outcome)

    def batch(self) -> Batch:
        """To be remembered."""
        seen = [
            Seen(
                vendor=SOURCES[each.planned.source],
                title=each.planned.title,
                event_id=each.event_id,
                event_type=each.event["type"],
                run_id=each.run["id"] if each.run else None,
                status=each.run["status"] if each.run else None,
            )
            for each in self.outcomes.values()
            if each.planned.fate not in ("duplicate", "refused")
        ]
        return Batch(at=self.author.clock.now().isoformat(timespec="seconds"), seen=tuple(seen))

    def expect(self, what: str, held: bool, found: object = "") -> None:
        self.expectations.append(Expectation(what=what, held=held, found=str(found)))

    # ------------------------------------------------------------ in

    async def _send(self, planned: Planned, number: str) -> None:
        vendor = SOURCES[planned.source]
        body = body_of(planned, f"{number}_{planned.key}")
        secret = self.memory.source_secrets[planned.source]
        if planned.fate == "refused":
            secret += " as somebody who does not know it would guess"
        name = f"{number}-{planned.repeats or planned.key}"
        now = int(self.author.clock.now().timestamp())
        headers = sign_delivery(vendor, secret, body, now, name, planned.event)
        answer = await self.author.request(
            "POST", self.stage.hook_paths[planned.source], body=body, headers=headers, authorised=False
        )
        ids = answer.body.get("event_ids", []) if isinstance(answer.body, dict) else []
        outcome = Outcome(planned=planned, status=answer.status, event_ids=tuple(ids))
        self.outcomes[planned.key] = outcome
        wanted = 401 if planned.fate == "refused" else 202
        self.expect(f"{vendor} {planned.title} is answered {wanted}", answer.status == wanted, answer.status)
        if planned.repeats is not None:
            first = self.outcomes[planned.repeats].event_ids
            self.expect(f"{vendor} {planned.title} is the same event", outcome.event_ids == first, ids)
        if wanted == 202 and not ids:
            raise DemoTrouble(f"{vendor} {planned.title} became no event: {answer.status} {answer.body}")

    # ------------------------------------------------------------ what it led to

    async def _see_events(self) -> None:
        """Last first: matching goes in order, so once the last one has its run, the others have theirs."""
        for outcome in reversed(self.outcomes.values()):
            if outcome.planned.fate == "refused":
                continue

            async def event(it: Outcome = outcome) -> Json:
                answer = await self.author.request("GET", f"/api/v1/events/{it.event_id}")
                found = answer.body if answer.status == 200 else None
                return found if found and (found["runs"] or it.planned.workflow is None) else None

            outcome.event = await until(event, f"what became of {outcome.planned.title}", self.author.clock)
            runs = outcome.event["runs"]
            wanted = self.stage.workflow_ids.get(outcome.planned.workflow or "")
            found = [each["workflow_id"] for each in runs]
            self.expect(
                f"{outcome.planned.title} starts " + ("one run" if wanted else "nothing"),
                found == ([wanted] if wanted else []),
                [each["workflow_name"] for each in runs],
            )
            outcome.run = runs[0] if runs else None
        self.say("events are in the log, matched, and those that need it wait for a person")

    async def _decide(self, key: str, verb: str, reason: str) -> None:
        outcome = self.outcomes[key]
        if outcome.run is None:
            return
        run_id = outcome.run["id"]

        async def pending() -> Json:
            items = await self.approver.items("/api/v1/approvals?status=pending")
            return next((each for each in items if each["run_id"] == run_id), None)

        approval = await until(pending, f"the run of {outcome.planned.title} waits for approval", self.approver.clock)
        shown = await self.approver.get(f"/api/v1/approvals/{approval['id']}")
        self.expect(
            f"what would run for {outcome.planned.title} is what was asked for",
            shown["current_hash"] == shown["subject_hash"],
            shown["current_hash"],
        )
        early = [each for each in self.receiver.requests if run_id.replace("-", "") in each.webhook_id]
        self.expect(f"nothing of {outcome.planned.title} has run before the decision", not early, len(early))
        path = f"/api/v1/approvals/{approval['id']}/{verb}"
        await self.approver.command(path, (200,), json={"reason": reason, "subject_hash": shown["subject_hash"]})
        second = await self.approver.request("POST", path, json={"reason": "once more"})
        self.expect(f"a second decision on {outcome.planned.title} is a 409", second.status == 409, second.status)
        self.say(f"{approval['workflow_name']}: {'granted' if verb == 'grant' else 'denied'} ({reason})")

    async def _see_end(self, outcome: Outcome) -> None:
        if outcome.run is None or outcome.planned.fate == "duplicate":
            return

        async def ended() -> Json:
            found = await self.author.get(f"/api/v1/runs/{outcome.run['id']}")
            return found if found["status"] in _ENDED else None

        outcome.run = await until(ended, f"the run of {outcome.planned.title} ends", self.author.clock)
        wanted = "denied" if outcome.planned.fate == "denied" else "succeeded"
        status = outcome.run["status"]
        self.expect(f"the run of {outcome.planned.title} has {wanted}", status == wanted, status)
        if outcome.planned.step is not None:
            self._see_delivery(outcome, outcome.planned.step)
        elif outcome.planned.fate == "denied":
            calls = [each for each in self.receiver.requests if each.path_qs.startswith("/accounts/")]
            self.expect("the denied run has called nobody", not calls, len(calls))

    def _see_delivery(self, outcome: Outcome, step_id: str) -> None:
        """The receiver judges by itself, with code of its own and the secret that it was given."""
        webhook_id = delivery_id(outcome.run["id"], step_id)
        got = [each for each in self.receiver.requests if each.webhook_id == webhook_id]
        self.expect(f"the receiver has the webhook of {outcome.planned.title} once", len(got) == 1, len(got))
        if got:
            outcome.received = got[0]
            secret = self.memory.endpoint_secrets[got[0].path_qs.removeprefix("/")]
            flaws = signature_flaws([secret], got[0], self.author.clock.now().timestamp())
            outcome.signature_holds = not flaws
            self.expect(f"the signature on it holds ({outcome.planned.title})", not flaws, "; ".join(flaws))
