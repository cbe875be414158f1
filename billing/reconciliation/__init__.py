"""Reconciliation (docs/rules.md §7). Its core: values of three sides in, differences out.

    with_source   what the orchestrator says ran, and the meter
    with_meter    the meter, and what was invoiced
    with_stripe   what was invoiced, and Stripe

Each names every difference with its account, cause, amount and what to do about it. No clock, database or
network in these. The other modules are the shell: `operation` gathers the values by `meter_side` and
`stripe_side`, and `fixes` mends what can be mended without a person.
"""
