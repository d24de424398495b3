"""The media plane: sources, receivers, senders, timelines."""
