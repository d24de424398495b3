"""Audio codecs: payloads to PCM and back."""
