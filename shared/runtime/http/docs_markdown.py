"""The API's reference page as Markdown, from the OpenAPI document: for readers without a running platform."""

from shared.runtime.http.openapi_nodes import Node, as_list, as_node, operations_of

_HEAD = """# HTTP API

{description}

A running platform describes itself at `/docs` (for people) and `/openapi.json` (OpenAPI 3.1), models included. This page is
made from the same route table (`python scripts/reference.py`); a test fails when it is not current.
"""


def render_api_page(document: Node) -> str:
    """The page: a chapter a tag, an entry an operation."""
    operations = operations_of(document)
    parts = [_HEAD.format(description=as_node(document["info"])["description"])]
    for tag in map(as_node, as_list(document["tags"])):
        of_tag = [each for each in operations if tag["name"] in as_list(each[2]["tags"])]
        if of_tag:
            parts.append(f"## {tag['name']}\n\n{tag['description']}\n")
            parts.extend(_entry(*each) for each in of_tag)
    return "\n".join(parts)


def _entry(method: str, path: str, operation: Node) -> str:
    lines = [f"### `{method} {path}`", "", f"{operation['summary']}. {operation.get('description', '')}".strip(), ""]
    security = [names for each in as_list(operation.get("security", [])) for names in as_node(each).values()]
    if security:
        roles = [str(role) for names in security for role in as_list(names)]
        lines.append(f"- token: {' or '.join(f'`{role}`' for role in roles) if roles else 'any valid one'}")
    for parameter in map(as_node, as_list(operation.get("parameters", []))):
        need = ", required" if parameter.get("required") and parameter["in"] != "path" else ""
        said = f": {parameter['description']}" if parameter.get("description") else ""
        if parameter["in"] != "path":
            lines.append(f"- {parameter['in']} `{parameter['name']}`{need}{said}")
    body = as_node(operation.get("requestBody", {}))
    if body:
        lines.append(f"- body: {_media(as_node(body['content']))}")
    for status, answer in sorted(as_node(operation["responses"]).items()):
        shown = _media(as_node(as_node(answer).get("content", {})))
        lines.append(
            f"- {status}: {as_node(answer)['description']}" + (f" {shown}" if shown and status < "400" else "")
        )
    return "\n".join([*lines, ""])


def _media(content: Node) -> str:
    shown = []
    for media_type, media in content.items():
        model = str(as_node(as_node(media).get("schema", {})).get("$ref", "")).rpartition("/")[2]
        shown.append(f"`{media_type}`" + (f" ({model})" if model else ""))
    return ", ".join(shown)
