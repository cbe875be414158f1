"""POST /v1/stripe/webhook: a signed hint that something changed at Stripe."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio.to_thread
import structlog
from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from billing.api.door import TheDoor, answer
from billing.api.openapi import errors, good
from billing.api.problems import ProblemError
from billing.payments.errors import BadWebhook
from billing.payments.webhooks import Handled, receive

_log = structlog.get_logger()

router = APIRouter(tags=["stripe"])


class WebhookAnswer(BaseModel):
    handled: Handled


@router.post(
    "/v1/stripe/webhook",
    summary="Take in a webhook of Stripe",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {
                        "id": "evt_1",
                        "type": "invoice.paid",
                        "data": {"object": {"id": "in_1", "object": "invoice"}},
                    },
                }
            },
        }
    },
    responses=good(WebhookAnswer) | errors(400, 413, 422, 502, 503),
)
async def webhook(
    request: Request,
    door: TheDoor,
    stripe_signature: Annotated[str | None, Header(description="Made by Stripe with our secret.")] = None,
) -> Response:
    """Trusted for its signature, not for an API key. The invoice it names is fetched from Stripe, so that
    order, repetition and lateness do not matter; 503 where Stripe cannot be asked, and it delivers again.
    What came of each is counted at /metrics."""
    service = door.service
    if service.gateway is None or not service.settings.stripe_webhook_secrets:
        raise ProblemError(
            503, "Stripe is not configured; set BILLING_STRIPE_API_KEY and BILLING_STRIPE_WEBHOOK_SECRET"
        )
    payload = await request.body()
    try:
        take_in = partial(
            receive,
            service.engine,
            service.gateway,
            payload,
            stripe_signature,
            service.settings.stripe_webhook_secrets,
            service.now(),
        )
        handled = await anyio.to_thread.run_sync(take_in, limiter=door.webhook_threads)
    except Exception as error:
        result = type(error).__name__.lower() if isinstance(error, BadWebhook) else "failed"
        door.metrics.webhook(result)
        _log.warning("webhook of Stripe not taken in", result=result, error=str(error))
        raise
    door.metrics.webhook(handled)
    if handled == "applied":
        await run_in_threadpool(service.reward_referrals)
    return answer({"handled": handled})
