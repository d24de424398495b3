from siprec_core.metadata.origins import Origins, shown


def test_object_has_the_child_of_its_index() -> None:
    origins = Origins({"session": [4, 7]})
    assert origins.of("session", 1) == (7, 0)


def test_object_that_no_element_stands_for_has_no_origin() -> None:
    assert Origins({}).of("session", 0) is None
    assert Origins({"session": []}).of("session", 0) is None


def test_long_id_is_shortened() -> None:
    assert len(shown("x" * 500)) < 90
    assert shown("call") == "'call'"
