"""Facts: what ran, how it ended, and how much of it counts. This house knows no price.

Read in this order: `event` (one statement by a source), `outcome` (what all statements about one task
run amount to), `period` (months and instants), `usage` (counts), `sources` (wire formats), `store`
(where events are kept), `ingestion` (how a batch travels from a door to the store).
"""
