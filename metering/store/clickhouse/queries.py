"""The questions that the store asks of ClickHouse, as SQL.

Nothing is summed in advance: each answer goes by the winning statement of each run (docs/rules.md §2). What
is said of a run lies in one partition, so a question reads the partitions in which something ends within its
period, and of those all that is said.
"""

from __future__ import annotations

from itertools import pairwise

from metering.figures import YOUNGER_US, Asked, LastCommits
from metering.outcome import Outcome
from metering.store.clickhouse.journal import Seen
from metering.store.clickhouse.schema import CREATED_MS, IS_V7, MARKS, RUN_MONTH, STATEMENTS
from metering.store.run_key import BUCKET_SHIFT

# The outcome and the end of a statement as one number: the smaller wins (`metering.outcome.precedence`).
# Microseconds since 1970 fit into 56 bits for two thousand years.
TOP = int(max(Outcome))
STRENGTH = f"bitOr(bitShiftLeft(toInt64({TOP} - outcome), 56), ended_at)"
ENDED_AT = "bitAnd(won, 72057594037927935)"
OUTCOME = f"{TOP} - bitShiftRight(won, 56)"

HOUR = "toInt64(3600000000)"
_PERIOD = "ended_at >= {start:Int64} AND ended_at < {end:Int64}"
_ACCOUNT = "account = {account:String}"
_NUMBER = "bitAnd(sipHash64(account), 9223372036854775807)"

# The id as it was sent, from the key (`metering.store.run_key.decode`).
_TASK_RUN_ID = (
    "if(length(run_key) = 16, toString(UUIDNumToString(toFixedString(run_key, 16))),"
    " trim(BOTH '\\0' FROM run_key))"
)


# The columns of a `Run`.
_RUN = f"SELECT {_TASK_RUN_ID} AS task_run_id, outcome, ended_at, duration_us, workspace, flow, source"


def counted(seen: Seen) -> str:
    """The condition that a row counts."""
    hidden = f" AND position NOT IN ({', '.join(map(str, seen.hidden))})" if seen.hidden else ""
    return f"position <= {seen.high}{hidden}"


# The hour under which runs are counted that are elsewhere.
ELSEWHERE = -1


def usage(seen: Seen, *, all_partitions: bool) -> str:
    """Rows of (hour, '', outcome, quantity) of {account} in [{start}, {end}). To look for the partitions
    first is a question of its own, which costs more than reading all of a small account. What was read and
    ends outside the period is counted under ELSEWHERE."""
    here = f"{ENDED_AT} >= {{start:Int64}} AND {ENDED_AT} < {{end:Int64}}"
    return (
        f"SELECT if({here}, intDiv({ENDED_AT}, {HOUR}), {ELSEWHERE}) AS hour, '' AS name,"
        f" {OUTCOME} AS outcome, count() AS quantity"
        f" FROM ({_strongest(seen, partitions=not all_partitions)}) GROUP BY hour, outcome"
    )


def usage_by(seen: Seen, group_by: str) -> str:
    """The same by workspace, flow or both, which is `name`."""
    name = "concat(workspace, char(0), flow)" if group_by == "both" else group_by
    return (
        f"SELECT intDiv(ended_at, {HOUR}) AS hour, {name} AS name, outcome, count() AS quantity"
        f" FROM ({_winners(seen)}) WHERE {_PERIOD} GROUP BY hour, name, outcome"
    )


def names(seen: Seen) -> str:
    """Rows of (workspace, flow, quantity) of the billable runs."""
    return (
        f"SELECT workspace, flow, count() AS quantity FROM ({_winners(seen)})"
        f" WHERE {_PERIOD} AND outcome = {int(Outcome.BILLABLE)} GROUP BY workspace, flow"
    )


def days(seen: Seen) -> str:
    """Rows of (day, outcome, quantity)."""
    return (
        f"SELECT intDiv({ENDED_AT}, 24 * {HOUR}) AS day, {OUTCOME} AS outcome, count() AS quantity"
        f" FROM ({_strongest(seen)})"
        f" WHERE {ENDED_AT} >= {{start:Int64}} AND {ENDED_AT} < {{end:Int64}}"
        " GROUP BY day, outcome"
    )


def runs(seen: Seen, *, uuids: bool) -> str:
    """Rows of a `Run`, ascending by key from {from_key} (in hex) on: of those whose id is a UUID, or of the
    others. The order is that of the subquery, which a filter keeps; ordered again, all of them would be held
    in memory."""
    kind = f"length(run_key) {'=' if uuids else '<>'} 16 AND run_key >= unhex({{from_key:String}})"
    return f"{_RUN} FROM ({_winners(seen, kind)}) WHERE {_PERIOD}"


def found(seen: Seen, given: str) -> str:
    """Rows of a `Run`: those of {account} in the table `given` that are held."""
    here = f"run_month IN (SELECT {RUN_MONTH} FROM {given})"
    return f"{_RUN} FROM ({_winners(seen, f'run_key IN (SELECT run_key FROM {given})', here)})"


def by_account(seen: Seen) -> str:
    """Rows of (account, outcome, quantity), of which quantities may be zero, for every account of which a
    statement ends in the period. Rows are stored in the order of runs, so that runs are decided one after the
    other, in little memory."""
    here = f"{ENDED_AT} >= {{start:Int64}} AND {ENDED_AT} < {{end:Int64}}"
    return (
        f"SELECT account, {OUTCOME} AS outcome, countIf({here}) AS quantity FROM ("
        f"SELECT account, min({STRENGTH}) AS won, max({_PERIOD}) AS touches FROM {STATEMENTS}"
        f" WHERE {counted(seen)} AND {in_partitions(seen, '1')} GROUP BY account, run_key"
        ") WHERE touches GROUP BY account, outcome SETTINGS optimize_aggregation_in_order = 1"
    )


def days_by_account(seen: Seen, given: str) -> str:
    """Rows of (account, day, outcome, quantity) of the accounts in the table `given`."""
    return (
        f"SELECT account, intDiv({ENDED_AT}, 24 * {HOUR}) AS day, {OUTCOME} AS outcome,"
        f" count() AS quantity FROM ({_strongest(seen, among(given))})"
        f" WHERE {ENDED_AT} >= {{start:Int64}} AND {ENDED_AT} < {{end:Int64}}"
        " GROUP BY account, day, outcome"
    )


def days_in_columns(seen: Seen, given: str) -> str:
    """The same with the accounts' numbers in the table `given` in the place of their names, for a period that
    is all there is. Runs are decided one after the other, in little memory."""
    by_name = (
        f"SELECT account, intDiv({ENDED_AT}, 24 * {HOUR}) AS day, {OUTCOME} AS outcome,"
        f" count() AS quantity FROM ({_strongest(seen, among(given), partitions=False)})"
        f" WHERE {ENDED_AT} >= {{start:Int64}} AND {ENDED_AT} < {{end:Int64}}"
        " GROUP BY account, day, outcome"
    )
    return (
        "SELECT number, toInt64(day) AS day, toInt64(outcome) AS outcome, toInt64(quantity) AS quantity"
        f" FROM ({by_name}) AS counted INNER JOIN {given} AS asked ON asked.account = counted.account"
        " SETTINGS optimize_aggregation_in_order = 1"
    )


def accounts_in(seen: Seen, given: str | None = None) -> str:
    """Rows of (account, whether it has a run in the period now), for every account (of those in the table
    `given`) of which a statement ends in the period."""
    here = f"{ENDED_AT} >= {{start:Int64}} AND {ENDED_AT} < {{end:Int64}}"
    which = among(given) if given else "1"
    return (
        f"SELECT account, max({here}) AS now FROM ("
        f"SELECT account, min({STRENGTH}) AS won, max({_PERIOD}) AS touches FROM {STATEMENTS}"
        f" WHERE {which} AND {counted(seen)} AND {in_partitions(seen, which)} GROUP BY account, run_key"
        ") WHERE touches GROUP BY account SETTINGS optimize_aggregation_in_order = 1"
    )


def numbers(given: str) -> str:
    """Rows of (account, number) of the accounts in the table `given`: names that are quick to send."""
    return f"SELECT account, {_NUMBER} FROM {given}"


def said_in_columns(seen: Seen, given: str) -> str:
    """All that is said of the runs of the accounts in the table `given`, ascending by account and key; a key
    that is not a UUID's is sent as nothing."""
    return (
        f"SELECT {_NUMBER} AS number, toFixedString(if(length(run_key) = 16, run_key, ''), 16) AS key,"
        f" toUInt8(length(run_key) = 16) AS is_uuid, {STRENGTH} AS strength, duration_us FROM {STATEMENTS}"
        f" WHERE {among(given)} AND {counted(seen)} AND {in_partitions(seen, among(given))}"
        " ORDER BY account, run_key"
    )


def once_there(seen: Seen) -> str:
    """Rows of (run_key, position, outcome, end, duration) of {account}: all that is said of runs of which a
    statement ends in the period."""
    return (
        f"SELECT run_key, position, outcome, ended_at, duration_us FROM {STATEMENTS}"
        f" WHERE {_ACCOUNT} AND {counted(seen)} AND {in_partitions(seen)} AND run_key IN"
        f" (SELECT run_key FROM {STATEMENTS} WHERE {_ACCOUNT} AND {counted(seen)} AND {_PERIOD})"
    )


def marks(seen: Seen, given: str) -> str:
    """Of the marks in the table `given`, those that are held: found in the order of the runs' creation,
    without reading what is older or younger."""
    return f"{_marks(given)} AND {counted(seen)}"


def marks_at(positions: tuple[int, ...], given: str) -> str:
    """Of the marks in the table `given`, those that these commits brought."""
    return f"{_marks(given)} AND position IN ({', '.join(map(str, positions))})"


def _marks(given: str) -> str:
    return (
        f"SELECT fingerprint, key_tail FROM {MARKS}"
        f" WHERE (run_second, fingerprint) IN (SELECT run_second, fingerprint FROM {given})"
    )


def held(seen: Seen, given: str) -> str:
    """Rows of (run_key, outcome) of those runs of {account} in the table `given` that are held."""
    return (
        f"SELECT run_key, {TOP} - bitShiftRight(min({STRENGTH}), 56) AS outcome FROM {STATEMENTS}"
        f" WHERE {_ACCOUNT} AND {counted(seen)} AND run_month IN (SELECT {RUN_MONTH} FROM {given})"
        f" AND run_key IN (SELECT run_key FROM {given}) GROUP BY run_key"
    )


def said_of(seen: Seen, given: str) -> str:
    """Rows of (account, run_key, and the fields of a `Statement`): all that is said of the runs in the table
    `given`."""
    return (
        "SELECT account, run_key, outcome, ended_at, duration_us, source, flow, workspace"
        f" FROM {STATEMENTS} WHERE {among(given)} AND {counted(seen)}"
        f" AND run_month IN (SELECT {RUN_MONTH} FROM {given})"
        f" AND (account, run_key) IN (SELECT account, run_key FROM {given})"
    )


def has_account(seen: Seen) -> str:
    return f"SELECT 1 FROM {STATEMENTS} WHERE {_ACCOUNT} AND {counted(seen)} LIMIT 1"


def accounts_of_source(seen: Seen) -> str:
    return (
        f"SELECT DISTINCT account FROM {STATEMENTS} WHERE source = {{source:String}} AND {counted(seen)}"
        " ORDER BY account"
    )


def run_figures(seen: Seen, asked: Asked, commits: LastCommits, given: str | None = None) -> str:
    """Rows of (account, the bands, and the rest of a `RunFigures`), of the accounts in the table `given`."""
    which = among(given) if given else "1"
    runs = (
        f"SELECT account, run_key, min({STRENGTH}) AS won, min(position) AS told,"
        f" argMin(duration_us, ({STRENGTH}, duration_us)) AS duration FROM {STATEMENTS}"
        f" WHERE {which} AND {counted(seen)} AND {in_partitions(seen, which)} GROUP BY account, run_key"
    )
    edges = ["-1", *map(str, asked.edges), str(2**63 - 1)]
    bands = [
        f"countIf(outcome IN ({int(Outcome.BILLABLE)}, {int(Outcome.TOO_SHORT)})"
        f" AND duration > {above} AND duration <= {up_to})"
        for above, up_to in pairwise(edges)
    ]
    in_time = f"[{', '.join(map(str, commits.in_time))}][intDiv(ended - {asked.start}, 24 * {HOUR}) + 1]"
    billable = f"outcome = {int(Outcome.BILLABLE)}"
    late = f"{billable} AND told > {in_time}"
    shift = 16 + BUCKET_SHIFT
    made = f"toInt64(bitShiftLeft(bitShiftRight({CREATED_MS}, {shift}), {shift})) * 1000"
    return (
        f"SELECT account, {', '.join(bands)}, countIf({late}),"
        f" countIf({late} AND told > {commits.of_period}),"
        f" countIf({billable} AND {IS_V7} AND {made} > ended + {YOUNGER_US})"
        f" FROM (SELECT account, run_key, duration, told, {ENDED_AT} AS ended, {OUTCOME} AS outcome"
        f" FROM ({runs}) WHERE ended >= {{start:Int64}} AND ended < {{end:Int64}})"
        " GROUP BY account SETTINGS optimize_aggregation_in_order = 1"
    )


def shared_runs(seen: Seen) -> str:
    """Rows of (accounts, runs, billable) of a `SharedRuns`. Ids of which no time is known are compared with
    those of the period only. What does not fit into memory is sorted on disk."""
    first = "argMin(outcome, position) AS outcome, argMin(ended_at, position) AS ended"
    here = "ended >= {start:Int64} AND ended < {end:Int64}"
    return (
        f"SELECT accounts, count() AS runs, sum(billed) AS billable FROM ("
        f"SELECT arraySort(groupArray(account)) AS accounts, min(outcome = {int(Outcome.BILLABLE)}) AS billed"
        f" FROM (SELECT account, run_key, any(run_month) AS made, {first} FROM {STATEMENTS}"
        f" WHERE length(run_key) = 16 AND {counted(seen)} AND {in_partitions(seen, '1')}"
        f" GROUP BY account, run_key) WHERE made <> 0 OR ({here})"
        f" GROUP BY run_key HAVING count() > 1 AND max({here}))"
        " GROUP BY accounts ORDER BY accounts SETTINGS max_bytes_before_external_group_by = 1000000000"
    )


def among(given: str) -> str:
    return f"account IN (SELECT account FROM {given})"


def _strongest(seen: Seen, which: str = _ACCOUNT, *, partitions: bool = True) -> str:
    """For each run of {account}, or of other accounts, the outcome and the end that hold, as one number."""
    where = in_partitions(seen, which) if partitions else "1"
    return (
        f"SELECT account, min({STRENGTH}) AS won FROM {STATEMENTS}"
        f" WHERE {which} AND {counted(seen)} AND {where} GROUP BY account, run_key"
    )


def _winners(seen: Seen, also: str = "1", where: str | None = None) -> str:
    """For each run of {account} the statement that holds. Rows are stored in the order of runs, so that this
    streams."""
    return (
        "SELECT run_key, outcome, ended_at, duration_us, workspace, flow, source"
        f" FROM {STATEMENTS} WHERE {_ACCOUNT} AND {counted(seen)}"
        f" AND {where or in_partitions(seen)} AND {also}"
        f" ORDER BY account, run_key, {STRENGTH}, duration_us, toString(source), toString(flow),"
        " toString(workspace) LIMIT 1 BY run_key"
    )


def in_partitions(seen: Seen, which: str = _ACCOUNT) -> str:
    """Where something that counts ends within the period."""
    return (
        f"run_month IN (SELECT DISTINCT run_month FROM {STATEMENTS}"
        f" WHERE {which} AND {counted(seen)} AND {_PERIOD})"
    )
