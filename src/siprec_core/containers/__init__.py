"""File formats: WAV, pcap, pcapng."""
