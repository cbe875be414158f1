"""Reads what the journal and the report are made of, an account at a time, some hundred accounts a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import sqlalchemy as sa

from billing.pricing.contract import Contract
from billing.pricing.terms import Terms, terms_of
from billing.pricing.terms_data import change_from_data
from billing.repository import accounts, contracts, revenue, terms
from billing.repository.accounts import Account
from billing.repository.revenue import Known, MonthRun
from billing.repository.terms import NOT_TERMS, TermsEntry
from billing.revenue.facts import AccountFacts, Close, Commitment, Delivery
from billing.revenue.recognition import earned
from metering.database import reading
from metering.period import Month, day_start
from metering.store import EventStore

_PAGE = 500


def every_account(
    engine: sa.Engine, store: EventStore, until: Month, account: str | None = None
) -> Iterator[AccountFacts]:
    """Of each account, in the order of their ids, all from its beginning on; of contracts what was earned by
    the ends of the months up to `until`. What is not read of the account asked for is not read."""
    with reading(engine) as connection:
        runs = revenue.month_runs(connection)
    after = ""
    while page := _page(engine, after, account):
        after = page[-1].id
        ids = [each.id for each in page]
        with reading(engine) as connection:
            documents = revenue.documents(connection, ids)
            credit = revenue.credit_rows(connection, ids)
        for each in page:
            commitments = _commitments(engine, store, each, until, runs) if each.terms.contracts else ()
            yield AccountFacts(
                each.id, each.currency, tuple(documents[each.id]), tuple(credit[each.id]), commitments
            )
        if account is not None:
            return


def _page(engine: sa.Engine, after: str, account: str | None) -> list[Account]:
    with reading(engine) as connection:
        if account is not None:
            return accounts.some(connection, [account])
        return accounts.every(connection, after=after, limit=_PAGE)


def _commitments(
    engine: sa.Engine, store: EventStore, owner: Account, until: Month, runs: list[MonthRun]
) -> tuple[Commitment, ...]:
    with reading(engine) as connection:
        history = [each for each in terms.history(connection, owner.id) if each.kind not in NOT_TERMS]
        billed = revenue.known_months(connection, owner.id)
        delivered = {each.id: contracts.delivered(connection, each.id) for each in owner.terms.contracts}
    reader = _Reader(store, owner, history, billed, _runs_of(runs, owner.id))
    return tuple(
        Commitment(each.id, tuple(reader.closes(each, until)), _deliveries(each, delivered[each.id]))
        for each in owner.terms.contracts
    )


def _deliveries(contract: Contract, delivered: Mapping[int, date]) -> tuple[Delivery, ...]:
    return tuple(
        Delivery(number, service.description, service.price, delivered[number])
        for number, service in enumerate(contract.services, 1)
        if number in delivered and service.price
    )


def _runs_of(runs: list[MonthRun], account: str) -> dict[Month, MonthRun]:
    """Of each month the first run that was the account's, too."""
    found: dict[Month, MonthRun] = {}
    for each in runs:
        if each.account in (None, account):
            found.setdefault(each.month, each)
    return found


class _Reader:
    """An account's contracts as they were known when its months were billed."""

    def __init__(
        self,
        store: EventStore,
        owner: Account,
        history: list[TermsEntry],
        billed: Mapping[Month, Known],
        runs: Mapping[Month, MonthRun],
    ) -> None:
        self._store = store
        self._owner = owner
        self._history = history
        self._billed = billed
        self._runs = runs
        self._terms: dict[int | None, Terms] = {}
        self._known = dict(self._all_known())

    def closes(self, contract: Contract, until: Month) -> Iterator[Close]:
        """Of each month from the start of the term on, until all of it is known as it is now: what came late
        is in the difference of the first month after the term that was billed since."""
        month = contract.months[0]
        while month <= until:
            known = self._known_at(month)
            held = self._contract(contract.id, None if known is None else known.entry)
            cutoff = None if known is None else known.cutoff
            usage = {} if held is None else self._usage(held, month, cutoff)
            yield earned(held, usage, month, is_final=known is not None)
            if month >= contract.months[-1] and known is not None and self._is_all(contract, known):
                return
            month = month.next()

    def _is_all(self, contract: Contract, known: Known) -> bool:
        """Whether nothing was agreed and nothing came of a contract since it was known as it was."""
        if any(each.entry >= known.entry for each in self._history):
            return False
        start, end = day_start(contract.start), day_start(contract.end)
        return self._store.unchanged_since(self._owner.id, start, end, known.cutoff)

    def _known_at(self, month: Month) -> Known | None:
        """None: not billed, nor is any month after it. What a later month said was earned until its end holds
        for this one, too: else what is learned of this one after that would change the later one."""
        found = [known for each, known in self._known.items() if each >= month]
        if not found:
            return None
        return Known(min(each.cutoff for each in found), min(each.entry for each in found))

    def _all_known(self) -> Iterator[tuple[Month, Known]]:
        begin = min(each.months[0] for each in self._owner.terms.contracts)
        for month in sorted({*self._billed, *self._runs}):
            known = self._as_billed(month) if month >= begin else None
            if known is not None:
                yield month, known

    def _as_billed(self, month: Month) -> Known | None:
        """As the month's first invoice found things. An account that ran nothing had none: then as the first
        billing run of the month did, and an invoice of runs that came later changes nothing of it. None: as
        they are now."""
        billed, run = self._billed.get(month), self._runs.get(month)
        is_first = run is not None and (billed is None or run.cutoff < billed.cutoff)
        if run is None or not is_first or self._days(month.start, month.end, run.cutoff):
            return billed
        later = [each.entry for each in self._history if each.recorded_at > run.started_at]
        return Known(run.cutoff, min(later, default=self._owner.entries + 1))

    def _contract(self, contract_id: str, entry: int | None) -> Contract | None:
        if entry not in self._terms:
            held = [each for each in self._history if entry is None or each.entry < entry]
            self._terms[entry] = terms_of(change_from_data(each.kind, dict(each.data)) for each in held)
        return next((each for each in self._terms[entry].contracts if each.id == contract_id), None)

    def _usage(self, contract: Contract, month: Month, cutoff: int | None) -> Mapping[date, int]:
        end = min(month.end, day_start(contract.end))
        return self._days(day_start(contract.start), end, cutoff)

    def _days(self, start: int, end: int, cutoff: int | None) -> Mapping[date, int]:
        """Billable runs by day, as of a position; None: now. By counters, where nothing came since."""
        owner = self._owner.id
        if start >= end:
            return {}
        if cutoff is None or self._store.unchanged_since(owner, start, end, cutoff):
            return self._store.billable_days(owner, start, end)
        days = self._store.days(owner, start, end, cutoff)
        return {day: counts.billable for day, counts in days.items() if counts.billable}
