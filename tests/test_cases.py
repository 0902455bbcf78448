"""Every case beside the checkout that comes from real use, see `cases.py`; absent, the run says so in its notes."""

import pytest

import cases

# Cases that this build is known not to meet. Strict: a case that is met must leave this list.
UNMET: frozenset[str] = frozenset()


def parameters() -> list[object]:
    unmet = pytest.mark.xfail(reason="not met yet", strict=True, raises=AssertionError)
    return [pytest.param(name, marks=unmet if name in UNMET else ()) for name in cases.found()]


@pytest.mark.parametrize("name", parameters())
def test_a_case_from_real_use_is_met(name: str) -> None:
    cases.check(name)


def test_every_unmet_case_is_there() -> None:
    """A name that is misspelt here would hide nothing and look as if it did."""
    if not cases.found():
        pytest.skip(f"{cases.CASES} is absent")
    assert set(cases.found()) >= UNMET
