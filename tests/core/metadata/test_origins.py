import xml.etree.ElementTree as ET

from siprec_core.metadata.origins import Origins, shown


def test_object_has_the_element_of_its_index() -> None:
    element = ET.Element("session")
    origins = Origins({"session": [element]})
    assert origins.of("session", 0) is element


def test_object_that_no_element_stands_for_has_no_origin() -> None:
    assert Origins().of("session", 0) is None
    assert Origins({"session": []}).of("session", 0) is None


def test_long_id_is_shortened() -> None:
    assert len(shown("x" * 500)) < 90
    assert shown("call") == "'call'"
