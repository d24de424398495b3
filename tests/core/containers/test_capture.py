from siprec_core.containers.capture import CaptureProblem, Direction, capture_problem
from siprec_core.findings import Severity


def test_directions_have_the_values_of_epb_flags() -> None:
    assert (Direction.INBOUND.value, Direction.OUTBOUND.value) == (1, 2)


def test_a_problem_tells_its_octet() -> None:
    problem = capture_problem("capture-torn", "cut off", offset=17)
    assert isinstance(problem, CaptureProblem)
    assert (problem.offset, problem.finding.where, problem.finding.message) == (17, "octet 17", "cut off")
    assert problem.finding.severity is Severity.WARNING
