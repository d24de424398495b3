"""Who wrote a document, guessed: by extension data of its metadata, else by the names that products give themselves."""

from typing import Final

from siprec.documents import Document
from siprec_core.metadata.model import MetadataDocument
from siprec_core.metadata.vendors import vendor_of

_NAMES: Final = {
    "oracle": ("oracle", "acme packet", "acmepacket"),
    "audiocodes": ("audiocodes", "mediant"),
    "avaya": ("avaya", "asbce"),
    "broadworks": ("broadworks", "broadsoft", "webex"),
    "cisco": ("cisco",),
    "drachtio": ("drachtio",),
    "freeswitch": ("freeswitch",),
    "genesys": ("genesys",),
    "jambonz": ("jambonz",),
    "metaswitch": ("metaswitch", "perimeta"),
    "netsapiens": ("netsapiens",),
    "opensips": ("opensips",),
    "ribbon": ("ribbon", "sonus"),
    "siprec": ("siprec/",),
    "telnyx": ("telnyx",),
    "twilio": ("twilio",),
}
"""What a name in User-Agent, Server, `o=` or `s=` contains, letter case aside."""


def guess_origin(document: Document) -> tuple[str | None, str | None]:
    """Give dialect of the metadata and vendor of the client, None for what nothing tells."""
    metadata = document.metadata
    if not isinstance(metadata, MetadataDocument):
        return None, _named(document)
    vendor = vendor_of(metadata)
    return metadata.dialect.value, _named(document) if vendor is None else vendor.value


def _named(document: Document) -> str | None:
    said = []
    if document.message is not None:
        headers = document.message.headers
        said += [value for name in ("User-Agent", "Server") if (value := headers.get(name))]
    if document.description is not None:
        said += [document.description.origin.username, document.description.name]
    text = "\n".join(said).lower()
    return next((vendor for vendor, names in _NAMES.items() if any(name in text for name in names)), None)
