"""How far an owner is with the first steps: which way they go, what they put off, and whether the list is closed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from storage.store import Store

Way = Literal["discord", "import"]
_FACT = "first_steps"


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """way: '' while nobody chose one. skipped: steps put off. is_closed: everything was done, or the list dismissed."""

    way: str = ""
    skipped: frozenset[str] = frozenset()
    is_closed: bool = False


def read_first_steps(store: Store) -> FirstSteps:
    """A workspace from before there was a record, whose bot has already answered, needs no first steps."""
    record = store.facts.get(_FACT, {})
    if not isinstance(record, dict) or not record:
        return FirstSteps(is_closed=store.activity.total_replies() > 0)
    skipped = record.get("skipped")
    way = record.get("way")
    return FirstSteps(
        way if way in ("discord", "import") else "",
        frozenset(str(key) for key in skipped) if isinstance(skipped, list) else frozenset(),
        bool(record.get("is_closed")),
    )


def write_first_steps(store: Store, steps: FirstSteps) -> None:
    """Remember what the owner chose and skipped on the first-run page."""
    store.facts.set(_FACT, {"way": steps.way, "skipped": sorted(steps.skipped), "is_closed": steps.is_closed})


def begin_first_steps(store: Store) -> FirstSteps:
    """Read them, and write down that the list is open or not needed: a first reply alone must not close it later."""
    steps = read_first_steps(store)
    write_first_steps(store, steps)
    return steps


def skip_step(store: Store, key: str) -> None:
    """Put a step off; it counts as done and can still be done."""
    steps = read_first_steps(store)
    write_first_steps(store, replace(steps, skipped=steps.skipped | {key}))


def choose_way(store: Store, way: Way) -> None:
    """From Discord, or from an export."""
    write_first_steps(store, replace(read_first_steps(store), way=way))


def close_first_steps(store: Store) -> None:
    """The list is done with."""
    write_first_steps(store, replace(read_first_steps(store), is_closed=True))
