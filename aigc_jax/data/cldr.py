"""Translations that need no download: dates and names in any two locales of the Unicode CLDR.

The Common Locale Data Repository says how each of some thousand locales writes a date, and what it
calls languages, territories and currencies. The babel package carries it.
"""

import datetime
import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aigc_jax.data.pairs import Pair, Pairs, tenth
from aigc_jax.errors import InputError

if TYPE_CHECKING:
    from babel import Locale
    from babel.dates import DateTimePattern

YEARS = range(2000, 2030)  # within a century, so that years of two digits are not ambiguous
FORMATS = ("full", "long", "medium", "short")
# By the fields they show: y year, M month, E weekday, d day. All show year, month and day: a
# source without its year, "January 2", would not identify its day, which could not be held out.
SKELETONS = ("yMMMEd", "yMMMd", "yMEd", "yMd")
# Territories first: "Tuvalu" is the country before it is the language.
NAMES = {"territory": "territories", "language": "languages", "currency": "currencies"}


def load_cldr(source: str = "en", target: str = "zh", years: range = YEARS) -> Pairs:
    """Dates and names as the source locale writes them, with the target locale's.

    A tenth of the days (see `tenth`) is held out, each in all of its formats. Names cannot be
    translated unseen, so all of them are to train on; their kinds tell them apart.

    The target is a function of the source. Where several formats agree in the source locale and not
    in the target's, the first in the order of `FORMATS` and `SKELETONS` counts; where names do, the
    first in the order of kinds and codes. A date that could be either of two days is left out, and
    so is a name that is the same in both locales.

    Args:
      source, target: identifiers such as `en`, `zh_Hant` or `pt-BR`.
      years: those whose days to write.

    Returns:
      Pairs of the kinds `date`, `territory`, `language` and `currency`.

    Raises:
      InputError: a locale is unknown, the two write everything the same, or babel is missing.

    Source: https://cldr.unicode.org, in the version that babel carries.
    """
    one, other = _locale(source), _locale(target)
    dates = _dates(one, other, years)
    names = _names(one, other)
    if all(text == translated for text, (translated, _) in dates.items()) and not names:
        raise InputError(
            f"locales {source} and {target} write everything the same; choose another pair"
        )
    heldout_days = tenth(day for _, day in dates.values())
    train: list[Pair] = []
    heldout: list[Pair] = []
    for text, (translated, day) in dates.items():
        (heldout if day in heldout_days else train).append((text, translated))
    kinds = ["date"] * len(train) + [kind for _, kind in names.values()]
    train += [(text, translated) for text, (translated, _) in names.items()]
    return Pairs(f"cldr-{one}-{other}", train, heldout, tuple(kinds), ("date",) * len(heldout))


def _dates(one: "Locale", other: "Locale", years: range) -> dict[str, tuple[str, str]]:
    """Source → target and the ISO 8601 date of the day that both mean."""
    patterns, others = _patterns(one), _patterns(other)
    common = [(patterns[name], others[name]) for name in patterns if name in others]
    found: dict[str, tuple[str, str]] = {}
    ambiguous = set()
    for day in _days(years):
        iso = day.isoformat()
        for pattern, translated in common:
            text = pattern.apply(day, one)
            if found.setdefault(text, (translated.apply(day, other), iso))[1] != iso:
                ambiguous.add(text)
    return {text: pair for text, pair in found.items() if text not in ambiguous}


def _patterns(locale: "Locale") -> "dict[str, DateTimePattern]":
    skeletons = locale.datetime_skeletons
    formats = {name: locale.date_formats[name] for name in FORMATS}
    return formats | {name: skeletons[name] for name in SKELETONS if name in skeletons}


def _days(years: range) -> Iterator[datetime.date]:
    for year in years:
        first = datetime.date(year, 1, 1).toordinal()
        last = datetime.date(year, 12, 31).toordinal()
        yield from map(datetime.date.fromordinal, range(first, last + 1))


def _names(one: "Locale", other: "Locale") -> dict[str, tuple[str, str]]:
    """Source → target and kind."""
    found: dict[str, tuple[str, str]] = {}
    for kind, attribute in NAMES.items():
        names, others = getattr(one, attribute), getattr(other, attribute)
        for code in sorted(set(names) & set(others)):
            if names[code] != others[code]:
                found.setdefault(names[code], (others[code], kind))
    return found


def _locale(name: str) -> "Locale":
    try:
        from babel import Locale, UnknownLocaleError
        from babel.core import parse_locale
    except ImportError as error:
        message = "the CLDR's translations need babel: pip install 'aigc_jax[translation]'"
        raise InputError(f"{message}, or pass --pairs") from error
    identifier = name.replace("-", "_")
    try:
        locale = Locale.parse(identifier)
        # For an unknown script or variant, babel silently takes the language alone.
        if {*parse_locale(identifier)[1:]} <= {*parse_locale(str(locale))[1:], None}:
            return locale
    except (UnknownLocaleError, ValueError):
        pass
    close = _close_locales(identifier)
    advice = f"did you mean {' or '.join(close)}?" if close else "try en, zh, de, fr or ja"
    raise InputError(f"unknown locale {name!r}; {advice}")


def _close_locales(identifier: str) -> list[str]:
    """Up to three identifiers that are spelt like it, or whose English language name is."""
    from babel import Locale, localedata

    spelt = {
        language.lower(): code
        for code, language in Locale("en").languages.items()
        if localedata.exists(code)
    }
    spelt |= {known.lower(): known for known in localedata.locale_identifiers()}
    close = difflib.get_close_matches(identifier.lower(), sorted(spelt), 3, 0.8)
    return list(dict.fromkeys(spelt[spelling] for spelling in close))
