"""Saved measurements, drawn: one kind of plot per file, numbers only from the table, no torch."""
