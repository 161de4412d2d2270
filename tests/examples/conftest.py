"""The example uses the Python client, which is made first."""

from tests.clients.conftest import python_client

__all__ = ["python_client"]
