"""What this process knows of the ends of partitions, and whom to wake when one moves.

Three sources feed it: appends through this bus, other processes' notifications, and the poll behind both.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol


class Follower(Protocol):
    """Somebody who waits for records of one topic."""

    def advanced(self, partition: int, high: int) -> None:
        """Partition `partition` now ends before `high`."""
        ...

    def wake(self) -> None:
        """At least one partition advanced."""
        ...


class Heads:
    """Highest known end offset by topic and partition. Ends never fall."""

    def __init__(self) -> None:
        self._highs: dict[str, dict[int, int]] = {}
        self._followers: dict[str, set[Follower]] = {}

    def high(self, topic: str, partition: int) -> int:
        """The known end; 0 while nothing is known."""
        return self._highs.get(topic, {}).get(partition, 0)

    def highs(self, topic: str) -> Mapping[int, int]:
        """All known ends of a topic."""
        return self._highs.get(topic, {})

    def follow(self, topic: str, follower: Follower) -> None:
        """Tell `follower` of what advances from now on."""
        self._followers.setdefault(topic, set()).add(follower)

    def unfollow(self, topic: str, follower: Follower) -> None:
        """No more of it. Harmless when it does not follow."""
        if followers := self._followers.get(topic):
            followers.discard(follower)
            if not followers:
                del self._followers[topic]

    def is_followed(self, topic: str) -> bool:
        """Whether somebody follows the topic."""
        return topic in self._followers

    def followed_topics(self) -> list[str]:
        """Topics that somebody follows."""
        return list(self._followers)

    def advance(self, topic: str, ends: Iterable[tuple[int, int]]) -> None:
        """Take in (partition, end) pairs and wake the topic's followers if any is news."""
        known = self._highs.setdefault(topic, {})
        followers = self._followers.get(topic, ())
        news = False
        for partition, high in ends:
            if high > known.get(partition, 0):
                known[partition] = high
                news = True
                for follower in followers:
                    follower.advanced(partition, high)
        if news:
            for follower in followers:
                follower.wake()
