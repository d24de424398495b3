"""Format parameters of the usual form, which `a=fmtp` carries: signalling and codecs both read them."""


def split_parameters(value: str | None) -> dict[str, str | None]:
    """Read format parameters of the form `name=value; name`, names in lower case, the first of a name (RFC 8866 6.15).

    Which form the parameters of a format have is the format's business: telephone-event has a list, see `read_events`.
    """
    parameters: dict[str, str | None] = {}
    for text in (value or "").split(";"):
        name, equals, content = text.strip().partition("=")
        if name:
            parameters.setdefault(name.rstrip().lower(), content.strip() if equals else None)
    return parameters
