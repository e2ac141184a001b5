"""What a failed test shows beside its own words; each conftest.py takes the hook over."""

import pytest

import processes


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of every running program's log."""
    report = yield
    if report.failed:
        report.sections += [(f"log of {program.name}", program.tail()) for program in processes.RUNNING]
    return report
