"""L16: uncompressed 16-bit samples, the most significant octet first (RFC 3551 section 4.5.11)."""


def decode_l16(payload: bytes | memoryview) -> bytes:
    """Turn network-order samples into 16-bit little-endian PCM; an odd last octet is left out."""
    return _swap(payload)


def encode_l16(pcm: bytes | memoryview) -> bytes:
    """Turn 16-bit little-endian PCM into network-order samples; an odd last octet is left out."""
    return _swap(pcm)


def _swap(octets: bytes | memoryview) -> bytes:
    size = len(octets) & ~1
    swapped = bytearray(size)
    swapped[0::2] = octets[1:size:2]
    swapped[1::2] = octets[0:size:2]
    return bytes(swapped)
