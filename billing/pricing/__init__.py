"""The pure core of prices: from a quantity of task runs to the lines of an invoice.

Read in this order: `currency` (places and minimum charges), `money` (exact decimals, the one rounding),
`catalogue` (plan versions and their brackets), `plan_file` (the file an operator edits), `rating`
(quantity × brackets), `line`, `basis` and `usage_lines` (the parts of an invoice), `invoice` (composes it).

Committed runs: `contract` (grants, services, term), `contract_file`, `drawdown` (which grant serves which
day), `run_ledger` (what is written down of it), `instalments`, `contract_invoice` (what of them is due). The
steps of an invoice, one module each, in their order: `usage_lines` or `on_demand`, `program_discount` (and
`program_application`), `price_protection`, `adjustment`, `credit`. `days` says what an end date is;
`data_file` reads what an operator edits.

Functions from values to values: no clock, no file, no database, no environment. Quantities are whole task
runs; prices are decimals in the currency's major unit; amounts are integers in its minor unit.
"""
