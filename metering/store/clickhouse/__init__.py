"""The event store on ClickHouse, for those who outgrow one machine. The SQL database keeps the money, and the
order of the commits of events (docs/decisions/0012).

    address      the URL and what it may say
    connection   the client; what "durable" is for an insert
    schema       the tables, as numbered migrations
    block        events as one block of ClickHouse's Native format
    journal      positions: taken before an insert, published after it, withdrawn if it came to nothing
    queries      the questions, as SQL
    store        the EventStore made of these
    copying      an installation's events from its SQL database to ClickHouse

Needs the extra `clickhouse` (clickhouse-connect).
"""
