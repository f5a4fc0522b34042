"""Stored arrays."""
