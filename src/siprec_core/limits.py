"""Every bound of the core in one place, each with the attack that it stops."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what peers may make us hold or do. Sizes are octets, times seconds."""

    # SIP messages
    header_field_size: int = 8 * 1024
    """Start line or one header field: stops parsers from crawling through an endless line."""
    header_block_size: int = 64 * 1024
    """All header fields together: stops a header without end on a stream."""
    header_fields: int = 256
    """Number of header fields: stops a flood of tiny fields."""
    hops: int = 70
    """Via or Route entries of one message: stops amplification through copied lists."""
    body_size: int = 4 * 1024 * 1024
    """Body on a stream: stops a Content-Length that asks for all memory."""
    drained_size: int = 32 * 1024 * 1024
    """Body over `body_size` that is read past after 413, so that its connection lives on; a larger one closes it."""
    datagram_size: int = 65_535
    """One SIP datagram with its body."""
    # multipart
    multipart_parts: int = 64
    """Parts of a body, all levels together: stops 100,000 empty parts."""
    multipart_depth: int = 4
    """Nesting of multipart bodies: stops recursion."""
    multipart_boundary: int = 70
    """Length of a boundary (RFC 2046 section 5.1.1)."""
    part_header_size: int = 8 * 1024
    """Header block of one part."""
    # metadata XML
    xml_depth: int = 32
    """Nesting of elements: stops stack exhaustion."""
    xml_elements: int = 50_000
    """Elements of a document: stops a document of nothing but tags."""
    xml_attributes: int = 64
    """Attributes of one element: stops quadratic duplicate checks."""
    xml_text_size: int = 64 * 1024
    """Text of one element."""
    metadata_objects: int = 20_000
    """Metadata objects of one recording, ended ones included: stops updates that always bring new ids."""
    # SDP
    sdp_lines: int = 2_000
    """Lines of a description: stops 10,000 lines of nothing."""
    sdp_line_size: int = 4 * 1024
    """One line of a description."""
    sdp_media: int = 64
    """Media lines: each may cost two ports."""
    sdp_attributes: int = 256
    """Attributes of one section."""
    sdp_formats: int = 128
    """Formats of one media line (there are 128 RTP payload types)."""
    # connections and load
    incomplete_message_seconds: float = 30.0
    """Age of a message that is still arriving on a stream: stops one octet a second."""
    idle_stream_seconds: float = 600.0
    """Idle time of a stream that no transaction or dialog needs: stops connections that only sit there."""
    slow_message_seconds: float = 5.0
    """Age from which an incomplete message has to have brought `slow_message_rate` octets a second on the average."""
    slow_message_rate: int = 32
    """Octets a second: stops messages that crawl below the age limit."""
    requests_per_source: int = 200
    """New requests outside dialogs of one address a second, refused with 503 beyond; 0 is without limit."""
    requests_burst: int = 400
    """So many of them at once; as many again are refused, what is beyond that gets no answer."""
    sources: int = 10_000
    """Addresses whose rate is remembered: stops spoofed addresses from filling memory."""
    connections: int = 10_000
    """Open connections in all."""
    connections_per_source: int = 200
    """Open connections of one address: stops one host from taking them all."""
    server_transactions: int = 20_000
    """Server transactions at a time: stops memory from growing with spoofed requests."""
    dialogs: int = 20_000
    """Dialogs at a time, early ones included."""
    early_dialogs: int = 2_000
    """Calls that are still being set up."""
    waiting_calls: int = 100
    """Calls that wait for room: stops a line that nobody at its end gets a turn in."""
    digest_nonces: int = 10_000
    """Nonces of ours whose use is remembered; with one more the oldest becomes stale."""
    digest_realms: int = 8
    """Realms of one server that a client answers: stops a list of challenges without end."""
    # server location
    resolve_seconds: float = 5.0
    """One round of DNS queries; three at most: stops a silent name server from holding a request."""
    resolve_records: int = 256
    """Records of one DNS answer that are looked at: stops answers of thousands."""
    resolve_targets: int = 16
    """Services, and then servers, looked up for one request: stops a domain from having us ask for many others."""
    resolve_hops: int = 32
    """Places that one request is tried at."""
    # media
    ssrcs_per_line: int = 16
    """Synchronisation sources tracked on one media line: stops SSRC floods."""
    new_ssrcs_per_second: int = 4
    """New synchronisation sources of one line in one second."""
    ssrcs_reported: int = 256
    """Sources of one line, contributing ones too, that its statistics list one by one; the rest is only summed."""
    source_silent_seconds: float = 10.0
    """Silence (of RTP and RTCP, on a line not on hold) after which another source may pass its probation and take a
    line over; 0 = never. Stops strangers from taking a line whose source lives."""
    goodbyes_remembered: int = 64
    """Sources of one line whose RTCP BYE is remembered until a packet of theirs comes: stops floods of forged ones."""
    srtp_ssrcs: int = 1_024
    """Synchronisation sources under one key of SRTP, each with a cryptographic context; more are rejected."""
    probation_size: int = 128 * 1024
    """Datagrams of one line held until their source is believed: stops floods that never are from filling memory."""
    reorder_seconds: float = 2.0
    """How late a packet may come and still be placed."""
    sequence_jump: int = 3_000
    """Largest believed jump of sequence numbers (MAX_DROPOUT, RFC 3550 appendix A.1)."""
    wall_clock_seconds: float = 0.5
    """How far the wall clocks of sender reports may move audio from where its arrival puts it; beyond it they are not
    believed."""
    timestamp_jump_seconds: float = 600.0
    """Largest silence filled for one timestamp jump; beyond it the stream is anchored again by arrival."""
    key_presses: int = 10_000
    """Key presses of one line that are noted: stops a flood of telephone events from filling memory."""
    taps: int = 64
    """Listeners to the live audio of one session: each gets every frame."""
    journal_size: int = 8 * 1024 * 1024 * 1024
    """Journal of one session: a flood must not fill the disk."""
    recording_seconds: float = 24 * 3600.0
    """Duration of one recording: stops a call that nobody ends."""
    no_media_seconds: float = 0.0
    """End a recording after so long without media; 0 = never (persistent recordings are legal, RFC 7866 section 10)."""
    first_media_seconds: float = 5.0
    """Tell of a line on which no packet came so long after its answer; 0 = never. It ends nothing."""
    silent_media_seconds: float = 30.0
    """Tell of a line that fell silent for so long and is not on hold; 0 = never. It ends nothing."""
    retry_after_seconds: float = 3600.0
    """Longest Retry-After of a recording server that a client keeps to: stops one wrong answer from shutting it out for
    good."""
    # captures
    capture_block_size: int = 16 * 1024 * 1024
    """One block of a capture file: stops a length field that asks for all memory."""
    capture_interfaces: int = 4_096
    """Interfaces of a capture file: stops a file of nothing but interfaces."""
    capture_fragments: int = 256
    """Fragmented IP packets put together at a time: stops first fragments without an end."""
    capture_streams: int = 4_096
    """Directions of TCP connections followed at a time: stops a capture of a port scan."""
    capture_stream_segments: int = 1_024
    """Segments of one direction that wait for a missing one; with one more the gap is given up."""
    capture_waiting_size: int = 64 * 1024 * 1024
    """Memory of all segments that wait: stops many streams with a gap each."""
    capture_calls: int = 4_096
    """Recording calls of a capture that are told apart, and other calls followed at a time: stops floods of calls."""
    # reports
    findings: int = 1_000
    """Findings kept per session; the rest is counted."""
    timeline_entries: int = 10_000
    """Timeline entries kept per session; the rest is counted."""
