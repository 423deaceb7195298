"""The API's description for people: one page of plain HTML from the OpenAPI document, nothing loaded from elsewhere."""

from collections.abc import Sequence
from html import escape

import orjson

from shared.runtime.http.openapi_nodes import Node, as_list, as_node, operations_of

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem 1.5rem 4rem}
h1{margin-bottom:.2rem}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}
nav ul{columns:2;padding-left:1rem;font-size:.9rem}nav a{text-decoration:none}
section.op{border:1px solid var(--line);border-radius:6px;padding:.6rem 1rem;margin:1rem 0}
section.op h3{margin:.2rem 0;font-size:1rem}code,pre{font:.86rem/1.45 ui-monospace,monospace}
.method{display:inline-block;min-width:3.4rem;font-weight:700}
table{border-collapse:collapse;width:100%;font-size:.9rem}
td,th{text-align:left;vertical-align:top;border-top:1px solid var(--line);padding:.25rem .6rem .25rem 0}
pre{background:var(--soft);padding:.6rem;overflow:auto;border-radius:4px}details{margin:.4rem 0}
.roles{font-size:.85rem;opacity:.8}
"""


def render_page(document: Node) -> str:
    """The whole page."""
    info = as_node(document["info"])
    operations = operations_of(document)
    tags = [(str(as_node(tag)["name"]), str(as_node(tag)["description"])) for tag in as_list(document["tags"])]
    known = {name for name, _ in tags}
    tags += [(name, "") for name in sorted({_tag(each) for _, _, each in operations} - known)]
    contents, chapters = [], []
    for name, text in tags:
        of_tag = [each for each in operations if _tag(each[2]) == name]
        if not of_tag:
            continue
        links = "".join(
            f'<li><a href="#{escape(str(operation["operationId"]))}"><code>{escape(method)} {escape(path)}'
            "</code></a></li>"
            for method, path, operation in of_tag
        )
        contents.append(f"<p><b>{escape(name)}</b></p><ul>{links}</ul>")
        chapters.append(f"<h2>{escape(name)}</h2><p>{escape(text)}</p>")
        chapters.extend(_section(method, path, operation) for method, path, operation in of_tag)
    title = escape(str(info["title"]))
    schemas = as_node(as_node(document["components"])["schemas"])
    models = "".join(
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>{_pre(schema)}</details>'
        for name, schema in sorted(schemas.items())
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>Version {escape(str(info['version']))} · "
        f'<a href="/openapi.json">openapi.json</a></p>{_paragraphs(str(info["description"]))}'
        f"<nav>{''.join(contents)}</nav>{''.join(chapters)}<h2>Models</h2>{models}</body></html>"
    )


def _section(method: str, path: str, operation: Node) -> str:
    roles = _roles(operation)
    body = as_node(operation.get("requestBody", {}))
    parts = [
        f'<section class="op" id="{escape(str(operation["operationId"]))}">',
        f'<h3><span class="method">{escape(method)}</span> <code>{escape(path)}</code></h3>',
        f"<p>{escape(str(operation['summary']))}</p>",
        _paragraphs(str(operation.get("description", ""))),
        f'<p class="roles">{escape(roles)}</p>',
        _parameter_table(as_list(operation.get("parameters", []))),
        f"<p>Body: {_media(as_node(body['content']))}</p>" if body else "",
        _answer_table(as_node(operation["responses"])),
        "</section>",
    ]
    return "".join(parts)


def _roles(operation: Node) -> str:
    security = as_list(operation.get("security", []))
    if not security:
        return "Open: no token."
    roles = [str(role) for each in security for names in as_node(each).values() for role in as_list(names)]
    return f"Token with {' or '.join(roles)}." if roles else "Any valid token."


def _parameter_table(parameters: Sequence[object]) -> str:
    rows = []
    for parameter in map(as_node, parameters):
        need = "required" if parameter.get("required") else "optional"
        rows.append(
            f"<tr><td><code>{escape(str(parameter['name']))}</code></td><td>{escape(str(parameter['in']))}, {need}</td>"
            f"<td>{escape(str(parameter.get('description', '')))}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _answer_table(responses: Node) -> str:
    rows = [
        f"<tr><td>{escape(status)}</td><td>{escape(str(as_node(response)['description']))}</td>"
        f"<td>{_media(as_node(as_node(response).get('content', {})))}</td></tr>"
        for status, response in sorted(responses.items())
    ]
    return f"<details><summary>Answers</summary><table>{''.join(rows)}</table></details>"


def _media(content: Node) -> str:
    shown = []
    for media_type, media in content.items():
        schema = as_node(as_node(media).get("schema", {}))
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        link = f' <a href="#schema-{escape(name)}">{escape(name)}</a>' if name else ""
        shown.append(f"<code>{escape(media_type)}</code>{link}")
    return ", ".join(shown)


def _tag(operation: Node | tuple[str, str, Node]) -> str:
    if isinstance(operation, tuple):
        operation = operation[2]
    return str(as_list(operation["tags"])[0])


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part)


def _pre(schema: object) -> str:
    return f"<pre>{escape(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())}</pre>"
