"""The engines of both houses."""
