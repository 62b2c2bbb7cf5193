"""Metrics as pure functions, and figures."""
