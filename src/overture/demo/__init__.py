"""A small invented network with a year behind it, served, and what to try."""
