"""The audit trail: who changed what, when, from what to what; each entry sealed to the one before."""
