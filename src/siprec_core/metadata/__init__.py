"""Recording metadata (RFC 7865)."""
