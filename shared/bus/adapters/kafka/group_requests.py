"""Two requests in the versions that know static members; aiokafka 0.14.0 sends older ones.

With the name of the member (`group_instance_id`) in it, a heartbeat tells apart who was replaced from who was silent too
long, and leaving takes effect at once.
"""

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

_TEXT = String("utf-8")


class HeartbeatResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 12
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class HeartbeatStruct(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = HeartbeatResponse
    SCHEMA = Schema(("group", _TEXT), ("generation_id", Int32), ("member_id", _TEXT), ("group_instance_id", _TEXT))


class Heartbeat(Request[HeartbeatStruct]):  # type: ignore[misc]  # as above
    API_KEY = 12

    def __init__(self, group: str, generation: int, member: str, instance: str) -> None:
        self._arguments = (group, generation, member, instance)

    def build(self, request_struct_class: type[HeartbeatStruct]) -> HeartbeatStruct:
        return request_struct_class(*self._arguments)


class LeaveGroupResponse(Response):  # type: ignore[misc]  # as above
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("members", Array(("member_id", _TEXT), ("group_instance_id", _TEXT), ("error_code", Int16))),
    )


class LeaveGroupStruct(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = LeaveGroupResponse
    SCHEMA = Schema(("group", _TEXT), ("members", Array(("member_id", _TEXT), ("group_instance_id", _TEXT))))


class LeaveGroup(Request[LeaveGroupStruct]):  # type: ignore[misc]  # as above
    API_KEY = 13

    def __init__(self, group: str, member: str, instance: str) -> None:
        self._arguments = (group, [(member, instance)])

    def build(self, request_struct_class: type[LeaveGroupStruct]) -> LeaveGroupStruct:
        return request_struct_class(*self._arguments)
