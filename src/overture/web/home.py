"""The front door."""

from overture.web.visit import Answer, Go, Visit, Who, page


@page("/", who=Who.ANYONE, transaction=False)
async def home(visit: Visit) -> Answer:
    """Members land in their inbox; anyone else signs in."""
    return Go("/inbox" if visit.visitor else "/login")
