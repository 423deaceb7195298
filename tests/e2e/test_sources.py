"""What vendors are answered by a running platform."""

import pytest

from shared.testing.tenant_client import TenantClient

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_slack_is_answered_its_challenge_and_nothing_is_taken(tenant: TenantClient) -> None:
    # given
    source = await tenant.make_source("chat", "slack")

    # when
    answer = await tenant.deliver(source, {"type": "url_verification", "token": "t", "challenge": "3eZbrw1aBm2rZgRN"})

    # then
    assert answer.expect(200).body == "3eZbrw1aBm2rZgRN"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert await tenant.every("/api/v1/events") == []
