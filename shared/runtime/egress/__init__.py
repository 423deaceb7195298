"""Outgoing HTTP, the only way out of Upshot: parse once, dial what was checked, read no more than asked.

Start at `url.py` (the strict parser), then `policy.py` (what may be reached), `dial.py` (the guard on the address
actually dialled), `client.py` (the one keep-alive client).
"""

from shared.runtime.egress.client import Answer, OutgoingClient, OutgoingRequest
from shared.runtime.egress.policy import EgressPolicy, check_url
from shared.runtime.egress.settings import EgressSettings
from shared.runtime.egress.trouble import EgressRefused, ReceiverTimeout, ReceiverUnreachable
from shared.runtime.egress.url import Target, parse_url

__all__ = [
    "Answer",
    "EgressPolicy",
    "EgressRefused",
    "EgressSettings",
    "OutgoingClient",
    "OutgoingRequest",
    "ReceiverTimeout",
    "ReceiverUnreachable",
    "Target",
    "check_url",
    "parse_url",
]
