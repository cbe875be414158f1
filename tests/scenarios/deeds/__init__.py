"""What may happen in a story: the operations that every door uses, and runs that sources send."""

from tests.scenarios.deeds import accounts, catalogue, contracts, documents, runs

__all__ = ["accounts", "catalogue", "contracts", "documents", "runs"]
