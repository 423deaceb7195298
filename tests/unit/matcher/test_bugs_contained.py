"""A bug of ours that one event meets: the event is a dead letter, and those behind it are matched; one that a wait meets is tried
again, and those behind it are told of."""

from services.matcher.service import due, matching
from shared.bus.deadletters import DeadLetter, read_letter
from shared.bus.topics import DEADLETTERS
from shared.testing.documents import ABSENCE


async def test_an_event_that_meets_a_bug_is_a_dead_letter_and_those_behind_it_are_matched(world, caplog, monkeypatch):
    decide = matching.decide

    def broken(tenant, rules, event, *others):
        if event.id == "met":
            raise ZeroDivisionError("no such thing as a decision")
        return decide(tenant, rules, event, *others)

    world.save({"event": "order.created"}, "created")
    world.save({"event": "order.paid"}, "paid")
    await world.happen("before", "order.paid")
    await world.happen("met", "order.created", {"n": 1})
    await world.happen("behind", "order.paid")
    monkeypatch.setattr(matching, "decide", broken)
    await world.work()
    assert world.told() == ["before", "behind"]
    reader = world.bus.reader(DEADLETTERS)
    reader.assign({0: 0})
    ((record,),) = (await reader.poll(timeout_seconds=1)).values()
    letter = read_letter(record)
    assert isinstance(letter, DeadLetter)
    assert "a bug of Upshot's" in letter.reason
    assert letter.offset == 1
    assert "Traceback" in caplog.text

    monkeypatch.undo()
    await world.happen("met", "order.created", {"n": 1})  # redriven
    await world.work()
    assert world.told() == ["before", "behind", "met"]


async def test_a_wait_that_meets_a_bug_holds_up_no_other_and_is_told_of_once_it_is_mended(world, caplog, monkeypatch):
    elapsed = due.elapsed

    def broken(tenant, rules, key, event):
        if event.id == "met":
            raise ZeroDivisionError("no such thing as a run")
        return elapsed(tenant, rules, key, event)

    world.save(ABSENCE, "unpaid")
    await world.happen("met", "order.created", {"order": "1"})
    await world.happen("behind", "order.created", {"order": "2"})
    await world.work()
    monkeypatch.setattr(due, "elapsed", broken)
    await world.move(120)
    assert world.told() == ["behind"]
    assert "a bug of Upshot's" in caplog.text

    monkeypatch.undo()
    await world.move(120)
    assert world.told() == ["behind", "met"]


async def test_a_wait_whose_partition_is_taken_away_just_then_ends_nothing_whatever_it_meets(world, monkeypatch):
    def broken(*_):
        world.matching.forget(0)
        raise ZeroDivisionError("no such thing as a run")

    world.save(ABSENCE, "unpaid")
    await world.happen("met", "order.created", {"order": "1"})
    await world.work()
    monkeypatch.setattr(due, "elapsed", broken)
    await world.move(120)
    assert world.told() == []
