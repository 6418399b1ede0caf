"""What all tests of engines share."""

from __future__ import annotations

import pytest

from tests.engines.fresh_memory import fresh_memory_is_nan


@pytest.fixture(autouse=True)
def no_luck_with_fresh_memory():
    with fresh_memory_is_nan():
        yield
