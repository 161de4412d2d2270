"""Notices on members' devices, by Web Push: an extra, `overture[push]`."""
