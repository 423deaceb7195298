"""A workflow document as a person would write it: without what every workflow has by default.

Guarantee: reading the short form gives the very document that it was made from.
"""

from collections.abc import Mapping

from shared.domain.errors import InvalidInput
from shared.workflows.document import parse_document


def short_form(document: Mapping[str, object]) -> dict[str, object]:
    """The document without its defaults, fields in the order in which they are described. One of a shape that this
    version does not know stays as it is."""
    try:
        parsed = parse_document(document)
    except InvalidInput:
        return dict(document)
    return parsed.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def whole_form(document: Mapping[str, object]) -> dict[str, object]:
    """The document with every default of this version in it. One of a shape that it does not know stays as it is."""
    try:
        return parse_document(document).model_dump(mode="json", by_alias=True)
    except InvalidInput:
        return dict(document)
