"""Who is in a log's consumer groups right now, for whoever must not work beside them."""

import asyncio
from collections.abc import Sequence

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient

from shared.bus.adapters.kafka.bus import group_id
from shared.bus.adapters.kafka.reaching import client_options, described, why_not
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.domain.errors import TransientError


async def live_members(settings: KafkaSettings, topics: Sequence[str]) -> list[str]:
    """Members' ids, of every group on these topics. `TransientError`: brokers are away."""
    beginnings = tuple(group_id(settings, "", topic) for topic in topics)
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        async with asyncio.timeout(settings.request_timeout_seconds):
            names = [name for name, *_ in await admin.list_consumer_groups() if name.startswith(beginnings)]
            found = await admin.describe_consumer_groups(names) if names else []
    except TimeoutError:
        raise TransientError("no broker told in time who is in the log's groups") from None
    except (kafka_errors.KafkaConnectionError, OSError) as error:
        raise await why_not(settings) from error
    except kafka_errors.KafkaError as error:
        raise TransientError(f"no broker tells who is in the log's groups: {described(error)}") from error
    finally:
        await admin.close()
    return sorted({member[0] for response in found for group in response.groups for member in group[5]})
