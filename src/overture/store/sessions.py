"""Browsers that are signed in, in SQL. Who a cookie belongs to is found in `accounts`."""
