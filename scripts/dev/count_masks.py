"""Count what masking would take out of an export, and show each place: how false alarms are looked for.

python scripts/dev/count_masks.py messages.jsonl [--count-only]
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from storage.jobs.arguments import plain_parser
from storage.masking.mask import findings

_AROUND = 30


def main(arguments: Sequence[str] | None = None) -> None:
    """Print every finding with what stands around it, and the counts by kind."""
    parser = plain_parser(__doc__)
    parser.add_argument("file", type=Path, help="JSON lines of Discord message objects")
    parser.add_argument("--count-only", action="store_true", help="do not show the places")
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    lines = 0
    with options.file.open(encoding="utf-8") as stream:
        for line in stream:
            text = str(json.loads(line).get("content") or "").replace("\n", " ")
            lines += 1
            for kind, start, end in findings(text):
                counts[kind] += 1
                if not options.count_only:
                    before, behind = text[max(start - _AROUND, 0) : start], text[end : end + _AROUND]
                    print(f"{kind:9} {before} >>{text[start:end]}<< {behind}")
    print(f"{lines:,} messages: {', '.join(f'{kind} {count}' for kind, count in counts.most_common()) or 'nothing'}")


if __name__ == "__main__":
    main()
