"""The examples in docstrings."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("module", ["currency", "milvus_rows", "text"])
def test_examples(module: str) -> None:
    """What a docstring shows is what the function gives."""
    result = doctest.testmod(importlib.import_module(f"sosie.engine.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
