"""A LinkedIn data export, read: a zip of CSV files in, typed records out, one row at a time.

Nothing here knows the database, and nothing here raises for a bad row. Begin with `archive`.
"""
