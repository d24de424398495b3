"""RTP packets and sequence numbers (RFC 3550)."""
