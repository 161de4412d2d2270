from tests.web.conftest import identity_client, place

__all__ = ["identity_client", "place"]
