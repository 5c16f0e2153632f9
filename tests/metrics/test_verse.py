"""The form of verse, on poems that everyone knows and on broken ones."""

import pytest

from aigc_jax.metrics.verse import (
    first_line,
    has_equal_lines,
    is_regulated,
    lines_of,
    shares,
    up_to_last_line,
)

QUIET_NIGHT = "牀前看月光，疑是地上霜。\n舉頭望山月，低頭思故鄉。"
SPRING_VIEW = (
    "國破山河在，城春草木深。\n感時花濺淚，恨別鳥驚心。\n"
    "烽火連三月，家書抵萬金。\n白頭搔更短，渾欲不勝簪。"
)
OLD_STYLE = "噫吁戲，危乎高哉！\n蜀道之難，難於上青天！"


def test_lines_are_parted_by_punctuation_and_line_breaks():
    assert lines_of(QUIET_NIGHT) == ["牀前看月光", "疑是地上霜", "舉頭望山月", "低頭思故鄉"]
    assert lines_of("何如肆轍跡？萬里賞瑤池。") == ["何如肆轍跡", "萬里賞瑤池"]
    assert lines_of("，。\n") == []


@pytest.mark.parametrize(
    ("verse", "equal", "regulated"),
    [
        (QUIET_NIGHT, True, True),
        (SPRING_VIEW, True, True),
        (OLD_STYLE, False, False),
        (QUIET_NIGHT.replace("霜", ""), False, False),
        (QUIET_NIGHT + SPRING_VIEW, True, False),  # twelve lines
        ("一二三，四五六。七八九，十百千。", True, False),  # of three characters
        ("", False, False),
    ],
)
def test_the_form(verse, equal, regulated):
    assert (has_equal_lines(verse), is_regulated(verse)) == (equal, regulated)


def test_the_first_line_keeps_its_punctuation():
    assert first_line(QUIET_NIGHT) == "牀前看月光，"
    assert first_line("蜀道") == "蜀道"


def test_a_line_that_was_cut_is_left_out():
    assert up_to_last_line(QUIET_NIGHT + "噫吁") == QUIET_NIGHT
    assert up_to_last_line(QUIET_NIGHT) == QUIET_NIGHT
    assert up_to_last_line("噫吁") == ""


def test_shares_of_a_worked_example():
    assert shares([QUIET_NIGHT, QUIET_NIGHT + SPRING_VIEW, OLD_STYLE, ""]) == {
        "equal_lines": 0.5,
        "regulated": 0.25,
    }
