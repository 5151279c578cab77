"""Telephone numbers as people type them, by shape: no country is asked for, and none is guessed.

A library was tried (phonenumbers 9.0: 23 MB, needs to be told the country): on 19,481 real lines it found ten, all of
them ids inside links, and misses numbers of any country but the one told. The shapes here were written from how
numbers are typed in Australia, Austria, Belgium, Brazil, China, France, Germany, India, Ireland, Italy, Japan, Mexico,
the Netherlands, Poland, Portugal, Russia, Spain, Sweden, Switzerland, Turkey, the United Kingdom and North America;
docs/DATASET_BALANCING.md says what they find on real chat.

Each expression takes one digit a step (`(?:SEP?digit){n}`), so it cannot backtrack over more than a number's length.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

_BLANK = r"[ \u00a0\u2009\u202f]"
_SIGN = r"[.\-/\u2010-\u2014]"
_SEP = rf"(?:{_BLANK}?{_SIGN}{_BLANK}?|{_BLANK}{{1,2}})"
_NEXT = rf"\)?{_SEP}?\(?\d"
# Not inside a word, an id, a price or a longer number.
_BEGIN = r"(?<![\w+#@=&%$€£¥<])(?<!\d[.,:/'])(?<!\w-)"
_END = r"(?!\w)(?![.,:'/]\d)"

_INTERNATIONAL = re.compile(rf"(?<![\w+])(?:\+{_BLANK}?|(?<![.,:\d-])00{_SEP}?)\(?[1-9](?:{_NEXT}){{7,14}}(?!\d)")
_TRUNK_ZERO = re.compile(rf"{_BEGIN}\(?0(?:{_NEXT}){{8,11}}(?!\d)")
_NORTH_AMERICAN = re.compile(
    rf"{_BEGIN}(?:\+?1{_SEP}?)?(?:\([2-9]\d{{2}}\){_SEP}?\d{{3}}{_SEP}?\d{{4}}|[2-9]\d{{2}}{_SEP}\d{{3}}{_SEP}?\d{{4}}){_END}"
)
_LONG_GROUPS = re.compile(
    rf"{_BEGIN}(?:"
    rf"\(\d{{2,5}}\){_SEP}?\d{{3,5}}(?:{_SEP}?\d{{2,5}}){{0,2}}"  # (11) 91234-5678, (030) 12345-67
    rf"|8{_SEP}?\(?[3489]\d{{2}}\)?{_SEP}\d{{3}}{_SEP}\d{{2}}{_SEP}\d{{2}}"  # 8 (912) 345-67-89
    rf"|[1-9]\d{{2}}{_SEP}\d{{3}}{_SEP}\d{{2}}{_SEP}\d{{2}}"  # 532 123 45 67
    rf"|[5-9]\d{{2}}{_SEP}\d{{2}}{_SEP}\d{{2}}{_SEP}\d{{2}}"  # 612 34 56 78
    rf"|[1-9]\d{_SEP}\d{{3}}{_SEP}\d{{2}}{_SEP}\d{{2}}"  # 91 123 45 67
    rf"|[1-9]\d[ \u00a0-]\d{{3}}[ \u00a0-]\d{{4}}"  # 21 123 4567
    rf"|[6-9]\d{{4}}[ \u00a0-]\d{{5}}"  # 98765 43210
    rf"|[1-9]\d{_SEP}9\d{{4}}{_SEP}\d{{4}}"  # 11 91234-5678
    rf"|[1-9]\d{_BLANK}\d{{4}}{_SEP}\d{{4}}"  # 55 1234 5678
    rf"|1[3-9]\d{_SEP}\d{{4}}{_SEP}\d{{4}}"  # 138 1234 5678
    rf"|3\d{{2}}{_SEP}\d{{6,7}}"  # 333 1234567
    rf"|[5-79]\d{{2}}[ \u00a0-]\d{{3}}[ \u00a0-]\d{{3}}"  # 612 345 678
    rf"){_END}(?!{_SEP}\d)"
)
_BARE = re.compile(
    r"(?<![\w+#@=&%$€£¥<:/.,'-])(?<!\d[ \u00a0])"
    r"(?:[2-9]\d{9}|1[2-9]\d{2}[2-9]\d{6}|[1-9][1-9]9\d{8}|1[3-9]\d{9}|[78]9\d{9})"
    r"(?![\w%$€£¥])(?![.,:'/-]\d)(?! \d)"
)
# With one of these words in front, any number of a number's length is one.
_TOLD = re.compile(
    r"(?<![^\W_])(?:tel|telephone|telefon|tel(?:é|e)fono|t(?:é|e)l(?:é|e)phone|telefone|tlf|phone|mobile|mob|mobil|cell|cellphone"
    r"|whatsapp|whats|zap|viber|handy|natel|portable|m(?:ó|o)vil|celular|cep|gsm|fax|sms|kom(?:ó|o)rka|nummer|number|num(?:é|e)ro"
    r"|n(?:ú|u)mero|numer|numara|numaram|nomor|номер|тел|телефон|電話|电话|手机|call|ring|ruf|anrufen|appelle|ll(?:á|a)mame"
    r"|liga|llama|ara|zadzwo(?:ń|n)|bel|chiama)(?![^\W_])"
    rf"[^\d\n+(]{{0,20}}(?P<number>\+?\(?\d(?:{_NEXT}){{6,14}})(?!\d)",
    re.IGNORECASE,
)
_IN_LINK = re.compile(
    r"(?:(?:tel|sms|callto|facetime|whatsapp|viber|imessage):(?://)?(?:(?:chat|add|send)?/?\?(?:number|phone)=)?"
    r"|wa\.me/|signal\.me/#p/|t\.me/(?=\+)|whatsapp\.com/send/?\?(?:[\w=]{1,40}&){0,3}phone=)"
    r"(?P<number>(?:\+|%2B)?[\d(][\d().\- ]{5,20}\d)(?!\d)",
    re.IGNORECASE,
)
_EXTENSION = re.compile(
    r"[ ,;]{0,2}(?:extension|ext|x|durchwahl|dw|poste|anexo|ramal|dahili|interno|toestel)[ .:]{0,2}\d{1,6}(?!\w)",
    re.IGNORECASE,
)
_LINK = re.compile(r"(?:https?://|www\.)\S+|<[^<>\s]{1,100}>", re.IGNORECASE)
_DATE = re.compile(
    r"(?:(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ](?:19|20)\d\d)(?!\d)"
)
_COMPACT_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{4}|\d{6})?")
_UNIT_BEHIND = re.compile(
    r"[ ]?(?:pts?|points?|punkte|gold|xp|exp|coins?|credits?|robux|vbucks|views?|subs(?:cribers)?|followers|likes"
    r"|users?|people|menschen|players?|dollars?|bucks|euros?|pounds|usd|eur|gbp|rs|rupees|yen|won|tl|lira|years?|yrs|jahre|hp|dmg|damage"
    r"|dps|bytes?|bits?|[kmgt]i?b|ms|secs?|seconds|km|miles|steps|kills|elo|mmr|lines|times|[$€£¥₹₺%°])(?!\w)",
    re.IGNORECASE,
)
_UNIT_BEFORE = re.compile(
    r"(?:score|scored|points?|price|costs?|id|seed|hash|version|build|worth|total|uid|steam|[$€£¥₹₺#])[ :=]{0,3}\Z",
    re.IGNORECASE,
)
# The largest numbers of a computer word read like North American ones.
_WORD_LIMITS = frozenset({"2147483647", "2147483648", "4294967295", "4294967296"})
_DIGITS = re.compile(r"\d+")
_RUN_OF_ONE = re.compile(r"(\d)\1{5}")
_COUNTRY_CODES = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[1-368]|22\d|23\d|24\d|25[0-8]|26\d|29[01789]"
    r"|35\d|37\d|38[0-35-79]|42[013]|50\d|59\d|6[789]\d|85[02356]|88[06]|96[0-8]|97\d|99[2-68]"
)


# (the number as written, up to 24 characters before it, up to 16 behind it) -> is it one?
_Judge = Callable[[str, str, str], bool]


def find_phones(text: str) -> list[tuple[int, int]]:
    """Spans of telephone numbers, extensions included; may overlap."""
    spans = [match.span("number") for match in _IN_LINK.finditer(text)]
    links = [match.span() for match in _LINK.finditer(text)]
    for pattern, is_likely in (
        (_INTERNATIONAL, _is_international),
        (_TRUNK_ZERO, _is_national),
        (_NORTH_AMERICAN, _is_plain),
        (_LONG_GROUPS, _is_unprefixed),
        (_BARE, _is_unprefixed),
    ):
        for match in pattern.finditer(text):
            if any(start <= match.start() < end for start, end in links):
                continue
            end = _longest_likely(text, *match.span(), is_likely)
            if end:
                spans.append((match.start(), _with_extension(text, end)))
    for match in _TOLD.finditer(text):
        start, _ = match.span("number")
        if not any(begin <= start < stop for begin, stop in links):
            end = _longest_likely(text, *match.span("number"), _is_told)
            if end:
                spans.append((start, _with_extension(text, end)))
    return spans


def _longest_likely(text: str, start: int, end: int, is_likely: _Judge) -> int:
    """Where the longest likely number that starts at `start` ends, whole groups only; 0 when there is none."""
    if _DATE.match(text, start):
        return 0
    ends = [match.end() for match in _DIGITS.finditer(text, start, end)]
    for stop in reversed(ends):
        candidate = text[start:stop]
        digits = "".join(_DIGITS.findall(candidate))
        if len(digits) < 7:
            return 0
        if (
            len(digits) <= 15
            and not _is_no_number(digits, is_bare=candidate == digits)
            and is_likely(candidate, text[max(start - 24, 0) : start], text[stop : stop + 16])
        ):
            return stop + (1 if candidate.count("(") > candidate.count(")") and text[stop : stop + 1] == ")" else 0)
    return 0


def _with_extension(text: str, end: int) -> int:
    match = _EXTENSION.match(text, end)
    return match.end() if match else end


def _is_no_number(digits: str, *, is_bare: bool) -> bool:
    """Digits nobody was ever given: one or two of them over and over, round millions, counting, limits of a word."""
    return (
        len(set(digits)) < 3
        or digits.endswith("00000")
        or digits in _WORD_LIMITS
        or (is_bare and digits in "01234567890123456789")
        or digits == digits[: len(digits) // 2] * 2
        or bool(_RUN_OF_ONE.search(digits))
        or bool(_COMPACT_DATE.fullmatch(digits))
    )


def _groups(candidate: str) -> list[str]:
    return _DIGITS.findall(candidate)


def _separators(candidate: str) -> set[str]:
    return {part for part in _DIGITS.split(candidate.strip("()+")) if part}


def _is_international(candidate: str, _before: str, _behind: str) -> bool:
    groups = _groups(candidate)
    digits = "".join(groups)
    if not candidate.startswith("+"):
        digits = digits[2:]
        if len(digits) < 10:
            return False
    if len(digits) < 9 or sum(len(group) == 1 for group in groups[1:]) > 1:
        return False
    if digits[0] == "1":
        return len(digits) == 11 and digits[1] > "1"
    return bool(_COUNTRY_CODES.match(digits))


def _is_national(candidate: str, _before: str, behind: str) -> bool:
    """With the 0 in front that all but a few countries dial within themselves."""
    groups = _groups(candidate)
    count = sum(len(group) for group in groups)
    is_usual = 9 <= count <= 12 and candidate.strip("(")[1:2] not in ("", "0")
    # "0 532 123 45 67", "0 (532) ..."
    has_the_zero_alone = groups[0] == "0" and len(groups) > 1 and count == 11 and groups[1][0] != "0"
    if not (is_usual or has_the_zero_alone):
        return False
    if len(groups) == 1:
        return count in (10, 11)
    if groups[0] == "0":
        return count == 11 and len(groups[1]) == 3 and "." not in candidate
    if not 2 <= len(groups[0]) <= 6 or any(len(group) < 2 for group in groups[1:]):
        return False
    if re.match(r":\d", behind):
        return False
    if all(len(group) == 2 for group in groups):
        # Five pairs, France's way; dates and lists come in pairs as well.
        return len(groups) == 5 and len(_separators(candidate)) == 1 and not _is_counting(groups)
    if len(groups) >= 4 and groups[0][0] == "0" and len(groups[0]) == len(groups[1]) == len(groups[2]) == 2:
        return len(_separators(candidate)) == 1
    return True


def _is_plain(_candidate: str, before: str, behind: str) -> bool:
    return not _UNIT_BEFORE.search(before) and not _UNIT_BEHIND.match(behind)


def _is_unprefixed(candidate: str, before: str, behind: str) -> bool:
    """Without 0 or +: also the shape of a large amount, a score, or years in a row."""
    groups = _groups(candidate)
    count = sum(len(group) for group in groups)
    if count < 8 or (count == 8 and "(" not in candidate):
        return False
    if all("1900" <= group <= "2100" for group in groups if len(group) == 4) and any(
        len(group) == 4 for group in groups
    ):
        return False
    if len(groups) > 1 and groups[-1] in ("000", "0000", "00000"):
        return False
    return _is_plain(candidate, before, behind)


def _is_told(candidate: str, _before: str, behind: str) -> bool:
    groups = _groups(candidate)
    count = sum(len(group) for group in groups)
    if any(len(group) == 1 for group in groups[1:]) or re.match(r"[:,.]\d", behind) or _UNIT_BEHIND.match(behind):
        return False
    if count == 7:
        return [len(group) for group in groups] == [3, 4] and not ("1900" <= groups[1] <= "2100")
    return count >= 8


def _is_counting(groups: list[str]) -> bool:
    numbers = [int(group) for group in groups]
    return all(later - earlier == 1 for earlier, later in itertools.pairwise(numbers))
