"""Who sells: from the settings, and as it was when an invoice was issued.

A finalized invoice never changes, and neither does who it is from: whoever issues records the seller of the
settings first, if it is another one than before.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from billing.audit.trail import changing
from billing.billing_details import check_text
from billing.repository import sellers
from metering.database import reading
from metering.settings import Settings

_LINE_ENDS = re.compile(r"[;\n]")


@dataclass(frozen=True, slots=True)
class Seller:
    """Empty text: not given. The lines of `address` have semicolons between them."""

    name: str = ""
    address: str = ""
    tax_id: str = ""
    email: str = ""

    @property
    def lines(self) -> list[str]:
        """As they stand on a document: the name, the address, the tax id, the e-mail address."""
        address = [part.strip() for part in self.address.split(";")]
        tax_id = f"Tax ID {self.tax_id}" if self.tax_id else ""
        return [line for line in (self.name, *address, tax_id, self.email) if line]


def seller_of(settings: Settings) -> Seller:
    """Raises Invalid for a text that cannot be written in a line.

    >>> seller_of(Settings(_env_file=None, seller_name="Us", seller_address="1 Way; Town")).lines
    ['Us', '1 Way', 'Town']
    """
    address = [part.strip() for part in _LINE_ENDS.split(settings.seller_address)]
    for line in address:
        check_text("BILLING_SELLER_ADDRESS", line)
    for name in ("name", "tax_id", "email"):
        check_text(f"BILLING_SELLER_{name.upper()}", getattr(settings, f"seller_{name}"))
    return Seller(
        settings.seller_name, ";".join(filter(None, address)), settings.seller_tax_id, settings.seller_email
    )


def record_seller(engine: sa.Engine, settings: Settings, now: int) -> None:
    """To be called before an invoice is issued; writes only where the seller is another one than before, and
    has a name."""
    seller = seller_of(settings)
    if not seller.name:
        return
    with reading(engine) as connection:
        held = sellers.at(connection, now)
    if held != asdict(seller):
        with changing(engine, "seller.recorded", "seller", str(now), now=now) as connection:
            sellers.add(connection, now, asdict(seller))


def seller_at(engine: sa.Engine, settings: Settings, issued_at: int | None) -> Seller:
    """Who an invoice is from that was issued at an instant; of a draft (None), who would issue it now. Where
    none was recorded, the settings say. Raises Invalid as `seller_of`."""
    if issued_at is not None:
        with reading(engine) as connection:
            held = sellers.at(connection, issued_at)
        if held is not None:
            return Seller(**held)
    return seller_of(settings)
