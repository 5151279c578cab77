"""Card numbers (Luhn) and IBANs (ISO 13616, remainder 97), written with and without blanks."""

from __future__ import annotations

import re
from collections.abc import Iterator

_RUN = re.compile(r"\d+(?:[ \u00a0\u202f.\-\u2010-\u2014]\d+)*")
_LINK = re.compile(r"(?:https?://|www\.)\S+|<[^<>\s]{1,100}>", re.IGNORECASE)
_GROUP = re.compile(r"\d+")
_CARD_WORD = re.compile(
    r"\b(?:card|karte|kreditkarte|kart|carte|tarjeta|carta|cart(?:ã|a)o|karta|visa|mastercard|amex|maestro|iban)\b",
    re.IGNORECASE,
)
# (first digits from, to, lengths): ISO/IEC 7812 ranges as the networks publish them.
_ISSUERS = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14,)),  # Diners Club
    ("36", "36", (14,)),
    ("38", "39", (14,)),
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "659", (16, 19)),
    ("3528", "3589", (16, 19)),  # JCB
    ("62", "62", (16, 19)),  # UnionPay
    ("2200", "2204", (16, 19)),  # Mir
    ("9792", "9792", (16,)),  # Troy
    ("50", "50", (16, 19)),  # Maestro, Verve, RuPay
    ("56", "58", (16, 19)),
    ("60", "60", (16,)),
)
_LAYOUTS = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 5), (4, 4, 4, 1), (8, 8), (6, 13)}

# Length of an IBAN by country (SWIFT's registry).
_IBAN_LENGTHS = {
    code: length
    for length, codes in {
        15: "NO", 16: "BE", 18: "DK FO FI GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU XK MN",
        21: "HR LV LI CH", 22: "BH BG CR GE DE IE ME RS GB VA", 23: "IL AE GI IQ SO TL OM",
        24: "AD CZ MD PK RO SA SK ES SE TN VG DZ", 25: "PT ST LY", 26: "IS TR", 27: "FR GR IT MR MC SM BI DJ",
        28: "AL AZ BY CY DO SV GT HU LB NI PL FK", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC LC", 33: "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip
_IBAN_START = re.compile(r"(?<![^\W_])[A-Za-z]{2}\d{2}(?=[ \u00a0.-]?[A-Za-z0-9])")
_IBAN_SEPARATORS = " \u00a0.-"


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Spans of payment card numbers: 13 to 19 digits whose check digit is right.

    Without separators the first digits must be a card network's, since a Discord id has the same length.
    """
    is_told = bool(_CARD_WORD.search(text))
    links = [match.span() for match in _LINK.finditer(text)]
    for run in _RUN.finditer(text):
        if run.end() - run.start() < 13 or _is_glued(text, run.start(), run.end()):
            continue
        if any(start <= run.start() < end for start, end in links):
            continue
        groups = [match.span() for match in _GROUP.finditer(text, run.start(), run.end())]
        done = 0
        for first, (start, _) in enumerate(groups):
            if start < done:
                continue
            digits, sizes, found = "", [], 0
            for begin, end in groups[first : first + 8]:
                digits += text[begin:end]
                sizes.append(end - begin)
                if len(digits) > 19:
                    break
                if len(digits) >= 13 and _is_card(digits, tuple(sizes), is_told):
                    found = end  # not the longest: an expiry date may follow
                    break
            if found:
                yield start, found
                done = found


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """Spans of IBANs whose check digits are right."""
    done = 0
    for match in _IBAN_START.finditer(text):
        length = _IBAN_LENGTHS.get(match[0][:2].upper())
        if length is None or match.start() < done:
            continue
        end = _end_of_iban(text, match.start(), length)
        if end and _is_iban(text[match.start() : end]):
            yield match.start(), end
            done = end


def _is_glued(text: str, start: int, end: int) -> bool:
    return (start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_/#@=$€£")) or text[end : end + 1].isalpha()


def _is_card(digits: str, sizes: tuple[int, ...], is_told: bool) -> bool:
    if len(set(digits)) < 2 or not _passes_luhn(digits):
        return False
    if is_told or any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _ISSUERS):
        return len(sizes) == 1 or min(sizes[:-1]) >= 3
    # Some other network's, when it is grouped as on the card; four years in a row are not.
    return (
        sizes in _LAYOUTS and digits[0] != "0" and not all("1900" <= digits[at : at + 4] <= "2100" for at in (0, 4, 8))
    )


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def _end_of_iban(text: str, start: int, length: int) -> int:
    """Where `length` letters and digits end, single separators between them allowed; 0 when they do not come."""
    seen, position = 0, start
    while position < len(text):
        sign = text[position]
        if sign.isascii() and sign.isalnum():
            seen += 1
        elif sign not in _IBAN_SEPARATORS or text[position - 1] in _IBAN_SEPARATORS:
            return 0
        position += 1
        if seen == length:
            return 0 if text[position : position + 1].isalnum() else position
    return 0


def _is_iban(text: str) -> bool:
    plain = "".join(sign for sign in text if sign.isalnum()).upper()
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1
