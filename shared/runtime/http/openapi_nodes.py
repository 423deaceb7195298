"""Walking an OpenAPI document that is plain JSON values: what is no object, or no list, is a bug of ours."""

from collections.abc import Mapping, Sequence

Node = Mapping[str, object]


def as_node(value: object) -> Node:
    """An object of the document."""
    if not isinstance(value, Mapping):
        raise TypeError("an object was expected in the OpenAPI document")
    return value


def as_list(value: object) -> Sequence[object]:
    """A list of the document."""
    if not isinstance(value, list | tuple):
        raise TypeError("a list was expected in the OpenAPI document")
    return value


def operations_of(document: Node) -> list[tuple[str, str, Node]]:
    """(method in capitals, path, operation), in the order of the route table."""
    return [
        (method.upper(), path, as_node(operation))
        for path, item in as_node(document["paths"]).items()
        for method, operation in as_node(item).items()
    ]
