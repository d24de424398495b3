from siprec_core.sip.status import REASON_PHRASES, reason_phrase


def test_known_phrases() -> None:
    assert reason_phrase(200) == "OK"
    assert reason_phrase(421) == "Extension Required"


def test_unknown_status_gets_the_phrase_of_its_class() -> None:
    assert reason_phrase(299) == reason_phrase(200)
    assert reason_phrase(499) == reason_phrase(400)
    assert reason_phrase(999) == "Unknown"


def test_phrases_can_stand_in_a_status_line() -> None:
    assert all(
        100 <= status <= 699 and phrase.isascii() and phrase.isprintable() for status, phrase in REASON_PHRASES.items()
    )
