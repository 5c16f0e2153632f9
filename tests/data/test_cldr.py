import datetime
import re
import sys
from collections import Counter

import pytest

from aigc_jax.data.cldr import load_cldr
from aigc_jax.errors import InputError

LOCALES = [("en", "zh"), ("zh", "en"), ("en", "de"), ("fr", "ja"), ("ar", "fa")]


@pytest.fixture(scope="module")
def english_to_chinese():
    return load_cldr()


def translations(source, target, years=range(2024, 2025)):
    data = load_cldr(source, target, years)
    return dict(data.train + data.heldout)


def of_kind(data, kind):
    return {pair for pair, k in zip(data.train, data.train_kinds, strict=True) if k == kind}


def test_known_dates_and_names(english_to_chinese):
    pairs = dict(english_to_chinese.train + english_to_chinese.heldout)
    expected = {
        "Wednesday, May 6, 2009": "2009年5月6日星期三",
        "February 29, 2024": "2024年2月29日",
        "Dec 31, 2029": "2029年12月31日",
        "1/2/24": "2024/1/2",
        "1/2/2024": "2024/1/2",
        "Tue, Jan 2, 2024": "2024年1月2日周二",
        "Tue, 1/2/2024": "2024/1/2周二",
        "Japanese": "日语",
        "Brazil": "巴西",
        "Swiss Franc": "瑞士法郎",
    }
    assert {source: pairs[source] for source in expected} == expected


def test_dates_are_tens_of_thousands_and_every_pair_has_a_kind(english_to_chinese):
    data = english_to_chinese
    assert (data.name, data.unit) == ("cldr-en-zh", "pairs")
    kinds = Counter(data.train_kinds)
    assert set(kinds) == {"date", "territory", "language", "currency"}
    assert len(data.train_kinds) == len(data.train)
    assert data.heldout_kinds == ("date",) * len(data.heldout)
    # 10,958 days in seven formats; those of May have "May 2, 2024" for two of them.
    assert kinds["date"] + len(data.heldout) > 70_000
    assert 0.09 < len(data.heldout) / (kinds["date"] + len(data.heldout)) < 0.11
    assert all(kinds[kind] > 200 for kind in ("territory", "language", "currency"))
    assert ("Brazil", "巴西") in of_kind(data, "territory")
    assert ("Japanese", "日语") in of_kind(data, "language")
    assert ("Swiss Franc", "瑞士法郎") in of_kind(data, "currency")


def test_held_out_days_occur_in_no_format_of_training(english_to_chinese):
    def days(pairs):
        # Chinese dates begin with year, month and day in digits, in all formats.
        return {tuple(map(int, re.findall(r"\d+", target)[:3])) for _, target in pairs}

    heldout = days(english_to_chinese.heldout)
    train = days(of_kind(english_to_chinese, "date"))
    assert not heldout & train
    assert len(heldout) == 1096
    first, last = datetime.date(2000, 1, 1), datetime.date(2029, 12, 31)
    assert len(heldout | train) == (last - first).days + 1
    # Each held-out day is there in as many formats as it has.
    assert len(english_to_chinese.heldout) / len(heldout) > 6.8


@pytest.mark.parametrize(("source", "target"), LOCALES)
def test_the_target_is_a_function_of_the_source(source, target):
    data = load_cldr(source, target, range(2020, 2024))
    sources = [text for text, _ in data.train + data.heldout]
    assert len(set(sources)) == len(sources) > 4 * 365 * 2
    assert all(text and translated for text, translated in data.train + data.heldout)


def test_where_formats_agree_the_first_counts():
    # "May" is long and short alike in English, and German has figures for the medium format.
    pairs = translations("en", "de")
    assert (pairs["May 2, 2024"], pairs["Jun 2, 2024"]) == ("2. Mai 2024", "02.06.2024")
    pairs = translations("zh", "en")
    assert pairs["2024年1月2日"] == "January 2, 2024"


def test_a_date_that_may_be_either_of_two_days_is_left_out():
    pairs = translations("en", "zh", range(1924, 2025, 100))
    assert "1/2/24" not in pairs
    assert (pairs["1/2/2024"], pairs["1/2/1924"]) == ("2024/1/2", "1924/1/2")


def test_names_that_are_the_same_or_lacking_are_passed_over():
    german = load_cldr("en", "de", range(2024, 2025))
    names = [p for p, k in zip(german.train, german.train_kinds, strict=True) if k != "date"]
    assert ("Japanese", "Japanisch") in names
    assert all(source != target for source, target in names)
    chinese = load_cldr("en", "zh", range(2024, 2025))
    french = load_cldr("en", "fr", range(2024, 2025))
    # Chinese has no word for some of the languages that French has one for.
    assert len(of_kind(chinese, "language")) < len(of_kind(french, "language"))


def test_a_country_comes_before_its_language():
    assert translations("en", "zh")["Tuvalu"] == "图瓦卢"


def test_it_is_the_same_each_time(english_to_chinese):
    again = load_cldr("en", "zh")
    assert again == english_to_chinese
    assert again.fingerprint() == english_to_chinese.fingerprint()


def test_locales_may_be_written_with_hyphens():
    data = load_cldr("pt-BR", "zh-Hant", range(2024, 2025))
    assert data.name == "cldr-pt_BR-zh_Hant"
    assert dict(data.train)["Japão"] == "日本"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("english", "did you mean en?"),
        ("Japanese", "did you mean ja"),
        ("zh_Hnat", "zh_Hant"),
        ("qq", "try en, zh, de, fr or ja"),
        ("", "try en, zh, de, fr or ja"),
        ("../zh", "try en, zh, de, fr or ja"),
        ("en-XX", "did you mean en_"),
    ],
)
def test_an_unknown_locale_is_named_with_close_ones(name, advice):
    for arguments in ((name, "zh"), ("en", name)):
        with pytest.raises(InputError) as caught:
            load_cldr(*arguments)
        assert str(caught.value).startswith(f"unknown locale {name!r}; ")
        assert advice in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("source", "target"), [("en", "en"), ("en", "en_US"), ("eng", "en")])
def test_locales_that_write_all_the_same_are_refused(source, target):
    with pytest.raises(InputError, match=f"{source} and {target} write everything the same"):
        load_cldr(source, target, range(2024, 2025))


def test_without_babel_the_way_to_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "babel", None)
    with pytest.raises(InputError, match=r"pip install 'aigc_jax\[translation\]'"):
        load_cldr()
