"""Every way of taking something back, against everything that was made of it before."""

from __future__ import annotations

import importlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data.withdrawn_rows import drop_withdrawn
from storage.deletions import Deletions
from storage.errors import BadInputError
from storage.forgetting import forget_channel, forget_member, sweep
from storage.records import Channel
from storage.store import Store
from tests.support.full_workspace import MIRA, NAME, OLD_NAME, WORD, fill, holding, index_of, prepare

# Somebody says this in #side, and it is recalled in #general.
SIDE, SIDE_WORD = 2, "wombatword"
Withdraw = Callable[[Store], None]


def their_ids(store: Store) -> list[int]:
    return [row[0] for row in store.messages_db.rows("SELECT id FROM messages WHERE author_id = ?", (MIRA,))]


def edit(store: Store) -> None:
    """Every message of hers gets other words on Discord."""
    for message in store.messages.get(their_ids(store)).values():
        edited = replace(message, content="something else altogether", edited_ms=round(time.time() * 1000))
        store.messages.save([edited])


def opt_out(store: Store) -> None:
    store.members.set_opted_out(MIRA, True)


def leave_out(store: Store) -> None:
    store.members.set_excluded(MIRA, True)


def forget(store: Store) -> None:
    forget_member(store, MIRA)


def deleted_by_the_owner(store: Store) -> None:
    Deletions(store).delete_member(MIRA, by="owner")


def deleted_on_discord(store: Store) -> None:
    store.messages.delete(their_ids(store), erased_at=time.time())


def not_found_by_a_fetch(store: Store) -> None:
    store.withheld.mark_missing(their_ids(store))


def each_deleted_by_the_owner(store: Store) -> None:
    for number in their_ids(store):
        Deletions(store).delete_message(number, by="owner")


OF_A_MEMBER: tuple[Withdraw, ...] = (
    opt_out,
    leave_out,
    forget,
    deleted_by_the_owner,
    deleted_on_discord,
    not_found_by_a_fetch,
    each_deleted_by_the_owner,
)
OF_A_CHANNEL: dict[str, Withdraw] = {
    "learn off": lambda store: switch(store, learn=False),
    "made private": lambda store: switch(store, is_private=True),
    "closed by Discord": lambda store: switch(store, is_access_lost=True),
    "off the list": lambda store: removed(store),
    "deleted by the owner": lambda store: deleted(store),
    "forgotten": lambda store: forgotten(store),
}


def switch(store: Store, **switches: bool) -> None:
    store.channels.switch(1, **switches)


def removed(store: Store) -> None:
    store.channels.remove(1)


def deleted(store: Store) -> None:
    Deletions(store).delete_channel(1, by="owner")


def forgotten(store: Store) -> None:
    forget_channel(store, 1)


def made_of_messages(store: Store, outside: Path) -> list[Path]:
    """What is derived: data sets here and outside, evaluations, blind tests, runs, versions, the index is asked."""
    workspace = store.workspace
    return [workspace.message_files / "prepared-1", workspace.data / "evaluation", workspace.data / "blind_tests",
            workspace.root / "models", outside]  # fmt: skip


def exported_for_elsewhere(store: Store, folder: Path) -> str:
    """A copy of the data set that nobody wrote down, looked through as a training or an evaluation begins."""
    drop_withdrawn(store, folder)
    return "".join(path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


@pytest.mark.parametrize("withdraw", OF_A_MEMBER)
def test_what_is_taken_back_leaves_everything_that_was_made_of_it(
    store: Store, outside: Path, tmp_path: Path, withdraw: Withdraw
) -> None:
    """Fault 120."""
    fill(store, outside)
    copy = Path(shutil.copytree(store.workspace.message_files / "prepared-1", tmp_path / "copy"))
    places = made_of_messages(store, outside)
    assert {Path(path).name for path in holding(places, WORD)} >= {
        "train.jsonl",
        "preferences.jsonl",
        "sessions.jsonl",
        "report.json",
        "report.html",
        "quiz.json",
        "voice-1-0.jsonl",
        "voice-1.report.json",
    }
    withdraw(store)
    assert not sweep(store).remaining
    assert holding(places, WORD) == []
    assert WORD not in exported_for_elsewhere(store, copy)
    # What others said is as it was.
    assert "namesake says" in (copy / "train.jsonl").read_text(encoding="utf-8")
    assert "namesake says" in (places[0] / "train.jsonl").read_text(encoding="utf-8")
    if withdraw in (opt_out, leave_out, forget):
        assert holding(places, NAME, OLD_NAME) == []


@pytest.mark.parametrize("how", OF_A_CHANNEL)
def test_a_channel_that_is_closed_leaves_what_was_made_of_it(store: Store, outside: Path, how: str) -> None:
    """Fault 120."""
    fill(store, outside)
    places = made_of_messages(store, outside)
    OF_A_CHANNEL[how](store)
    assert not sweep(store).remaining
    assert holding(places, WORD, "namesake says") == []


def test_edited_words_are_not_learnt_from_a_data_set_of_before(store: Store, outside: Path) -> None:
    """Fault 120."""
    fill(store, outside)
    folder = store.workspace.message_files / "prepared-1"
    edit(store)
    assert drop_withdrawn(store, folder) > 0
    assert holding([folder], WORD) == []
    assert drop_withdrawn(store, folder) == 0, "a second time there is nothing left to do"
    prepare(store.workspace, outside / "again")
    assert drop_withdrawn(store, outside / "again") == 0, "what was prepared after the edit stays whole"


def test_training_and_evaluating_begin_by_looking_through_the_data(
    store: Store, outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 120: the owner's own commands, on copies of the data set that lie anywhere."""
    fill(store, outside)
    copies = [Path(shutil.copytree(outside / "prepared", tmp_path / name)) for name in ("to train", "to measure")]
    leave_out(store)
    place = ("--workspace", str(store.workspace.root), "--data")
    train = importlib.import_module("scripts.3_train_model")
    train.main([*place, str(copies[0]), "--recipe", "cpu-smoke", "--preflight"])
    assert "rows of the data set were left out" in capsys.readouterr().out
    evaluate = importlib.import_module("scripts.4_evaluate_personality")
    with pytest.raises(BadInputError, match="no model file"):
        evaluate.main([*place, str(copies[1]), "--model", str(tmp_path / "none.gguf")])
    assert holding(copies, WORD) == []


def test_the_panel_cleans_up_where_no_bot_runs(store: Store, outside: Path) -> None:
    """Fault 120: a switch put back within a minute costs nothing."""
    notifier = pytest.importorskip("gui.notifier")
    fill(store, outside)
    places = made_of_messages(store, outside)
    leave_out(store)
    notifier.read_reminders(store, 0)
    assert holding(places, WORD), "not at once"
    store.messages_db.execute("UPDATE withdrawals SET at = at - 61")
    notifier.read_reminders(store, 0)
    assert holding(places, WORD) == []


def test_what_comes_back_is_learnt_from_again_with_the_next_data_set(store: Store, outside: Path) -> None:
    fill(store, outside)
    leave_out(store)
    sweep(store)
    store.members.set_excluded(MIRA, False)
    assert store.messages.counts_by_author()[MIRA] == 20
    prepare(store.workspace, outside / "again")
    assert holding([outside / "again"], WORD)
    # A mistake that was put right before anybody looked costs nothing.
    leave_out(store)
    store.members.set_excluded(MIRA, False)
    assert sweep(store).files_changed == 0
    assert drop_withdrawn(store, outside / "again") == 0


def test_lines_of_a_channel_that_closed_are_recalled_no_more_in_rows_of_another(store: Store, tmp_path: Path) -> None:
    """Fault 120: its own lines may still be learnt from, but not said elsewhere."""
    from tests.support.full_workspace import message, messages

    store.channels.add(
        [
            Channel(1, "general", learn=True, recall=True, is_private=False),
            Channel(SIDE, "side", learn=True, recall=True, is_private=False, include_private=True),
        ]
    )
    told = [
        message(
            12 + n % 4, n * 60 + 30, f"{SIDE_WORD} member{10 + n % 12} says thing{n + 1} number{n % 8}", channel=SIDE
        )
        for n in range(60)
    ]
    store.messages.save([*messages(), *told])
    out = tmp_path / "prepared"
    prepare(store.workspace, out)
    general = [json.loads(line) for line in (out / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert any(SIDE_WORD in json.dumps(row["recalled"]) for row in general if row["channel_id"] == 1)
    store.channels.switch(SIDE, is_private=True)
    assert drop_withdrawn(store, out) > 0
    rows = [json.loads(line) for line in (out / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert not [row for row in rows if row["channel_id"] == 1 and SIDE_WORD in json.dumps(row)]
    assert [row for row in rows if row["channel_id"] == SIDE], "it is learnt from by the owner's second yes"
    sources = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["recall_sources"]
    assert SIDE not in sources["1"]


def test_a_data_set_from_another_computer_is_used_as_it_is(store: Store, outside: Path, tmp_path: Path) -> None:
    fill(store, outside)
    before = holding([outside], WORD)
    with Store.open(type(store.workspace).at(tmp_path / "another")) as other:
        assert drop_withdrawn(other, outside / "prepared") == 0
    assert holding([outside], WORD) == before


def test_the_index_keeps_no_line_of_what_is_out_of_sight(store: Store, outside: Path) -> None:
    from storage.index_sync import catch_up
    from tests.support.full_workspace import embed

    fill(store, outside)
    leave_out(store)
    catch_up(store, index_of(store.workspace), embed)
    assert index_of(store.workspace).count() == store.messages.count() - 20
