"""How tests spread over workers under `--dist loadgroup`: what shares a costly server stays together, what is slow begins first.

A test's group is what `xdist_group` marks it with; else `kafka`, if it asks for the shared broker, or `kafka-secured`, if it asks
for the secured one; else its file. Markers are
known to workers alone, and the scheduler is the controller's: so each worker writes the groups down where the controller
says. (xdist itself writes them into the tests' ids, which pytest 9.2 does not let it change any more.) `tests/conftest.py` has
these hooks.
"""

import json
import os
import tempfile
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

KAFKA = "kafka"
"""What the names of its groups begin with: there are several, so that workers share what they hold."""
_PLACE = "upshot_groups"  # the key of what the controller tells its workers
_FILE = pytest.StashKey[Path]()


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist's classes are untyped
    """A group goes to one worker, whole; a worker that is nearly done gets the next."""

    def __init__(self, config: pytest.Config, log: Producer, file: Path) -> None:
        super().__init__(config, log)
        self._file = file
        self._groups: dict[str, str] = {}

    def schedule(self) -> None:
        """Called once all workers have collected, and have written the same."""
        if self._file.exists():
            self._groups = json.loads(self._file.read_text(encoding="utf-8"))
            self._file.unlink()
        super().schedule()

    def remove_node(self, node: WorkerController) -> str | None:
        """The test that a worker died of has failed; the rest of its group goes on. xdist would begin with that test again."""
        units = self.assigned_work[node]
        died_of: str | None = next((each for unit in units.values() for each, done in unit.items() if not done), None)
        for scope, unit in list(units.items()):
            if died_of in unit:
                unit[died_of] = True
            if all(unit.values()):
                del units[scope]
        super().remove_node(node)
        return died_of

    def _reschedule(self, node: WorkerController) -> None:
        """A worker that replaces another has to collect first; `schedule` is called again then."""
        if node in self.registered_collections:
            super()._reschedule(node)

    def _split_scope(self, nodeid: str) -> str:
        return self._groups[nodeid]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling | None:
    """Ours in place of xdist's own for groups."""
    if config.getvalue("dist") != "loadgroup":
        return None
    return GroupScheduling(config, log, config.stash[_FILE])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """In the controller, before a worker starts: say where it writes the groups."""
    stash = node.config.stash
    if _FILE not in stash:
        descriptor, name = tempfile.mkstemp(prefix="upshot-groups-", suffix=".json")
        os.close(descriptor)
        stash[_FILE] = Path(name)
    node.workerinput[_PLACE] = str(stash[_FILE])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Nothing is left behind where tests never began."""
    if (file := config.stash.get(_FILE, None)) is not None:
        file.unlink(missing_ok=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with Kafka's, the longest groups of all, and with what is marked `slow`."""
    groups = {item.nodeid: group_of(item) for item in items}
    items.sort(key=lambda item: not groups[item.nodeid].startswith(KAFKA) and item.get_closest_marker("slow") is None)
    if (place := getattr(config, "workerinput", {}).get(_PLACE)) is not None:
        whole = Path(f"{place}.{os.getpid()}")
        whole.write_text(json.dumps(groups), encoding="utf-8")
        whole.replace(place)


def group_of(item: pytest.Item) -> str:
    """The name of its group."""
    if (marker := item.get_closest_marker("xdist_group")) is not None:
        return str(marker.args[0])
    fixtures = getattr(item, "fixturenames", ())
    if "secured_kafka" in fixtures:
        return f"{KAFKA}-secured"
    if "kafka_broker" in fixtures:
        return KAFKA
    return item.nodeid.partition("::")[0]
