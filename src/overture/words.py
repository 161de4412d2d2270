"""What a page or a mail says, in the reader's language: sentences, instants and numbers.

English stands in the code and the templates; every other language has a Babel catalogue in `locale/`.
An instant is shown in the reader's time zone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from io import BytesIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, negotiate_locale
from babel.dates import format_date, format_interval, format_skeleton
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from overture.core.text import Sentence

# Each in its own words, as the choice of a language shows them.
LANGUAGES = {"en": "English", "ar": "العربية"}
DEFAULT = "en"

# What the policies that ship with Overture say, for the catalogues. An operator may say it otherwise:
# then it shows as the policy has it.
OF_POLICIES = (
    Sentence("Premium Career"),
    Sentence("Premium Business"),
    Sentence("Sales Navigator Core"),
    Sentence("Recruiter Lite"),
    Sentence("Interested, tell me more"),
    Sentence("Maybe later"),
    Sentence("No thanks"),
    Sentence("Five plans in three pools; credits live 120 days and come back with the answer."),
    Sentence("Credits live 90 days, anyone may receive, follow-ups cost a credit each."),
    Sentence("As linkedin-premium; the Recruiter pool pays first."),
    Sentence("As linkedin-premium; the Sales Navigator pool pays first."),
)


@dataclass(frozen=True, slots=True)
class Words:
    """One reader's language and time zone. `gettext` and its kin translate."""

    language: str
    time_zone: str
    gettext: Callable[[str], str]
    ngettext: Callable[[str, str, int], str]
    pgettext: Callable[[str, str], str]

    def say(self, sentence: str) -> str:
        """What comes from the rules, the actions or the policy, translated where it can be."""
        if isinstance(sentence, Sentence):
            said = self.gettext(sentence.template)
            return said % sentence.values if sentence.values else said
        return self.gettext(sentence) if sentence else ""

    @property
    def direction(self) -> str:
        """`ltr` or `rtl`, as the `dir` attribute has it."""
        return _locale(self.language).text_direction

    # Instants ------------------------------------------------------------------------------------

    def local(self, at: datetime) -> datetime:
        return at.astimezone(_zone(self.time_zone))

    def time(self, at: datetime) -> str:
        """14:02"""
        return self._in("Hm", at)

    def hour(self, hour: int) -> str:
        """09:00"""
        return _shown("Hm", datetime(2000, 1, 1, hour), self.language)  # noqa: DTZ001  a time of any day

    def day(self, at: datetime) -> str:
        """3 Dec; for what lies within a year or so."""
        return self._in("MMMd", at)

    def date(self, at: datetime) -> str:
        """3 Dec 2026"""
        return self._in("yMMMd", at)

    def days_between(self, first: datetime, last: datetime) -> str:
        """4–27 Dec; one day alone where both are on it."""
        return str(
            format_interval(
                self.local(first), self.local(last), "MMMd", locale=_locale(self.language)
            )
        )

    def short_month(self, at: datetime) -> str:
        """Dec"""
        return str(
            _locale(self.language).months["stand-alone"]["abbreviated"][self.local(at).month]
        )

    def long_day(self, at: datetime) -> str:
        """3 December"""
        return self._in("MMMMd", at)

    def long_date(self, at: datetime) -> str:
        """3 December 2026"""
        # No locale has a skeleton of its own for it, and Babel's nearest has the short month.
        return format_date(self.local(at), "long", locale=_locale(self.language))

    def month(self, at: datetime) -> str:
        """December"""
        return str(_locale(self.language).months["stand-alone"]["wide"][self.local(at).month])

    def moment(self, at: datetime) -> str:
        """Fri, 6 Nov 2026, 11:31"""
        joined = str(_locale(self.language).datetime_formats["medium"])
        return joined.replace("{1}", self._in("yMMMEd", at)).replace("{0}", self.time(at))

    def heading(self, at: datetime, now: datetime) -> str:
        """A day over the messages written on it: Today, Yesterday, Sunday 8 November."""
        days = (self.local(now).date() - self.local(at).date()).days
        if days == 0:
            return self.gettext("Today")
        if days == 1:
            return self.gettext("Yesterday")
        same_year = self.local(now).year == self.local(at).year
        return self._in("MMMMEEEEd" if same_year else "yMMMMEEEEd", at)

    def when(self, at: datetime, now: datetime) -> str:
        """As short as it can be: 14:02 today, Fri within a week, 12 Nov within the year."""
        there, here = self.local(at), self.local(now)
        days = (here.date() - there.date()).days
        if days == 0:
            return self.time(at)
        if 0 < days < 7:
            return self._in("EEE", at)
        return self.day(at) if there.year == here.year else self.date(at)

    def _in(self, skeleton: str, at: datetime) -> str:
        # Without a zone: equal instants of two zones are one key, and not one day. And without what
        # plays no part in what is shown: of a list's days most are the same.
        here = self.local(at).replace(second=0, microsecond=0, tzinfo=None)
        if skeleton == "Hm":
            here = here.replace(year=2000, month=1, day=1)
        else:
            here = here.replace(hour=0, minute=0)
        return _shown(skeleton, here, self.language)

    # Names ---------------------------------------------------------------------------------------

    def listed(self, names: Sequence[str]) -> str:
        """Ada, Grace, Alan"""
        return format_list(names, style="unit-narrow", locale=_locale(self.language))

    # Numbers -------------------------------------------------------------------------------------

    def number(self, value: int) -> str:
        """2,000"""
        return _number(value, self.language)

    def decimal(self, value: float) -> str:
        """2.4"""
        return format_decimal(value, "#,##0.#", locale=_locale(self.language))

    def signed(self, value: int) -> str:
        """With its sign: a plus, or a true minus."""
        sign = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""
        # Among words that run from right to left the sign would stand behind its number.
        mark = "\N{LEFT-TO-RIGHT MARK}" if sign and self.direction == "rtl" else ""
        return mark + sign + self.number(abs(value))

    def percent(self, share: float) -> str:
        """48%"""
        return format_percent(share, locale=_locale(self.language))

    def size(self, count: int) -> str:
        """184 kB, 2.4 MB: bytes in steps of a thousand, as devices count them."""
        return _size(self, count)

    def days(self, span: timedelta) -> str:
        """How long that is, in whole days begun: 1 day, 86 days."""
        count = -(-span // timedelta(days=1))
        return self.ngettext("%(num)s day", "%(num)s days", count) % {"num": self.number(count)}

    def span(self, took: timedelta) -> str:
        """1 d 6 h, 3 h 20 min, 5 min"""
        minutes = round(took.total_seconds() / 60)
        hours = round(minutes / 60)
        if hours >= 24:
            values = {"days": self.number(hours // 24), "hours": self.number(hours % 24)}
            return self.gettext("%(days)s d %(hours)s h") % values
        values = {"hours": self.number(minutes // 60), "minutes": self.number(minutes % 60)}
        if minutes >= 60:
            return self.gettext("%(hours)s h %(minutes)s min") % values
        return self.gettext("%(minutes)s min") % values


def words_of(language: str, time_zone: str) -> Words:
    """The words of a language that is one of LANGUAGES, and of an IANA time zone; else the defaults."""
    return _words(language if language in LANGUAGES else DEFAULT, time_zone)


def wanted_language(accepted: str) -> str:
    """The one of LANGUAGES that an Accept-Language header asks for first."""
    asked = [part.split(";")[0].strip().replace("-", "_") for part in accepted[:200].split(",")]
    found = negotiate_locale([each for each in asked if each.isascii() and each], LANGUAGES)
    return found or DEFAULT


@lru_cache(maxsize=512)
def _words(language: str, time_zone: str) -> Words:
    catalogue = translations(language)
    return Words(language, time_zone, catalogue.gettext, catalogue.ngettext, catalogue.pgettext)


@cache
def translations(language: str) -> NullTranslations:
    """The language's catalogue; English is what the code says."""
    if language == DEFAULT:
        return NullTranslations()
    folder = resources.files("overture") / "locale" / language / "LC_MESSAGES"
    with (folder / "overture.po").open("rb") as written:
        catalogue = read_po(written, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    _ = compiled.seek(0)
    return GNUTranslations(compiled)


@cache
def _locale(language: str) -> Locale:
    # British dates: the day before the month, and hours up to 24.
    return Locale.parse("en_GB" if language == "en" else language)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


@lru_cache(maxsize=8192)
def _shown(skeleton: str, here: datetime, language: str) -> str:
    return format_skeleton(skeleton, here, locale=_locale(language))


@lru_cache(maxsize=4096)
def _number(value: int, language: str) -> str:
    return format_decimal(value, locale=_locale(language))


@lru_cache(maxsize=1024)
def _size(words: Words, count: int) -> str:
    if count < 1000:
        sentence = words.ngettext("%(num)s byte", "%(num)s bytes", count)
        return sentence % {"num": words.number(count)}
    if count < 999_500:
        return words.gettext("%(num)s kB") % {"num": words.number(round(count / 1000))}
    shown = format_decimal(count / 1_000_000, "#,##0.#", locale=_locale(words.language))
    return words.gettext("%(num)s MB") % {"num": shown}
