"""`python -m overture`, the same as `overture`."""

from overture.cli import main

main()
