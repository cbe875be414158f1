"""What the database would do by itself: triggers, rules, and views in place of tables; columns that are
computed, keys that take other rows along, and whatever else calls a function. The service has none but
triggers that refuse to write where an installation has moved away."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlalchemy as sa

from billing import tables
from metering.store import changes
from metering.store import tables as store

# `installation_moved…`, `task_runs_moved…`: word for word, so that nothing else is in it, nor in a comment.
_REFUSES = re.compile(
    r"CREATE TRIGGER \w+ BEFORE (INSERT|UPDATE|DELETE) ON \w+ BEGIN SELECT RAISE\(ABORT, '[^']*'\); END"
    r"|\s*BEGIN RAISE EXCEPTION '[^']*'; END\s*"
)
# Defaults that are constants of the schema, and the sequences of ids.
_CONSTANT = re.compile(r"'\{\}'(::text)?|'?0'?|nextval\('\w+'::regclass\)")

_SQLITE = """
    SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master WHERE type IN ('trigger', 'view')
    UNION ALL
    SELECT 'virtual table', name, name, '' FROM sqlite_master
    WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%'
    UNION ALL
    SELECT 'computed column', c.name, m.name, '' FROM sqlite_master m, pragma_table_xinfo(m.name) c
    WHERE m.type = 'table' AND c.hidden <> 0
    UNION ALL
    SELECT 'default', c.name, m.name, c.dflt_value FROM sqlite_master m, pragma_table_xinfo(m.name) c
    WHERE m.type = 'table' AND c.dflt_value IS NOT NULL
    UNION ALL
    SELECT 'foreign key', f."from", m.name, '' FROM sqlite_master m, pragma_foreign_key_list(m.name) f
    WHERE m.type = 'table' AND (f.on_update <> 'NO ACTION' OR f.on_delete <> 'NO ACTION')
"""
# Tables are those that the service would write to, wherever they are: whoever may make a schema of the user's
# name comes before the one that is meant.
_POSTGRES = """
    WITH written AS (
        SELECT to_regclass(name)::oid AS id FROM unnest(CAST(:names AS text[])) AS given(name)
    ),
    home AS (SELECT DISTINCT relnamespace AS id FROM pg_class JOIN written ON id = oid),
    ours AS (
        SELECT oid, relname, relkind, relrowsecurity FROM pg_class JOIN home ON home.id = relnamespace
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
    ),
    uses AS (
        SELECT d.refobjid, coalesce(i.indrelid, n.conrelid, a.adrelid) AS table_id
        FROM pg_depend d
        LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
        LEFT JOIN pg_constraint n ON d.classid = 'pg_constraint'::regclass AND n.oid = d.objid
        LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
        WHERE d.refclassid = 'pg_proc'::regclass
    )
    SELECT 'trigger', t.tgname, c.relname, coalesce(p.prosrc, '')
    FROM pg_trigger t JOIN ours c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'rule', r.rulename, c.relname, '' FROM pg_rewrite r JOIN ours c ON c.oid = r.ev_class
    WHERE r.rulename <> '_RETURN'
    UNION ALL
    SELECT CASE WHEN relkind IN ('v', 'm') THEN 'view' ELSE 'table kept elsewhere' END, relname, relname, ''
    FROM ours WHERE relkind <> 'r'
    UNION ALL
    SELECT 'row-level security', relname, relname, '' FROM ours WHERE relrowsecurity
    UNION ALL
    SELECT 'child table', h.inhrelid::regclass::text, c.relname, ''
    FROM pg_inherits h JOIN ours c ON c.oid = h.inhparent
    UNION ALL
    SELECT 'computed column', a.attname, c.relname, '' FROM pg_attribute a JOIN ours c ON c.oid = a.attrelid
    WHERE a.attgenerated <> '' OR a.attidentity <> ''
    UNION ALL
    SELECT 'default', a.attname, c.relname, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attrdef d JOIN ours c ON c.oid = d.adrelid
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = ''
    UNION ALL
    SELECT 'foreign key', n.conname, c.relname, '' FROM pg_constraint n JOIN ours c ON c.oid = n.conrelid
    WHERE n.contype = 'f' AND (n.confdeltype <> 'a' OR n.confupdtype <> 'a')
    UNION ALL
    SELECT 'function', u.refobjid::regprocedure::text, c.relname, ''
    FROM uses u JOIN ours c ON c.oid = u.table_id WHERE u.refobjid >= 16384
"""


def found(connection: sa.Connection) -> Iterator[tuple[str, str, str]]:
    """Kind, name and table of each that does more than refuse."""
    if connection.dialect.name == "postgresql":
        names = [*tables.metadata.tables, *store.metadata.tables, *changes.metadata.tables]
        rows = connection.execute(sa.text(_POSTGRES), {"names": names})
    else:
        rows = connection.execute(sa.text(_SQLITE))
    for kind, name, table, does in sorted({tuple(row) for row in rows}, key=str):
        expected = {"trigger": _REFUSES, "default": _CONSTANT}.get(kind)
        if expected is None or not expected.fullmatch(does):
            yield str(kind), str(name), str(table)
