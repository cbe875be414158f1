"""The service's books, kept in memory the slow way: written from docs/rules.md alone, run by run and day by
day. Nothing here imports `billing` or `metering`, nor remembers what can be worked out again."""
