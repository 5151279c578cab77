"""Is this enough to train on, and if not: how much is needed, and what is missing? Pure.

A model tuned on a handful of lines repeats them, and an evaluation on two says nothing. The bounds are what a run needs
to say anything at all; good results begin at ten times that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from data.chat.quotas import QuotaPlan
from storage.text import counted

# Examples in each part.
NEEDED = {"train": 100, "validation": 5, "test": 5}
# A turn is about one and a half messages, and the balance leaves out about half of what few people write.
MESSAGES_NEEDED = 500


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a data set is too small: what there is, and which part or quota took the rest."""

    what: str
    cure: str


def shortage(
    counts: Mapping[str, int], plan: QuotaPlan, *, sessions: int, across_border: int, wanted: Mapping[str, bool]
) -> Shortage | None:
    """None where every part has enough. counts: examples of each part, after the balance. plan: the training part's.

    sessions: conversations. across_border: turns left out because their conversation reaches from one part into the
    next. wanted: False for a part that the owner's shares leave empty on purpose.
    """
    needed = {part: amount for part, amount in NEEDED.items() if wanted[part]}
    missing = {part: amount - counts[part] for part, amount in needed.items() if counts[part] < amount}
    if not missing:
        return None
    found = " / ".join(f"{counts[part]:,}" for part in needed)
    enough = " / ".join(f"{amount:,}" for amount in needed.values())
    names = " / ".join(needed)
    reasons = [*_train_reasons(missing, plan), *_split_reasons(missing, sessions, across_border)]
    return Shortage(
        f"This is too little to train on: {found} examples ({names}), and at least {enough} are needed. "
        + " ".join(reasons),
        f"Fetch or import more, or turn on more channels: about {MESSAGES_NEEDED:,} messages by at least three people, "
        "in conversations on several days, are the least.",
    )


def _train_reasons(missing: Mapping[str, int], plan: QuotaPlan) -> list[str]:
    if "train" not in missing:
        return []
    reasons = [f"Training lacks {missing['train']:,}: its conversations hold {counted(plan.total_before, 'turn')}"]
    if plan.total_after < plan.total_before:
        people = "person" if len(plan.counts) == 1 else "people"
        reasons[0] += (
            f" by {len(plan.counts)} {people}, of which the quotas keep {plan.total_after:,} so that nobody makes up "
            f"more than {plan.ceiling:.0%}"
        )
    return [reasons[0] + "."]


def _split_reasons(missing: Mapping[str, int], sessions: int, across_border: int) -> list[str]:
    parts = [f"{part} lacks {missing[part]:,}" for part in ("validation", "test") if part in missing]
    if not parts:
        return []
    text = " and ".join(parts)
    text = f"{text[0].upper()}{text[1:]}: they get the newest conversations whole, and there are {sessions:,}"
    if sessions == 1:
        text = text.replace("there are 1", "there is only one")
    if across_border:
        text += f" ({counted(across_border, 'turn')} of conversations across a border are in no part)"
    return [text + "."]
