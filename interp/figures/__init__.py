"""Paper figures as reproducible objects: a script, its data with provenance, its picture, and a check of all three."""
