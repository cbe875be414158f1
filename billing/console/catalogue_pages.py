"""Plans and their versions, and what a draft of one would do to those who are on it."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from billing.console.visit import Visit
from billing.console.work import Stages, report_of
from billing.errors import Invalid
from billing.plan_migration import preview_plan
from billing.plans import list_plans, show_plan
from billing.pricing.errors import PricingError
from billing.pricing.plan_file import parse_plan_file
from metering.period import Month

_NAME = re.compile(r"[\w .()-]{1,80}\.(ya?ml|json|toml)", re.ASCII | re.IGNORECASE).fullmatch
# One job at a time, whoever previews what.
SUBJECT = "draft"
EXAMPLE = """plan: starter
version: 2027-01
effective_from: 2027-01-01
currency: USD
brackets:
  - {up_to: 10000, unit_price: "0"}
  - {up_to: 100000, unit_price: "0.003"}
  - {up_to: null, unit_price: "0.002"}
"""


def list_(visit: Visit) -> Response:
    month = Month.of(visit.now)
    catalogue = list_plans(visit.service.engine)
    versions = sorted(catalogue, key=lambda each: (each.plan, each.effective_from))
    return visit.page("catalogue.html", versions=versions, month=month)


def show(visit: Visit) -> Response:
    version = show_plan(visit.service.engine, visit.param("plan"), Month.of(visit.now))
    return visit.page("plan_shown.html", version=version)


def draft(visit: Visit) -> Response:
    """The form, and what the preview before came to."""
    return _draft(visit, EXAMPLE)


def preview(visit: Visit) -> Response:
    """Of a text that was pasted, or of a file."""
    service, instead_of = visit.service, visit.field("instead_of") or None
    # A browser sends the end of a line as two characters.
    text = (visit.form.get("file", [""])[0] or visit.form.get("text", [""])[0]).replace("\r\n", "\n")
    given = visit.field("file.name")
    name = given if _NAME(given) else "the draft.yaml"
    try:
        if not text.strip():
            raise Invalid("paste a plan, or choose a file", field="plan")
        parse_plan_file(text, name)  # said on the form, not behind it
    except (Invalid, PricingError) as error:
        return _draft(visit, text, str(error))

    def do(stages: Stages) -> dict[str, Any]:
        report = preview_plan(
            service.engine,
            service.store,
            text,
            name,
            now=service.now(),
            instead_of=instead_of,
            progress=stages("accounts priced"),
        )
        return {**report.to_data(), "moved": len(report.moved), "text": text[:20_000]}

    return visit.begin("preview", SUBJECT, do)


def _draft(visit: Visit, text: str, wrong: str | None = None) -> Response:
    held = visit.work.last("preview", SUBJECT)
    found = report_of(held)
    if found is not None and wrong is None and text == EXAMPLE:
        text = found["text"]
    names = sorted({each.plan for each in list_plans(visit.service.engine)})
    return visit.page(
        "plan_draft.html",
        200 if wrong is None else 422,
        text=text,
        wrong=wrong,
        job=held,
        found=found,
        plans=names,
        instead_of=visit.field("instead_of"),
    )
