"""What the database would do by itself: triggers, rules, and views in place of tables. The service has none
but those that refuse to write where an installation has moved away."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlalchemy as sa

# `installation_moved…`, `task_runs_moved…`: they end in a refusal, and do nothing else.
_REFUSES = re.compile(r"BEGIN\s+(SELECT RAISE\(ABORT, '[^']*'\)|RAISE EXCEPTION '[^']*');\s*END\s*$")

_SQLITE = """
    SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master WHERE type IN ('trigger', 'view')
"""
_POSTGRES = """
    SELECT 'trigger', t.tgname, c.relname, coalesce(p.prosrc, '')
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'rule', r.rulename, c.relname, ''
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    WHERE r.rulename <> '_RETURN' AND c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT 'view', c.relname, c.relname, ''
    FROM pg_class c WHERE c.relkind IN ('v', 'm') AND c.relnamespace = current_schema()::regnamespace
"""


def found(connection: sa.Connection) -> Iterator[tuple[str, str, str]]:
    """Kind, name and table of each that does more than refuse."""
    query = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES
    for kind, name, table, does in sorted(tuple(row) for row in connection.execute(sa.text(query))):
        if not (kind == "trigger" and _REFUSES.search(does.strip())):
            yield str(kind), str(name), str(table)
