"""Opens the service that a command works on, from the settings."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.app import Service


@contextmanager
def open_service(*, schema: bool = True) -> Iterator[Service]:
    """The service of this command. Raises SchemaMissing, unless `schema` is not needed, and what wrong
    settings raise."""
    from billing.app import SchemaMissing, make_service
    from billing.audit.actor import acting
    from billing.logs import configure
    from metering.settings import Settings

    settings = Settings()
    configure(as_json=settings.log_format == "json")
    service = make_service(settings)
    try:
        if schema:
            url = service.engine.url
            # Looking would create an empty file.
            if service.engine.dialect.name == "sqlite" and not Path(url.database or "").exists():
                raise SchemaMissing(f"there is no database {url.database} yet; run: billing init")
            service.require_schema()
        with acting(this_operator()):
            yield service
    finally:
        service.store.close()


def this_operator() -> str:
    """The operator at the command line, by the name that the machine knows them by."""
    from billing.audit.actor import OPERATOR

    try:
        return f"{OPERATOR} {getpass.getuser()}"
    except (KeyError, OSError):  # a user without a name, as in some containers
        return OPERATOR
