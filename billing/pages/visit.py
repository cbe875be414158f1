"""Who is there: the account of the link in the address; and how pages are answered.

There are no cookies. The token stays in the address, so that a page works in a frame of another site, where
cookies are not kept, and no other site can act in a customer's name: it would need the address
(docs/decisions/0018). What keeps the address from leaking is below.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing.app import Service
from billing.pages import words
from billing.repository.accounts import Account

if TYPE_CHECKING:
    import jinja2

FormFields = Mapping[str, Sequence[str]]
# The pages that have a chart of bars, which a script reads out.
WITH_CHARTS = ("start.html", "usage.html")


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to a page of an account; `form` holds what was sent, each name with its values."""

    service: Service
    account: Account
    request: Request
    expires_at: int
    now: int
    form: FormFields = field(default_factory=dict)

    def param(self, name: str) -> str:
        """A part of the address."""
        found: str = self.request.path_params[name]
        return found

    def query(self, name: str, most: int = 200) -> str:
        """A parameter of the address, empty where absent."""
        return self.request.query_params.get(name, "").strip()[:most]

    def field(self, name: str) -> str:
        """A field of the form, empty where absent."""
        return self.form.get(name, [""])[0]

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page of this account."""
        return html_page(
            self.service,
            self.request,
            template,
            status,
            customer=self.account.name or self.account.id,
            account=self.account,
            expires_at=self.expires_at,
            now=self.now,
            currency=self.account.currency,
            **values,
        )

    def go(self, place: str) -> Response:
        """On to another page of the account, which is asked for with GET."""
        return secured(self.service, RedirectResponse(home_of(self.request) + place, 303))


def home_of(request: Request) -> str:
    """Leads from the address of a request to the customer's first page. Addresses on pages are relative, so
    that they hold behind whatever proxy."""
    return "../" * (_depth(request) - 1) or "./"


def _depth(request: Request) -> int:
    """How many folders below the place of all pages the address of a request is."""
    below: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return below.count("/") - 1


def html_page(service: Service, request: Request, template: str, status: int, **values: Any) -> Response:
    """A page for whoever asked, who may have no link that is good."""
    place = "../" * _depth(request) or "./"
    own = {"stylesheet": f"{place}style.css?{style()[1]}", "script": f"{place}charts.js?{script()[1]}"}
    template_ = _environment().get_template(template)
    text = template_.render(script_hash=script()[2], home=home_of(request), **own, **values)
    runs = template in WITH_CHARTS
    return secured(service, Response(text, status, media_type="text/html"), runs_script=runs)


def secured(service: Service, response: Response, *, runs_script: bool = False) -> Response:
    """The answer with what keeps the address secret and everything else out: nothing is fetched from
    elsewhere, no script runs but, where there are charts, the one file of ours, byte for byte; no other site
    is told the address, and nobody keeps a copy."""
    scripts = f"script-src '{script()[2]}'; " if runs_script else ""
    ancestors = service.settings.embed_origins.strip() or "'none'"
    response.headers.update(
        {
            "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
            f"{scripts}form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}",
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Robots-Tag": "noindex, nofollow",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        }
    )
    return response


@functools.cache
def style() -> tuple[bytes, str]:
    """The stylesheet, and a name of what it holds now."""
    held = (files("billing.pages") / "templates" / "style.css").read_bytes()
    return held, hashlib.sha256(held).hexdigest()[:12]


@functools.cache
def script() -> tuple[bytes, str, str]:
    """The script of charts, a name of what it holds now, and its digest as a policy names it."""
    held = (files("billing.pages") / "templates" / "charts.js").read_bytes()
    digest = hashlib.sha256(held)
    return held, digest.hexdigest()[:12], f"sha256-{base64.b64encode(digest.digest()).decode()}"


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2  # slow to import, and only pages need it

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("billing.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= words.FILTERS
    environment.globals |= words.GLOBALS
    return environment
