"""Contract tests run on the event loop that the services run on: it is not asyncio's own in what a closed connection does."""

import asyncio

import pytest
import uvloop


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """pytest-asyncio would rather have its hook for loop factories, which makes a session's fixtures anew for each test."""
    return uvloop.EventLoopPolicy()
