"""Telephone numbers as people of many countries type them are masked; dates, scores, ids and jokes are not."""

from __future__ import annotations

import re

import pytest

from data.privacy import mask

# Reserved for fiction where a country has such numbers, made up elsewhere.
NUMBERS = {
    "North America": "212-555-0147|(212) 555-0147|(212)555-0147|212.555.0147|212 555 0147|2125550147|1-212-555-0147"
    "|+1 212 555 0147|+12125550147|(212)5550147",
    "United Kingdom": "07700900123|07700 900123|07700 900 123|020 7946 0958|(020) 7946 0958|02079460958|+44 7700 900123"
    "|+44 (0)20 7946 0958|0044 7700 900123",
    "Germany": "01701234567|0170 1234567|0170/1234567|030 1234567|030/1234567-12|(030) 12345-67|0151 2345 6789"
    "|0049 170 1234567|0170-12 34 567|0170 - 1234567|0170/123 45 67|+49-170-1234567",
    "France": "06 12 34 56 78|0612345678|06.12.34.56.78|06-12-34-56-78|01 42 68 53 00|+33 6 12 34 56 78|+33612345678",
    "Turkey": "0532 123 45 67|05321234567|(0532) 123 45 67|532 123 45 67|0 532 123 45 67|0(532) 123 45 67"
    "|+90 532 123 45 67|5321234567|0532-123-4567",
    "Spain": "612 345 678|612 34 56 78|91 123 45 67|+34 612 345 678|600-123-456",
    "Italy": "333 1234567|3331234567|333 123 4567|06 1234 5678|02 12345678|+39 333 1234567|333/1234567",
    "Poland": "512 345 678|22 123 45 67|+48 512 345 678|512-345-678",
    "Netherlands": "06 12345678|0612345678|06-12345678|020 123 4567|020-1234567|+31 6 12345678",
    "Belgium": "0470 12 34 56|0470/12.34.56|02 123 45 67|+32 470 12 34 56",
    "Switzerland": "079 123 45 67|0791234567|044 668 18 00|+41 79 123 45 67",
    "Austria": "0664 1234567|0664/123 45 67|01 5123456|+43 664 1234567",
    "Sweden": "070-123 45 67|0701234567|08-123 456 78|+46 70 123 45 67",
    "full width and odd hyphens": "２１２-５５５-０１４７|+９０ ５３２ １２３ ４５ ６７|0171\u20112345678",
    "Arabic and Indian digits": "٠٥٠ ١٢٣ ٤٥٦٧|+٩٦٦٥٠١٢٣٤٥٦٧|०९८७६५४३२१०",
    "Portugal": "912 345 678|21 123 4567|+351 912 345 678",
    "Brazil": "(11) 91234-5678|11 91234-5678|11912345678|(11)912345678|+55 11 91234-5678|11 3456-7890",
    "India": "98765 43210|9876543210|098765 43210|+91 98765 43210|+91-9876543210",
    "Australia": "0412 345 678|0412345678|(02) 9123 4567|02 9123 4567|+61 412 345 678",
    "Russia": "8 912 345-67-89|89123456789|8 (912) 345-67-89|+7 912 345-67-89",
    "Japan": "090-1234-5678|03-1234-5678|09012345678|+81 90-1234-5678",
    "Ireland": "087 123 4567|+353 87 123 4567",
    "Mexico": "55 1234 5678|+52 55 1234 5678",
    "China": "138 1234 5678|13812345678|+86 138 1234 5678",
    "Denmark and Norway": "+45 12 34 56 78|+4791234567",
}
AROUND = ("{}", "call me on {} tonight", "meine nummer: {}", "({})", "{}, ok?", "tel:{}", "mine\n{}\nbye", "number:{}")


@pytest.mark.parametrize("number", [one for numbers in NUMBERS.values() for one in numbers.split("|")])
@pytest.mark.parametrize("around", AROUND)
def test_a_number_is_masked_wherever_it_stands(number: str, around: str) -> None:
    """Faults 88 and 123."""
    masked, found = mask(around.format(number))
    assert found == {"phone": 1}
    assert not re.search(r"\d", masked)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tlf 12 34 56 78", "tlf [phone]"),
        ("tel 612345678", "tel [phone]"),
        ("my number is 555-0147", "my number is [phone]"),
        ("https://wa.me/491701234567", "https://wa.me/[phone]"),
        (
            "https://api.whatsapp.com/send?phone=491701234567&text=hi",
            "https://api.whatsapp.com/send?phone=[phone]&text=hi",
        ),
        ("[call](tel:+12125550147)", "[call](tel:[phone])"),
        ("sms:07700900123", "sms:[phone]"),
        ("212-555-0147 ext. 12", "[phone]"),
        ("(800) 555-0199 x123 pls", "[phone] pls"),
        ("030 1234567 Durchwahl 12", "[phone]"),
        ("0170 1234567 or 0151 2345678", "[phone] or [phone]"),
        ("06 12 34 56 78 24/7", "[phone] 24/7"),
    ],
)
def test_links_extensions_and_words_in_front_are_understood(text: str, expected: str) -> None:
    """Fault 88."""
    assert mask(text)[0] == expected


ORDINARY = """1234567890|0123456789|123456789|9999999999|6969696969|11111111111|12345678901|123456789012|2147483647
<@123456789012345678>|<:pog:123456789012345678>|<t:1700000000:R>|1700000000|123456789012345678|1234567890123456789
score 612 345 678|612 345 678 views|$612 345 678|2849371650 points|2024 2025 2026|1999 2000 2001 2002|2023 2024
v1.20.4|Minecraft 1.21.11-pre2|driver 551.23.10.1|1.2.3.4|8.8.8.8|00:15:30|10:30-12:45|01.02.2003 04:05
05.06.24 18.30|2024/11/27 13:45:00|20241127134500|27.11.2024 - 28.11.2024|call me 2024-05-01 12:00:00
100,000,000|1 000 000 000|1.000.000.000|+100 000 000|+500000000 aura|1,234,567,890|3-0 2-1 4-4|10-10-10
69 420 69 420|007 007 007|01 02 03 04 05|01 02 03 04 05 06|1 10 100 1000 10000|10 20 30 40 50|1/2/3/4/5/6/7/8
1920x1080 2560x1440|RTX 4090 3080 3070|IMG_20240501_120000|issue #1234567890|0x7fff12345678|seed 2849371650
won 3:2 (0:1, 2:0, 1:1)|0.1234567890|90210-1234|9+10=21|uid: 812345678|https://x.example/07700900123"""


@pytest.mark.parametrize("text", [one for line in ORDINARY.split("\n") for one in line.split("|")])
def test_times_scores_ids_versions_and_jokes_stay(text: str) -> None:
    """Fault 88."""
    for said in (text, f"lol {text} ok"):
        assert mask(said) == (said, {})
