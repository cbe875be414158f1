"""What was earned, what was invoiced, and what is still owed: the report of a month, and its journal.

ledger        the accounts of the journal, entries, and what is left on an account       (core)
facts         what both are computed from                                                (core)
recognition   what of a commitment is earned by the end of a month                       (core)
receivable    what is owed of an invoice at any time                                    (core)
documents     invoices, payments and credit as entries                                   (core)
journal       all entries of a customer, in order                                        (core)
report        the figures of a month, from the facts, and their ties to the journal      (core)
wording       its figures by name                                                         (core)
gathering     reads the facts
operation     what the doors call

docs/revenue.md says what each figure means; decision 28 why it is so.
"""
