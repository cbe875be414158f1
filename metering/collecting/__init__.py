"""Asking an orchestrator's server what ran: over HTTP, in pages, in bounded memory."""
