"""The installation's secret: made once, and the same for all of its processes."""

from __future__ import annotations

from overture import app, ids
from overture.core.seals import Secret
from overture.store import installation
from tests.cast import town_in


async def test_an_installation_makes_its_secret_once(database_url: str) -> None:
    async with app.opened(database_url, connections=2) as first:
        async with app.opened(database_url, connections=2) as second:
            assert first.secret.key == second.secret.key
        await first.db.writing(lambda tx: installation.ensure_secret(tx, ids.new_key()))
        assert await first.db.reading(installation.secret) == first.secret


async def test_another_installation_has_another(databases, database_url: str) -> None:
    other_url = databases.fresh()
    async with app.opened(database_url) as here, app.opened(other_url) as there:
        assert isinstance(here.secret, Secret)
        assert here.secret.key != there.secret.key
        assert len(here.secret.key) == 32
        assert here.secret.key.hex() not in repr(here)
        assert repr(here.secret.key) not in repr(here)
    databases.drop(other_url)


async def test_no_secret_without_an_installation(database_url: str) -> None:
    async with town_in(database_url) as town:
        assert await town.look(installation.secret) is None
