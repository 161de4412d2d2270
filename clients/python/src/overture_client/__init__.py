"""Overture's HTTP API: what it answers as typed objects, what it refuses as an exception."""

from overture_client.asking import Problem
from overture_client.events import Event
from overture_client.handover import handover_token
from overture_client.overture import AsyncOverture, Overture

__all__ = ["AsyncOverture", "Event", "Overture", "Problem", "handover_token"]
