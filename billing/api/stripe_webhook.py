"""POST /v1/stripe/webhook: a signed hint that something changed at Stripe."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from billing.api.door import TheDoor, answer
from billing.api.openapi import errors, good
from billing.api.problems import ProblemError
from billing.payments.webhooks import Handled, receive

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
    order, repetition and lateness do not matter; 503 where Stripe cannot be asked, and it delivers again."""
    service = door.service
    secret = service.settings.stripe_webhook_secret
    if service.gateway is None or secret is None or not secret.get_secret_value():
        raise ProblemError(
            503, "Stripe is not configured; set BILLING_STRIPE_API_KEY and BILLING_STRIPE_WEBHOOK_SECRET"
        )
    payload = await request.body()
    handled = await run_in_threadpool(
        receive,
        service.engine,
        service.gateway,
        payload,
        stripe_signature,
        secret.get_secret_value(),
        service.now(),
    )
    if handled == "applied":
        await run_in_threadpool(service.reward_referrals)
    return answer({"handled": handled})
