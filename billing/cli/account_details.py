"""The options for what an account's invoices say of the customer, and how they are paid."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str | None, typer.Option(help="The customer's name on invoices; empty: the id.")]
Email = Annotated[str | None, typer.Option(help="Where Stripe sends invoices.")]
Line1 = Annotated[str | None, typer.Option(help="The first line of the address.")]
Line2 = Annotated[str | None, typer.Option(help="The second line of the address.")]
City = Annotated[str | None, typer.Option()]
PostalCode = Annotated[str | None, typer.Option()]
State = Annotated[str | None, typer.Option(help="Or province, or region.")]
Country = Annotated[str | None, typer.Option(help="A code such as DE.")]
TaxIdType = Annotated[str | None, typer.Option(help="One of Stripe's, such as eu_vat.")]
TaxId = Annotated[str | None, typer.Option(help="Such as DE123456789; with its type.")]
TaxExempt = Annotated[
    str | None, typer.Option(help="none, exempt, or reverse for a reverse charge; by default none.")
]
PurchaseOrder = Annotated[str | None, typer.Option(help="The customer's order number.")]
Collection = Annotated[
    str | None,
    typer.Option(
        help="charge: the payment method that Stripe has. send: the invoice, to be paid. automatic (the "
        "default): charge where there is a payment method, else send."
    ),
]
DaysUntilDue = Annotated[int | None, typer.Option(help="Of invoices that are sent; by default 30.")]


def given(**options: str | int | None) -> dict[str, str | int]:
    """Those that were given."""
    return {name: value for name, value in options.items() if value is not None}
