"""What an account's invoices say of the customer, and how they are to be paid: a value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from billing.errors import Invalid

LONGEST = 200
# A field on Stripe's invoice holds no more.
LONGEST_PURCHASE_ORDER = 140
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII).fullmatch
_TAX_ID_TYPE = re.compile(r"[a-z]{2}_[a-z]{2,12}", re.ASCII).fullmatch
# Control characters, ends of lines, and half a pair of surrogates, which no database holds.
_NOT_IN_A_LINE = ("Cc", "Cs", "Zl", "Zp")
TAX_EXEMPTIONS = ("none", "exempt", "reverse")
COLLECTIONS = ("automatic", "charge", "send")


@dataclass(frozen=True, slots=True)
class BillingDetails:
    """Empty text: not given. `country` is a code such as DE; `tax_id_type` is one of Stripe's, such as
    `eu_vat`. `collection`: `charge` the payment method that Stripe has, `send` the invoice to be paid within
    `days_until_due`, or `automatic`: charge where there is a payment method, else send. `tax_exempt`:
    `none`, `exempt`, or `reverse` for a reverse charge; what follows from it is Stripe's."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    postal_code: str = ""
    state: str = ""
    country: str = ""
    tax_id_type: str = ""
    tax_id: str = ""
    purchase_order: str = ""
    collection: str = "automatic"
    days_until_due: int = 30
    tax_exempt: str = "none"

    def __post_init__(self) -> None:
        """Raises Invalid, naming the field."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "days_until_due":
                if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 365:
                    raise Invalid("days_until_due must be a whole number from 1 to 365", field=field.name)
            else:
                check_text(field.name, value)
        if len(self.purchase_order) > LONGEST_PURCHASE_ORDER:
            raise Invalid(
                f"purchase_order must have at most {LONGEST_PURCHASE_ORDER} characters",
                field="purchase_order",
            )
        if self.country and _COUNTRY(self.country) is None:
            raise Invalid(f"country {self.country!r} is not a code such as DE", field="country")
        if bool(self.tax_id) != bool(self.tax_id_type):
            raise Invalid("a tax id needs its type, such as eu_vat, and a type its id", field="tax_id")
        if self.tax_id_type and _TAX_ID_TYPE(self.tax_id_type) is None:
            raise Invalid(f"tax_id_type {self.tax_id_type!r} is not one such as eu_vat", field="tax_id_type")
        if self.collection not in COLLECTIONS:
            raise Invalid(
                f"collection {self.collection!r} is not one of {', '.join(COLLECTIONS)}", field="collection"
            )
        if self.tax_exempt not in TAX_EXEMPTIONS:
            raise Invalid(
                f"tax_exempt {self.tax_exempt!r} is not one of {', '.join(TAX_EXEMPTIONS)}",
                field="tax_exempt",
            )

    def to_data(self) -> dict[str, Any]:
        """Those that are not as they are by default."""
        if self == NO_DETAILS:
            return {}
        return {name: value for name, value in asdict(self).items() if value != getattr(NO_DETAILS, name)}


def details_of(bill_to: Mapping[str, Any]) -> BillingDetails:
    """The details that an invoice was made out with."""
    return BillingDetails(**{name: value for name, value in bill_to.items() if name not in ("name", "email")})


def check_text(field: str, text: object) -> None:
    """Raises Invalid for a text that cannot be kept or shown in one line."""
    if (
        not isinstance(text, str)
        or len(text) > LONGEST
        or any(unicodedata.category(character) in _NOT_IN_A_LINE for character in text)
    ):
        raise Invalid(
            f"{field} must be one line of at most {LONGEST} characters, without control characters",
            field=field,
        )


# What holds where nobody said otherwise.
NO_DETAILS = BillingDetails()
