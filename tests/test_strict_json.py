import json
from pathlib import Path

import numpy as np
import pytest

from aigc_jax.strict_json import dumps, loads

ROOT = Path(__file__).parent.parent


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


BAD = (float("nan"), float("inf"), -float("inf"), np.float64("nan"))


@pytest.mark.parametrize("value", BAD, ids=str)
def test_what_is_not_finite_is_null_wherever_it_stands(value):
    text = dumps({"a": value, "b": [1.5, (value, {"c": value})], "d": None}, indent=1)
    assert json.loads(text, parse_constant=refuse) == loads(text)
    assert loads(text) == {"a": None, "b": [1.5, [None, {"c": None}]], "d": None}


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 2**70, 0.1, "ä\x1b\u2028", [1, [2]], {"a": {"b": []}}, 1.7e308],
    ids=str,
)
def test_all_else_is_as_json_writes_and_reads_it(value):
    for layout in ({}, {"indent": 2}, {"ensure_ascii": False}, {"sort_keys": True}):
        assert dumps(value, **layout) == json.dumps(value, **layout)
    assert loads(dumps(value)) == value
    assert loads(dumps(value, ensure_ascii=False).encode()) == value


def test_a_name_that_is_not_utf8_can_be_kept():
    text = dumps({"name": "caf\udce9 ä"}, ensure_ascii=False)
    assert loads(text.encode()) == {"name": "caf\udce9 ä"}
    assert "ä" in text


def test_what_others_wrote_is_read_without_infinities():
    assert loads("[NaN, -Infinity, Infinity, 1e999, -1e999, 1e308]") == [None] * 5 + [1e308]


@pytest.mark.parametrize(
    "text",
    ["[" * 10**6, '{"a":' * 10**5, b"\xff", "", "{", "1" * 5000, "[1,]"],
    ids=lambda t: t[:4],
)
def test_what_is_not_json_is_one_kind_of_error(text):
    with pytest.raises(ValueError, match=r"."):
        loads(text)


def test_all_json_is_written_here():
    """`json.dumps` would write NaN as it stands."""
    for path in [*(ROOT / "aigc_jax").rglob("*.py"), *(ROOT / "experiments").glob("*.py")]:
        if path.name != "strict_json.py":
            assert "json.dump" not in path.read_text("utf-8"), path
