"""A whole installation moves to another database: from SQLite to PostgreSQL, or back.

copying   every table in one transaction, while the old database takes nothing
tables    which tables those are; a table's count and digest
closing   the old database, once it was left: it refuses what any process would still write
"""
