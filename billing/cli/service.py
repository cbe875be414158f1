"""Opens the service that a command works on, from the settings."""

from __future__ import annotations

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
    from billing.logs import configure
    from metering.settings import Settings

    configure()
    service = make_service(Settings())
    try:
        if schema:
            url = service.engine.url
            # Looking would create an empty file.
            if service.engine.dialect.name == "sqlite" and not Path(url.database or "").exists():
                raise SchemaMissing(f"there is no database {url.database} yet; run: billing init")
            service.require_schema()
        yield service
    finally:
        service.store.close()
