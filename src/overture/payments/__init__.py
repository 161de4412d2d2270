"""The payment door: a provider's webhook drives subscriptions."""
