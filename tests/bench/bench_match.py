"""What matching costs beside merely parsing: `make bench-match`. Prints, asserts nothing.

Every figure stands beside a plain `orjson.loads` of the same bytes in the same run, because only the ratio travels
from machine to machine. Workloads: 320-byte events against up to 100,000 rules on at most 8 paths, the same on 200
paths, the same with events of 27 KB; events as others write them; and the 71 public benchmark rules of the event-ruler
project, where the corpus is there (UPSHOT_CORPUS).
"""

import gc
import gzip
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))

import services  # noqa: E402, F401  # first: it heeds UPSHOT_NATIVE
from shared.matching import PatternIndex, explain, matches, native, parse_pattern, read_event  # noqa: E402

_CORPUS = Path(os.environ.get("UPSHOT_CORPUS", _ROOT.parent / "shared" / "corpus"))
_SIZES = (1, 100, 10_000, 100_000)
_WARM_UP = 1_200  # walks by which every level that is asked for each event has been written out
_CUSTOMERS = 60_000
_VALUES = 2_000
_TYPES = [
    f"{noun}.{verb}"
    for noun in ("order", "refund", "cart", "stock", "user")
    for verb in ("created", "updated", "closed")
]
_SOURCES = [f"/shops/{number}" for number in range(20)]
_COUNTRIES = ["FR", "DE", "IT", "ES", "GB", "US", "JP", "BR"]
_CURRENCIES = ["EUR", "USD", "GBP", "JPY"]
_CHANNELS = ["web", "app", "pos", "phone"]


def main() -> None:
    """Print every figure."""
    print(f"== the compiled kernel is {'there' if native.IS_THERE else 'not there'}")
    print("== 320-byte events, at most 8 paths: 90 % exact; 10 % prefix, numeric, anything-but, exists")
    _scaling(_few_paths_rule, [_few_paths_event(random.Random(seed)) for seed in range(400)])
    print("== the same over 200 distinct paths")
    _scaling(_many_paths_rule, [_many_paths_event(random.Random(seed)) for seed in range(400)])
    print("== as the first, with events of 27 KB")
    _scaling(_few_paths_rule, [_large_event(random.Random(seed)) for seed in range(40)], sizes=(1, 100_000))
    print("== 100,000 rules, events that come again and events that never do: what the processor's caches hold")
    _caches()
    _other_writers()
    _memory_and_upkeep()
    _city_lots()
    _one_pattern()


def _scaling(
    make_rule: Callable[[random.Random, int], dict[str, Any]], events: list[bytes], sizes: Sequence[int] = _SIZES
) -> None:
    slow = sum(type(read_event(raw)) is not dict for raw in events) / len(events)
    print(f"   event: {len(events[0]):,} bytes; distinct events: {len(events)}; read slowly: {slow:.1%}")
    print(
        f"   {'rules':>8} {'loads µs':>9} {'read µs':>9} {'read+match µs':>14} {'ratio':>6} {'growth':>7}"
        f" {'matches':>8} {'at most':>8}"
    )
    base = 0.0
    for size in sizes:
        index = _index_of(make_rule, size)
        gc.collect()
        gc.freeze()
        found = _warm_up(index, events)
        loads, read, match = _interleaved([orjson.loads, read_event, _matcher(index)], events)
        gc.unfreeze()
        average = sum(found) / len(found)
        base = base or (match / loads if size >= 100 else 0.0)
        growth = f"{match / loads / base:.2f}" if base else ""
        print(
            f"   {size:>8,} {loads:>9.2f} {read:>9.2f} {match:>14.2f} {match / loads:>6.2f} {growth:>7}"
            f" {average:>8.2f} {max(found):>8}"
        )


def _index_of(make_rule: Callable[[random.Random, int], dict[str, Any]], size: int) -> PatternIndex[int]:
    dice = random.Random(7)
    index: PatternIndex[int] = PatternIndex()
    for number in range(size):
        index.add(number, parse_pattern(make_rule(dice, number)))
    return index


def _warm_up(index: PatternIndex[int], events: list[bytes]) -> list[int]:
    found: list[int] = []
    for _ in range(max(1, _WARM_UP // len(events))):
        found = [len(index.candidates(read_event(raw))) for raw in events]
    return found


def _caches() -> None:
    for name, make_rule, make_event in (
        ("8 paths", _few_paths_rule, _few_paths_event),
        ("200 paths", _many_paths_rule, _many_paths_event),
    ):
        index = _index_of(make_rule, 100_000)
        gc.collect()
        gc.freeze()
        ratios = []
        for count in (20, 400, 4_000):
            events = [make_event(random.Random(seed)) for seed in range(count)]
            _warm_up(index, events)
            loads, match = _interleaved([orjson.loads, _matcher(index)], events)
            ratios.append(f"{count:,} distinct events: {match:.2f} µs, {match / loads:.2f}")
        gc.unfreeze()
        print(f"   {name:>9}: {'; '.join(ratios)}")


def _other_writers() -> None:
    """The same event as others write it: spaced, escaped, with digits that a double drops, with a duplicate member."""
    print("== reading events that are not in the canonical form")
    values = [orjson.loads(_few_paths_event(random.Random(seed))) for seed in range(400)]
    canonical = [orjson.dumps(value) for value in values]
    for name, events in (
        ("canonical", canonical),
        ("spaced", [json.dumps(value).encode() for value in values]),
        ("indented", [json.dumps(value, indent=2).encode() for value in values]),
        ("escaped", [raw.replace(b"/shops", b"\\/shops") for raw in canonical]),
        ("short fraction", [raw.replace(b'"test":false', b'"test":1.50') for raw in canonical]),
        ("long fraction", [raw.replace(b'"test":false', b'"test":0.30000000000000001') for raw in canonical]),
        ("duplicate", [raw.replace(b'"test":false', b'"test":false,"test":true') for raw in canonical]),
    ):
        slow = sum(type(read_event(raw)) is not dict for raw in events) / len(events)
        loads, read = _interleaved([orjson.loads, read_event], events, rounds=5)
        print(f"   {name:>15}: loads {loads:.2f} µs, read {read:.2f} µs, {read / loads:.2f}; read slowly: {slow:.0%}")


def _matcher(index: PatternIndex[int]) -> Callable[[bytes], object]:
    return lambda raw: index.candidates(read_event(raw))


def _interleaved(calls: Sequence[Callable[[bytes], object]], events: list[bytes], rounds: int = 15) -> list[float]:
    """The best round of each call in µs of processor time an event; the calls take turns, so that a busy moment of a
    shared machine hits all alike."""
    best = [float("inf")] * len(calls)
    repeats = max(1, 4000 // len(events))
    for _ in range(rounds):
        for number, call in enumerate(calls):
            started = time.process_time()
            for _ in range(repeats):
                for raw in events:
                    call(raw)
            best[number] = min(best[number], (time.process_time() - started) / (repeats * len(events)))
    return [seconds * 1e6 for seconds in best]


def _few_paths_event(dice: random.Random) -> bytes:
    event = {
        "specversion": "1.0",
        "id": f"{dice.getrandbits(64):016x}",
        "source": dice.choice(_SOURCES),
        "type": dice.choice(_TYPES),
        "time": "2025-01-02T03:04:05Z",
        "tenantid": "t-1",
        "data": {
            "order_id": f"o-{dice.randrange(_CUSTOMERS):06d}",
            "customer_id": f"c-{dice.randrange(_CUSTOMERS):06d}",
            "amount_minor": dice.randrange(100_000, 1_000_000),
            "currency": dice.choice(_CURRENCIES),
            "country": dice.choice(_COUNTRIES),
            "channel": dice.choice(_CHANNELS),
            "items": dice.randrange(10),
            "paid": dice.random() < 0.5,
            "test": False,
            "coupon": None,
        },
    }
    return orjson.dumps(event)


def _few_paths_rule(dice: random.Random, number: int) -> dict[str, Any]:
    """8 paths in all: type, source, and six of data."""
    data: dict[str, Any] = {}
    rule: dict[str, Any] = {"data": data}
    customer, amount = f"c-{dice.randrange(_CUSTOMERS):06d}", dice.randrange(1_000_000)
    kind = dice.random()
    if kind < 0.40:
        rule["type"], data["customer_id"] = [dice.choice(_TYPES)], [customer]
    elif kind < 0.60:
        data["order_id"] = [f"o-{dice.randrange(_CUSTOMERS):06d}"]
    elif kind < 0.80:
        rule["source"], data["country"], data["customer_id"] = [dice.choice(_SOURCES)], ["FR", "DE"], [customer]
    elif kind < 0.90:
        rule["type"], data["currency"], data["customer_id"] = dice.sample(_TYPES, 2), ["EUR"], [customer]
    elif kind < 0.925:
        rule["type"], data["amount_minor"] = [dice.choice(_TYPES)], [{"numeric": [">=", amount, "<", amount + 100]}]
    elif kind < 0.95:
        rule["type"], data["order_id"] = [dice.choice(_TYPES)], [{"prefix": f"o-{dice.randrange(100_000):05d}"}]
    elif kind < 0.975:
        data["customer_id"], data["currency"] = [customer], [{"anything-but": ["JPY", "GBP"]}]
    else:
        data["customer_id"], data["channel"] = [customer], [{"exists": number % 2 == 0}]
    return rule


def _many_paths_event(dice: random.Random) -> bytes:
    data = {f"field_{dice.randrange(194):03d}": f"v-{dice.randrange(_VALUES):05d}" for _ in range(9)}
    event = {
        "specversion": "1.0",
        "id": f"{dice.getrandbits(64):016x}",
        "source": dice.choice(_SOURCES),
        "type": dice.choice(_TYPES),
        "time": "2025-01-02T03:04:05Z",
        "data": data,
    }
    return orjson.dumps(event)


def _many_paths_rule(dice: random.Random, number: int) -> dict[str, Any]:
    field, value = f"field_{number % 194:03d}", f"v-{dice.randrange(_VALUES):05d}"
    kind = dice.random()
    if kind < 0.60:
        return {"type": [dice.choice(_TYPES)], "data": {field: [value]}}
    if kind < 0.90:
        return {"data": {field: [value, f"v-{dice.randrange(_VALUES):05d}"]}, "source": [dice.choice(_SOURCES)]}
    if kind < 0.93:
        return {"type": [dice.choice(_TYPES)], "data": {field: [{"prefix": value[:6]}]}}
    if kind < 0.96:
        return {"data": {field: [value]}, "source": [{"anything-but": [dice.choice(_SOURCES)]}]}
    other = f"field_{(number + dice.randrange(1, 194)) % 194:03d}"
    return {"data": {field: [value], other: [{"exists": number % 4 != 0}]}}


def _memory_and_upkeep() -> None:
    """In a process of its own: memory that other sections have freed would be reused and not be seen to grow."""
    print("== 100,000 rules: memory and upkeep", flush=True)
    subprocess.run([sys.executable, str(Path(__file__).resolve()), "upkeep"], check=True)


def _upkeep() -> None:
    dice = random.Random(7)
    index: PatternIndex[int] = PatternIndex()
    before = _resident_megabytes()
    started = time.process_time()
    for number in range(100_000):
        index.add(number, parse_pattern(_few_paths_rule(dice, number)))
    built = time.process_time() - started
    print(f"   {_resident_megabytes() - before:.0f} MB resident with their patterns; parsed and added in {built:.1f} s")
    patterns = [parse_pattern(_few_paths_rule(dice, number)) for number in range(3_000)]
    for collector, thaw in (("as it comes", gc.unfreeze), ("index frozen out of garbage collection", gc.freeze)):
        gc.collect()
        thaw()
        adds, removes = [], []
        for number, pattern in enumerate(patterns, 100_000):
            started = time.process_time()
            index.add(number, pattern)
            adds.append(time.process_time() - started)
        for number, _ in enumerate(patterns, 100_000):
            started = time.process_time()
            index.remove(number)
            removes.append(time.process_time() - started)
        print(f"   {collector}:")
        for name, seconds in (("add one", adds), ("remove one", removes)):
            seconds.sort()
            half, most, worst = (seconds[at] * 1e6 for at in (len(seconds) // 2, len(seconds) * 99 // 100, -1))
            print(f"     {name}: median {half:.0f} µs, 99 % {most:.0f} µs, worst {worst:.0f} µs")


def _resident_megabytes() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss / 2**20)


def _city_lots() -> None:
    folder = _CORPUS / "event-ruler-bench"
    if not folder.exists():
        print("== the 71 public benchmark rules: the corpus is not here")
        return
    groups = json.loads((folder / "rules_and_counts.json").read_text(encoding="utf-8"))["groups"]
    rules = [(name, row) for name, rows in groups.items() for row in rows]
    index: PatternIndex[int] = PatternIndex()
    for number, (_, row) in enumerate(rules):
        index.add(number, parse_pattern(row["rule"]))
    with gzip.open(folder / "synthetic_citylots.jsonl.gz", "rb") as lines:
        events = lines.read().splitlines()
    counts: Counter[int] = Counter()
    started = time.perf_counter()
    for raw in events:
        counts.update(index.candidates(read_event(raw)))
    seconds = time.perf_counter() - started
    wrong = [name for number, (name, row) in enumerate(rules) if counts[number] != row["matches_in_synthetic_30k"]]
    loads, read, match = _interleaved([orjson.loads, read_event, _matcher(index)], events[:2000], rounds=5)
    print(f"== the {len(rules)} public benchmark rules over {len(events):,} events of {len(events[0])} bytes")
    print(f"   counts that differ: {wrong or 'none'}; first pass {seconds / len(events) * 1e6:.1f} µs an event")
    slow = sum(type(read_event(raw)) is not dict for raw in events) / len(events)
    print(f"   loads {loads:.1f} µs, read {read:.1f} µs, read+match {match:.1f} µs; read slowly: {slow:.1%}")


def _large_event(dice: random.Random) -> bytes:
    event = orjson.loads(_few_paths_event(dice))
    event["data"]["lines"] = [{"sku": f"s-{number}", "quantity": number % 7, "note": "x" * 40} for number in range(330)]
    return orjson.dumps(event)


def _one_pattern() -> None:
    event = read_event(_large_event(random.Random(1)))
    event["data"]["currency"] = "EUR"
    exact = parse_pattern({"tenantid": ["t-1"], "data": {"currency": ["EUR"]}})
    in_lines = parse_pattern({"data": {"lines": {"sku": ["s-300"], "quantity": [6]}}})
    one, lines_match, why = _interleaved(
        [
            lambda _: matches(exact, event),
            lambda _: matches(in_lines, event),
            lambda _: explain(in_lines, event),
        ],
        [b""] * 20,
        rounds=5,
    )
    print("== one pattern, asked by itself of an event of 27 KB")
    print(f"   on two scalars {one:.1f} µs, on 330 lines {lines_match:.0f} µs, explained {why:.0f} µs")


if __name__ == "__main__":
    _upkeep() if sys.argv[1:] == ["upkeep"] else main()
