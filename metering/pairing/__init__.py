"""Halves of a run, paired: OpenLineage states a run's start in one event and its end in another, and they
come in any order, in different requests, more than once, or never (docs/decisions/0014).

    half       what a half is; what the halves of a run come to                    (core)
    tables     what is kept of them
    state      all SQL of halves
    keeping    a batch: kept, paired with what is held, metered, settled; and what a crash left
"""
