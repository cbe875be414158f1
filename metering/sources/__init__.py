"""Wire formats: bytes to task-run events, one module a format."""
