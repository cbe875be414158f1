"""billing stripe-sandbox"""

from __future__ import annotations

from typing import Annotated

import typer

from billing.cli.commands import command


def add_to(app: typer.Typer) -> None:
    command(app, "stripe-sandbox", example="billing stripe-sandbox --port 12111")(stripe_sandbox)


def stripe_sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="On loopback; 0 takes a free one.")] = 12111,
) -> None:
    """Serve the bundled stand-in for Stripe on loopback until interrupted. It forgets everything when it
    stops, and prints the settings that connect the service to it."""
    from billing.cli.serve import listening
    from billing.payments.stripe_sandbox import run_forever

    if port:
        listening("127.0.0.1", port).close()  # in use: one clear sentence
    run_forever(port=port)
