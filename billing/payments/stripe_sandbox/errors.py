"""Errors in Stripe's shape: what the sandbox answers when it refuses.

    ApiError                  an answer other than 200, with Stripe's `error` object as its body
      ParameterError       refused while the parameters were read, before anything ran: such an answer is
                              never kept for an idempotency key, so that a corrected request may reuse the key

The texts are Stripe's own where they are known; callers should rely on `type`, `code` and `param` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An error answer: HTTP `status`, and the fields of Stripe's error object."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        self.more = more

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON body; absent fields are left out, as Stripe leaves them out."""
        error: dict[str, Any] = {}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        error["message"] = self.message
        if self.param is not None:
            error["param"] = self.param
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        error["type"] = self.type
        return {"error": {**error, **self.more}}


class ParameterError(ApiError):
    """Parameters that cannot be read: 400, before anything ran."""

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(400, message, code=code, param=param)


def refused(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    """A request that reads well and is not allowed now, e.g. a line for an invoice that is open."""
    return ApiError(400, message, code=code, param=param)


def missing(noun: str, id: str, *, param: str, in_path: bool = False) -> ApiError:
    """There is no such object: 404 where the path names it, 400 where a parameter does."""
    status = 404 if in_path else 400
    return ApiError(status, f"No such {noun}: '{id}'", code="resource_missing", param=param)


def unauthorized(message: str) -> ApiError:
    """No key, or one that the sandbox does not take."""
    return ApiError(401, message, headers={"WWW-Authenticate": 'Basic realm="Stripe"'})
