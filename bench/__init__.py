"""Benchmarks: `python -m bench NAME`, each beside a peer on the same server in the same run."""
