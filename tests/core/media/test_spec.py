from siprec_core.media.spec import MediaSpec
from siprec_core.rtp.payload import PayloadFormat
from siprec_core.types import MediaId


def test_a_line_without_more_words_receives_on_two_ports_from_anywhere() -> None:
    spec = MediaSpec(media=MediaId(1), formats=(PayloadFormat(0, "PCMU", 8000),))
    assert spec.direction == "recvonly"
    assert not spec.rtcp_mux
    assert spec.remote_rtp is None
    assert spec.remote_rtcp is None
    assert spec == MediaSpec(media=MediaId(1), formats=spec.formats)
