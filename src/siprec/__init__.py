"""The application: a recording server, a recording client and tools for what they make, on the command line."""
