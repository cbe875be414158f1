"""Changes that take two persons: one asks, and what they asked for is stored word by word; another approves,
and exactly that is done. Which deeds these are, and from what on, is a setting (docs/security.md)."""

from billing.proposals.operation import perform
from billing.repository.proposals import Proposal

__all__ = ["Proposal", "perform"]
