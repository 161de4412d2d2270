"""Mail that comes in: replies, and what comes back of mail that went out."""
