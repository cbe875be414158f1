"""What travels with a question, as a table: many accounts, or the keys of runs. Made with numpy, which takes
a tenth of a second to import: only those wait for it who ask so."""

from __future__ import annotations

from collections.abc import Sequence

from metering.store import run_key

Given = tuple[str, bytes]
"""The table's structure, and its rows."""


def given_accounts(names: Sequence[str]) -> Given:
    from metering.store.clickhouse.block import ACCOUNT_STRUCTURE, account_block

    return ACCOUNT_STRUCTURE, account_block(names)


def given_keys(task_run_ids: Sequence[str]) -> Given:
    from metering.store.clickhouse.block import KEY_STRUCTURE, key_block
    from metering.store.clickhouse.statements import keys_of

    return KEY_STRUCTURE, key_block(keys_of(run_key.encode_all(task_run_ids)))
