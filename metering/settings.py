"""Settings of both houses, read from the environment or a `.env` file."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFECT_KEY = "BILLING_PREFECT_API_KEY"
_RATE = r"^(off|[1-9][0-9]{0,8}/[1-9][0-9]{0,4})$"


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
    # Where customers reach the service, for links; and the sites that may show the pages in a frame.
    public_url: str = Field("http://127.0.0.1:8000", pattern="^https?://[^/]+")
    embed_origins: str = Field("", pattern=r"^(https?://[A-Za-z0-9.*:_-]+ ?)*$")
    currency: str = Field("USD", pattern="^[A-Z]{3}$")
    # Who sells, for the PDF of an invoice; an address has a semicolon or the end of a line between its lines.
    seller_name: str = Field("", max_length=200)
    seller_address: str = Field("", max_length=1000)
    seller_tax_id: str = Field("", max_length=200)
    seller_email: str = Field("", max_length=200)
    grace_hours: int = Field(24, ge=0, le=24 * 60)
    late_days: int = Field(62, ge=0, le=36_500)
    schedule: Literal["on", "off"] = "off"
    # A line a message, or an object; and which requests have one.
    log_format: Literal["text", "json"] = "text"
    log_requests: Literal["wrong", "all"] = "wrong"
    # Requests in seconds: of a key, of a key that hands in events, and of an address that has shown no key.
    rate_limit_key: str = Field("60000/60", pattern=_RATE)
    rate_limit_events: str = Field("off", pattern=_RATE)
    rate_limit_address: str = Field("12000/60", pattern=_RATE)
    # What takes two persons: plan versions; credit above an amount (in major units, of whatever currency);
    # corrections of more task runs than this. And how long the other one has.
    second_person_plans: Literal["on", "off"] = "off"
    second_person_credit: Decimal | None = Field(None, ge=0)
    second_person_runs: int | None = Field(None, ge=0)
    second_person_hours: int = Field(72, ge=1, le=24 * 60)
    prefect_url: str | None = None
    prefect_api_key: SecretStr | None = None
    # Webhooks to private networks, and by http; and where mail is handed in, who writes it, and who reads it.
    webhook_private: Literal["on", "off"] = "off"
    smtp_url: SecretStr | None = None
    mail_from: str | None = None
    mail_operator: str | None = None
    referral_reward: Decimal = Field(Decimal("50.00"), ge=0)

    def prefect_key(self, name: str) -> str | None:
        """The key of a Prefect server, by the name of its variable, as it is set now: a key that expired is
        replaced while the service runs."""
        env_file = self.model_config.get("env_file")
        file = dotenv_values(env_file) if isinstance(env_file, str) else {}
        value = os.environ.get(name) or file.get(name)
        if not value and name == PREFECT_KEY and self.prefect_api_key is not None:
            value = self.prefect_api_key.get_secret_value()
        return value or None

    def base_url(self, asked: str) -> str:
        """How addresses of this service begin: as it is set, or else as whoever asks has reached it."""
        return self.public_url if "public_url" in self.model_fields_set else asked

    @property
    def stripe_webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that sign Stripe's webhooks; none where it is not configured."""
        text = self.stripe_webhook_secret.get_secret_value() if self.stripe_webhook_secret else ""
        return tuple(secret for part in text.split(",") if (secret := part.strip()))
