"""Settings of both houses, read from the environment or a `.env` file."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is the environment variable `BILLING_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="BILLING_", env_file=".env", extra="ignore")

    database_url: str = "sqlite:///billing.db"
    # ClickHouse, where it keeps the events; else the database does.
    events_url: SecretStr | None = None
    stripe_api_key: SecretStr | None = None
    stripe_api_base: str | None = None
    # One, or while one takes the place of the other two, separated by a comma.
    stripe_webhook_secret: SecretStr | None = None
    stripe_live: Literal["yes", "no"] = "no"
    stripe_automatic_tax: Literal["on", "off"] = "off"
    stripe_tax_rates: str = ""
    currency: str = Field("USD", pattern="^[A-Z]{3}$")
    grace_hours: int = Field(24, ge=0, le=24 * 60)
    late_days: int = Field(62, ge=0, le=36_500)
    schedule: Literal["on", "off"] = "off"
    prefect_url: str | None = None
    prefect_api_key: SecretStr | None = None
    referral_reward: Decimal = Field(Decimal("50.00"), ge=0)

    @property
    def stripe_webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that sign Stripe's webhooks; none where it is not configured."""
        text = self.stripe_webhook_secret.get_secret_value() if self.stripe_webhook_secret else ""
        return tuple(secret for part in text.split(",") if (secret := part.strip()))
