"""Tells the story of a seed on the real service, and says how to have it told again."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from billing.payments.stripe_gateway import StripeGateway
from billing.payments.stripe_sandbox import RunningSandbox
from tests.scenarios.office import EventFeed, Office
from tests.scenarios.story import story_from_data
from tests.scenarios.test_stories import tell_in
from tests.scenarios.verbs import VERBS
from tests.settled import stripe_client
from tests.simulator.commerce import happen
from tests.simulator.scene import Scene
from tests.simulator.writer import story_text

AGAIN = "BILLING_TEST_SEED={} python -m pytest tests/simulator"


def play(seed: int, engine: sa.Engine, mortal: sa.Engine | None = None) -> None:
    """Every tenth one with all that stories are checked for without being told. Raises AssertionError with
    the story as a file of tests/scenarios, and the command that tells it again."""
    _tell(happen(seed), engine, mortal, hurries=seed % 10 != 0)


def play_and_send(seed: int, engine: sa.Engine, sandbox: RunningSandbox) -> None:
    """In the end everything is sent to Stripe, and what Stripe has is compared too."""
    scene = happen(seed, at_stripe=True)
    office = _tell(scene, engine, None, hurries=True)
    gateway = StripeGateway(sandbox.api_key, api_base=sandbox.url)
    service = replace(office.service, gateway=gateway)
    for _ in range(2):  # the notes of an invoice follow it
        delivery = service.send_due()
        assert delivery.problems == {}, f"{delivery.problems}\n{AGAIN.format(seed)}"
    theirs = {
        str(each.metadata and each.metadata["invoice_id"]): each
        for each in stripe_client(sandbox).v1.invoices.list({"limit": 100}).auto_paging_iter()
    }
    expected = [each for each in scene.invoices() if each.live and each.total]
    assert len(theirs) == len(expected), AGAIN.format(seed)
    for invoice in expected:
        held = theirs[office.invoice(scene.name_of(invoice)).id]
        amounts = [line.amount for line in held.lines.auto_paging_iter()]
        assert sorted(amounts) == sorted(line.amount for line in invoice.lines), AGAIN.format(seed)
        assert held.total == invoice.total, AGAIN.format(seed)
        notes = held.pre_payment_credit_notes_amount + held.post_payment_credit_notes_amount
        assert notes == sum(invoice.notes.values()), AGAIN.format(seed)


def _tell(scene: Scene, engine: sa.Engine, mortal: sa.Engine | None, *, hurries: bool) -> Office:
    data, seed = scene.story.data, scene.seed
    try:
        office = Office(engine, EventFeed(engine), hurries=hurries, mortal=mortal)
        tell_in(office, story_from_data(data, f"seed-{seed}", VERBS))
        return office
    except Exception as error:
        notes = "\n".join([f"seed {seed}: {error}", *getattr(error, "__notes__", ()), AGAIN.format(seed)])
        raise AssertionError(f"{notes}\n\n{story_text(data)}") from error
