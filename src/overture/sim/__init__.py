"""The policy lab: what a policy would do, tried on invented members or on the deployment's own history.

An extra, `overture[lab]`: it computes with numpy.
"""

from importlib.util import find_spec


def is_installed() -> bool:
    return find_spec("numpy") is not None
