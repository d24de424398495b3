"""The operations interface: a local HTTP endpoint for monitoring and for operators (extra `server`)."""
