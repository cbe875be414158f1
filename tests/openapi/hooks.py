"""What Schemathesis is told besides the description (SCHEMATHESIS_HOOKS): how to write formats that it does
not know, and not to end the key that it has."""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis

OWN_KEY = "BILLING_TEST_OWN_KEY"


def _text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "backslashreplace")


@schemathesis.serializer("application/x-ndjson", "text/csv")
def lines(_context: Any, value: Any) -> bytes:
    if isinstance(value, list):
        return "\n".join(json.dumps(each) for each in value).encode()
    return _text(value)


@schemathesis.serializer("application/toml")
def toml(_context: Any, value: Any) -> bytes:
    if isinstance(value, dict):
        return "\n".join(f"{name} = {json.dumps(held)}" for name, held in value.items()).encode()
    return _text(value)


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    if case.path_parameters.get("key_id") == os.environ[OWN_KEY]:
        case.path_parameters["key_id"] = "key_of_nobody"
