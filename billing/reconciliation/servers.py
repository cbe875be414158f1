"""The Prefect servers that a month is compared with: those at given addresses, or those that this service
collects from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from billing.app import Service
from billing.errors import Refused
from billing.reconciliation.operation import Servers
from billing.sources import list_sources
from metering.collecting.prefect_http import api_address
from metering.collecting.prefect_server import PrefectServer
from metering.settings import PREFECT_KEY


@contextmanager
def servers_at(service: Service, urls: Sequence[str]) -> Iterator[Servers]:
    """All of one account. Where a source is at an address, its key is used; else that of
    BILLING_PREFECT_API_KEY. Raises NoAddress."""
    known = {each.server.url: each.server.key_name for each in list_sources(service.engine) if each.server}
    with ExitStack() as stack:
        found = []
        for address in dict.fromkeys(map(api_address, urls)):
            name = known.get(address, PREFECT_KEY)
            found.append(stack.enter_context(_server(service, address, name)))
        yield {None: found} if found else {}


@contextmanager
def servers_of_sources(service: Service, account: str | None) -> Iterator[Servers]:
    """Those of an account, or of each that has any. Raises Refused if there are none."""
    with ExitStack() as stack:
        found: dict[str | None, list[PrefectServer]] = {}
        for source in list_sources(service.engine, account=account):
            if source.server is not None:
                server = stack.enter_context(_server(service, source.server.url, source.server.key_name))
                found.setdefault(source.account, []).append(server)
        if not found:
            of = "" if account is None else f" of account {account}"
            raise Refused(
                f"no source{of} is collected from; add one with: billing sources add, or name a server",
                field="source",
            )
        yield found


def _server(service: Service, url: str, key_name: str) -> PrefectServer:
    return PrefectServer(url, service.settings.prefect_key(key_name), key_name=key_name)
