"""The OpenAPI 3.1 document, built from the route table: what is described is what is served.

Takes a while to import and to make: only who asks for it does either.
Next: `docs_page.py` renders it for people, `description.py` serves both.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from openapi_pydantic import OpenAPI
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from shared.runtime.http.body import JSON_TYPE
from shared.runtime.http.problems import PROBLEM_CONTENT_TYPE, ProblemDocument
from shared.runtime.http.routing import About, Route

_PARAMETER = re.compile(r"\{([a-z_]+)\}")
_SCHEME = "bearer"
_REFERENCE = "#/components/schemas/{model}"
_Schemas = Mapping[tuple[Any, JsonSchemaMode], Mapping[str, object]]  # Any: pydantic's key is a model or a dataclass
_Components = Mapping[str, Mapping[str, object]]


def openapi_document(routes: Sequence[Route], about: About) -> dict[str, object]:
    """The document as JSON values, checked by openapi-pydantic."""
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ProblemDocument, "serialization"): None}
    for route in routes:
        for model in (route.request, route.query):
            if model is not None:
                wanted[model, "validation"] = None
        for returns in route.responses.values():
            if returns.model is not None:
                wanted[returns.model, "serialization"] = None
    schemas, definitions = models_json_schema(list(wanted), ref_template=_REFERENCE)
    components = definitions.get("$defs", {})
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, components)
    document: dict[str, object] = {
        "openapi": "3.1.1",
        "info": {"title": about.title, "version": about.version, "description": about.description},
        "tags": [{"name": name, "description": text} for name, text in about.tags],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                _SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "HS256; claims iss, aud, sub, exp, tenant_id, roles. The tenant is the token's.",
                }
            },
        },
    }
    OpenAPI.model_validate(document)
    return document


def _operation(route: Route, schemas: _Schemas, components: _Components) -> dict[str, object]:
    operation: dict[str, object] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "tags": [route.tag],
        "responses": _responses(route, schemas),
    }
    if route.description:
        operation["description"] = route.description
    parameters = _parameters(route, schemas, components)
    if parameters:
        operation["parameters"] = parameters
    body = _request_body(route, schemas)
    if body is not None:
        operation["requestBody"] = body
    if route.roles is not None:
        operation["security"] = [{_SCHEME: list(route.roles)}]
    return operation


def _parameters(route: Route, schemas: _Schemas, components: _Components) -> list[dict[str, object]]:
    found: list[dict[str, object]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        schema = components[str(schemas[route.query, "validation"]["$ref"]).rpartition("/")[2]]
        required = schema.get("required", [])
        properties = schema.get("properties", {})
        if not isinstance(required, list) or not isinstance(properties, dict):
            raise TypeError(f"{route.query.__name__} is no plain object")
        for name, each in properties.items():
            inner = {key: value for key, value in each.items() if key not in ("description", "title")}
            found.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in required,
                    "description": each.get("description", ""),
                    "schema": inner,
                }
            )
    found.extend(
        {
            "name": header.name,
            "in": "header",
            "required": header.required,
            "description": header.description,
            "schema": {"type": "string"},
        }
        for header in route.headers
    )
    return found


def _request_body(route: Route, schemas: _Schemas) -> dict[str, object] | None:
    if route.request_is_raw:
        return {"required": True, "content": {"*/*": {}}}
    if route.request is None:
        return None
    media = {"schema": schemas[route.request, "validation"]}
    content = {JSON_TYPE: media}
    if route.yaml:
        content["application/yaml"] = media
    required = any(each.is_required() for each in route.request.model_fields.values())
    return {"required": required, "content": content}


def _responses(route: Route, schemas: _Schemas) -> dict[str, object]:
    answers: dict[str, object] = {}
    for status, returns in route.responses.items():
        answer: dict[str, object] = {"description": returns.description}
        if returns.model is not None:
            answer["content"] = {returns.content_type: {"schema": schemas[returns.model, "serialization"]}}
        elif returns.content_type != JSON_TYPE or status == HTTPStatus.OK:
            answer["content"] = {returns.content_type: {}}
        if returns.headers:
            answer["headers"] = {
                name: {"description": text, "schema": {"type": "string"}} for name, text in returns.headers.items()
            }
        answers[str(status)] = answer
    problem = {PROBLEM_CONTENT_TYPE: {"schema": schemas[ProblemDocument, "serialization"]}}
    for status, when in sorted(_errors(route).items()):
        answers.setdefault(str(status), {"description": when, "content": problem})
    return answers


def _errors(route: Route) -> dict[int, str]:
    """The problems that the boundary answers for every such route, and the route's own."""
    errors: dict[int, str] = {}
    if route.roles is not None:
        errors[401] = "No token, or one that is expired, foreign or garbled."
    if route.roles:
        errors[403] = f"The token lacks the role: {' or '.join(route.roles)}."
    if route.query is not None or route.roles is not None:
        errors[400] = "The query cannot be used."
    if route.request is not None or route.request_is_raw:
        errors[400] = "The body or the query cannot be read."
        errors[408] = "The body did not arrive in time."
        errors[413] = f"The body has more than {route.body_bytes_max} bytes."
        errors[415] = "The body is in a `Content-Encoding` that is not taken."
    if route.request is not None:
        errors[415] = "The body is of a type, or in a `Content-Encoding`, that is not taken."
        errors[route.invalid_status] = "The body does not fit: `errors` names each place."
    if route.method != "GET" or route.path.startswith("/api/"):
        errors[503] = "A part of the platform does not answer; repeat it after `Retry-After` seconds."
    return {**errors, **route.errors}
