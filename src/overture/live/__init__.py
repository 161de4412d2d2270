"""The hub: what the outbox tells, brought to the members whom it concerns while it is fresh."""
