"""The Retry-After header field (RFC 3261 section 20.33)."""

_MOST_DIGITS = 9


def read_retry_after(value: str | None) -> int | None:
    """Give the seconds of a Retry-After, without its comment and parameters; None without any that can be read."""
    digits = (value or "").partition(";")[0].partition("(")[0].strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        return None
    return int(digits)
