"""ONNX's own tests of single operators: those that a layer stands for pass, and none fails."""

import onnx_nodes
import pytest


def test_no_test_of_an_operator_fails():
    pytest.importorskip("onnx")
    counts, failed = onnx_nodes.table()
    assert failed == {}
    assert set(counts) == set(onnx_nodes.OPERATORS)
    without = {operator for operator, count in counts.items() if not count["passed"]}
    assert without == set()
    assert sum(count["passed"] for count in counts.values()) >= 129
