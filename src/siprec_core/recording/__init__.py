"""The recording session: policy, ports, journal, rendering."""
