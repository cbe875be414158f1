"""The HTTP door: parses, calls, prints. One module a noun; `make_app` puts them together."""

from billing.api.app import make_app
from billing.api.door import Schedule

__all__ = ["Schedule", "make_app"]
