"""Who is there: the session of a cookie; and how pages of the console are answered.

The cookie is HttpOnly and SameSite=Strict, and Secure under https. It has no path of its own: the browser
takes the folder of the address that set it, so the console works behind whatever proxy, below whatever path.
A form carries a digest of the session's secret as well, and a browser that says where a form came from must
say that it came from here (docs/decisions/0024).
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing.app import Service
from billing.console import words
from billing.console.work import Do, Work
from billing.errors import NotFound
from billing.operators import may
from billing.pages.visit import style as base_style
from billing.repository.operators import OperatorSession
from metering.period import Month

if TYPE_CHECKING:
    import jinja2

COOKIE = "billing_console"
FormFields = Mapping[str, Sequence[str]]
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of an operator to a page; `form` holds what was sent, each name with its values."""

    service: Service
    work: Work
    request: Request
    session: OperatorSession
    csrf: str
    now: int
    form: FormFields = field(default_factory=dict)

    @property
    def by(self) -> str:
        """Who acts, as it is recorded with what they change."""
        return self.session.acts_as

    @property
    def base(self) -> str:
        """How links to this service begin."""
        here = str(self.request.base_url).removesuffix("/").removesuffix("/console")
        return self.service.settings.base_url(here)

    def param(self, name: str) -> str:
        """A part of the address."""
        found: str = self.request.path_params[name]
        return found

    @property
    def month(self) -> Month:
        """The one in the address. Raises NotFound."""
        return month_of(self.param("month"))

    def query(self, name: str, most: int = 200) -> str:
        """A parameter of the address, empty where absent."""
        return self.request.query_params.get(name, "").strip()[:most]

    def field(self, name: str) -> str:
        """A field of the form, empty where absent."""
        return self.form.get(name, [""])[0].strip()

    def page(
        self, template: str, status: int = 200, *, refresh: int | None = None, **values: Any
    ) -> Response:
        """A page for this operator; it is asked for again after `refresh` seconds, where given."""
        response = html_page(
            self.request,
            template,
            status,
            session=self.session,
            csrf=self.csrf,
            now=self.now,
            may=functools.partial(may, self.session.role),
            **values,
        )
        if refresh is not None:
            response.headers["Refresh"] = str(refresh)
        return response

    def begin(self, kind: str, subject: str, do: Do) -> Response:
        """Start work behind the page, unless it is under way, and on to where it is shown."""
        return self.go(f"jobs/{self.work.start(kind, subject, self.by, do).id}")

    def go(self, place: str) -> Response:
        """On to another page of the console, which is asked for with GET."""
        return secured(RedirectResponse(home_of(self.request) + place, 303))


def month_of(text: str) -> Month:
    """Raises NotFound."""
    try:
        return Month.parse(text)
    except ValueError:
        raise NotFound(f"{text[:20]!r} is no month; write it like 2026-10") from None


def paged(
    found: Sequence[Thing], size: int, following: Callable[[Thing], Mapping[str, object]]
) -> tuple[Sequence[Thing], str | None]:
    """The things of a page, and what the next one is asked for with: None where this is the last. `found` has
    one more thing where there is another page; `following` says what to ask for after the last that is
    shown."""
    shown = found[:size]
    return shown, "?" + urlencode(following(shown[-1])) if len(found) > size else None


def csrf_of(secret: str) -> str:
    """What the forms of a session carry: nobody makes it without the session's secret."""
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), b"billing console form", "sha256").hex()[:32]


def home_of(request: Request) -> str:
    """Leads from the address of a request to the console's first page. Addresses on pages are relative, so
    that they hold behind whatever proxy."""
    below: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return "../" * (below.count("/") - 1) or "./"


def html_page(request: Request, template: str, status: int, **values: Any) -> Response:
    """A page for whoever asked, who may not be signed in."""
    home = home_of(request)
    text = _environment().get_template(template).render(home=home, style_name=style()[1], **values)
    return secured(Response(text, status, media_type="text/html"))


def secured(response: Response) -> Response:
    """Nothing is fetched from elsewhere, no script runs, nobody frames it or keeps a copy."""
    response.headers.update(
        {
            "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "X-Robots-Tag": "noindex, nofollow",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        }
    )
    return response


@functools.cache
def style() -> tuple[bytes, str]:
    """The stylesheet, that of the customer's pages and then what is the console's own; and a name of what it
    holds now."""
    own = (files("billing.console") / "templates" / "console.css").read_bytes()
    held = base_style()[0] + b"\n" + own
    return held, hashlib.sha256(held).hexdigest()[:12]


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2  # slow to import, and only pages need it

    environment = jinja2.Environment(
        # The customer's pages have parts that serve here as well.
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("billing.console"), jinja2.PackageLoader("billing.pages")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= words.FILTERS
    environment.globals |= words.GLOBALS
    return environment
