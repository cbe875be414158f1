"""The address of a ClickHouse: `clickhouse://user:password@host:8123/database?cluster=main`."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from metering.store.clickhouse.errors import EventsUrlError

SCHEME = "clickhouse"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*").fullmatch


class Address(NamedTuple):
    """Where the events are. `cluster` is empty for a single server; `quorum` is how many replicas must have
    an insert before it is acknowledged: `auto` (most of them) or a number."""

    host: str
    port: int
    user: str
    password: str
    database: str
    secure: bool
    cluster: str
    quorum: str

    @property
    def place(self) -> str:
        """The address without what is secret, or a matter of how it is reached."""
        return f"{SCHEME}://{self.host}:{self.port}/{self.database}"


def parse_address(url: str) -> Address:
    """Raises EventsUrlError, which does not repeat the password."""
    try:
        parts = urlsplit(url)
        port = parts.port
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _wrong("it is not a URL") from None
    database = parts.path.strip("/") or "default"
    secure = options.pop("secure", "no")
    cluster, quorum = options.pop("cluster", ""), options.pop("quorum", "auto")
    if parts.scheme != SCHEME or not parts.hostname:
        raise _wrong("it does not begin with clickhouse:// and a host")
    if options:
        raise _wrong(f"{', '.join(sorted(options))}: not an option; there are cluster, quorum and secure")
    if not _NAME(database) or (cluster and not _NAME(cluster)):
        raise _wrong("names of a database and a cluster have letters, digits, _ and -")
    if secure not in ("yes", "no") or not (quorum == "auto" or (quorum.isdecimal() and int(quorum) > 0)):
        raise _wrong("secure is yes or no, quorum is auto or a number of replicas")
    return Address(
        parts.hostname,
        port or (8443 if secure == "yes" else 8123),
        unquote(parts.username or "default"),
        unquote(parts.password or ""),
        database,
        secure == "yes",
        cluster,
        quorum,
    )


def _wrong(why: str) -> EventsUrlError:
    return EventsUrlError(
        f"BILLING_EVENTS_URL cannot be used: {why}; "
        "write clickhouse://user:password@host:8123/database, and ?cluster=NAME for a cluster"
    )
