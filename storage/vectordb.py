"""The search index (LanceDB): vectors in, message ids out. It can always be rebuilt from SQLite.

One table, `messages`; its schema remembers which embedding model made the vectors. A missing, damaged or
foreign table finds nothing instead of failing: the bot then answers without recall.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.errors import StorageError
from storage.system.files import remove_tree

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

log = logging.getLogger(__name__)

# Below this a flat scan is quick (11-17 ms for 10,000 rows) and an index only costs memory to build.
INDEX_FROM_ROWS = 20_000
# Readers keep the version they opened; it must outlive the longest query by far.
KEEP_VERSIONS = timedelta(hours=3)
# Small files before they are merged: one-row writes leave one each.
COMPACT_FROM_FRAGMENTS = 40
_TABLE = "messages"
_MODEL = b"embedding_model"
_IDS_PER_FILTER = 1000
_PURGE_ROUNDS = 4
_PROBES, _REFINE = 20, 5
# How many candidates are weighed against one another when well-received lines are preferred.
# Longer lists make one query slow and two no slower.
_IDS_A_QUERY = 4_000
_CANDIDATES_PER_HIT = 4


class IndexState(StrEnum):
    """What stands in the index folder."""

    EMPTY = "empty"
    READY = "ready"
    OTHER_MODEL = "made by another embedding model"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One message with its embedding: `vector` is float32 of the index's dimension, length 1."""

    message_id: int
    channel_id: int
    author_id: int
    text: str
    created_ms: int
    reaction_score: int
    vector: np.ndarray


@dataclass(frozen=True, slots=True)
class Hit:
    """A found message. similarity: cosine, -1 to 1. reaction_score: how well it was received, 0-5."""

    message_id: int
    channel_id: int
    similarity: float
    reaction_score: int = 0


class VectorIndex:
    """The index of one workspace as one embedding model sees it. Not for several threads at once."""

    def __init__(self, folder: Path, *, model: str, dimension: int) -> None:
        self.folder = folder
        self.model = model
        self.dimension = dimension
        self.state = IndexState.EMPTY
        self._table: Any = None
        self._model_is_any = False

    @classmethod
    def open(cls, folder: Path, *, model: str, dimension: int) -> VectorIndex:
        """The index in `folder` (created empty on the first write). Damage is a state, not an error."""
        index = cls(folder, model=model, dimension=dimension)
        index.refresh()
        return index

    @classmethod
    def open_any(cls, folder: Path) -> VectorIndex:
        """The index in `folder` as whichever model made it: for taking rows out."""
        index = cls(folder, model="", dimension=0)
        index._model_is_any = True
        index.refresh()
        return index

    @property
    def made_by(self) -> str:
        """The embedding model of the table in the folder, whichever this index speaks; '' where there is none."""
        if self._table is None:
            return ""
        return str(self._quietly(lambda: _maker(self._table)) or "")

    @property
    def needs_rebuild(self) -> bool:
        """True when what is there is of no use: call `recreate` and fill it from SQLite."""
        return self.state in (IndexState.OTHER_MODEL, IndexState.DAMAGED)

    def refresh(self) -> IndexState:
        """Look at the folder again; another process may have built or rebuilt the table."""
        self._table = None
        try:
            self._table = self._connect().open_table(_TABLE)
            self.state = self._state_of(self._table)
        except ValueError as error:  # LanceDB's word for "there is no such table"
            self.state = IndexState.EMPTY if "not found" in str(error) else self._damaged(error)
        except (RuntimeError, OSError) as error:
            self.state = self._damaged(error)
        return self.state

    # ---- writing ------------------------------------------------------------------------------------

    def upsert(self, rows: Sequence[IndexRow]) -> None:
        """Insert or replace by message id, in one version. Of repeated ids the last row counts."""
        if not rows:
            return
        self._require_writable()
        data = self._arrow(list({row.message_id: row for row in rows}.values()))
        with _readable_errors(self):
            (
                self._table.merge_insert("message_id")
                .when_matched_update_all()
                .when_not_matched_insert_all()
                .execute(data)
            )

    def delete(self, message_ids: Iterable[int]) -> None:
        """Take messages out; unknown ids are ignored."""
        if self.state is not IndexState.READY:
            return
        from lancedb.expr import col

        ids = [int(message_id) for message_id in message_ids]
        with _readable_errors(self):
            for start in range(0, len(ids), _IDS_PER_FILTER):
                self._table.delete(col("message_id").isin(ids[start : start + _IDS_PER_FILTER]))

    def recreate(self) -> None:
        """An empty table of this model in place of whatever is there; readers see the change at once."""
        try:
            self._table = self._connect().create_table(_TABLE, schema=self._schema(), mode="overwrite")
        except (RuntimeError, ValueError, OSError) as error:
            # Too damaged even to be replaced (a power cut in the first version): only the folder is left to go.
            log.warning(
                "The search index could not be replaced in place (%s); its folder is made again.", _short(error)
            )
            remove_tree(self.folder / f"{_TABLE}.lance")
            with _readable_errors(self):
                self._table = self._connect().create_table(_TABLE, schema=self._schema())
        self.state = IndexState.READY

    def take_over(self, draft: VectorIndex) -> None:
        """Put the rows of `draft` (another folder, the same model) in place of this table's, in one step: until it is
        done readers find the old ones, whichever model made them."""
        with _readable_errors(self):
            reader = draft._table.search().limit(2**31).to_batches()
            self._table = self._connect().create_table(_TABLE, data=reader, schema=self._schema(), mode="overwrite")
        self.state = IndexState.READY

    def purge(self) -> bool:
        """Rewrite the table where it still holds deleted rows, and drop every older version; True when clean.

        For erasures: `delete` only marks rows. Compaction leaves a large file with few deleted rows alone, so as many
        rows beside them are written once more as it takes (Lance, "materialize_deletions_threshold": a tenth).
        Whatever model made the table. A reader in another process sees the new version at its next look.
        """
        if self._table is None and self.refresh() in (IndexState.EMPTY, IndexState.DAMAGED):
            return self.state is IndexState.EMPTY
        with _readable_errors(self):
            self._drop_word_index()
            self._drop_versions()
            for _ in range(_PURGE_ROUNDS):
                if not self.keeps_deleted:
                    return True
                if spoiled := self._fragments_with_deletions():
                    self._touch(spoiled)
                self._drop_versions()
            return not self.keeps_deleted

    @property
    def keeps_deleted(self) -> bool:
        """Whether the files may still hold rows that were deleted or replaced."""
        if self._table is None:
            return False
        with _readable_errors(self):
            return len(self._table.list_versions()) > 1 or bool(self._fragments_with_deletions())

    def remove(
        self, *, author_ids: Iterable[int] = (), channel_ids: Iterable[int] = (), message_ids: Iterable[int] = ()
    ) -> None:
        """Take rows out by what they are, whatever model made the table."""
        if self._table is None and self.refresh() in (IndexState.EMPTY, IndexState.DAMAGED):
            return
        from lancedb.expr import col

        with _readable_errors(self):
            for column, ids in (("author_id", author_ids), ("channel_id", channel_ids), ("message_id", message_ids)):
                wanted = sorted(int(number) for number in ids)
                for start in range(0, len(wanted), _IDS_PER_FILTER):
                    condition = col(column).isin(wanted[start : start + _IDS_PER_FILTER])
                    # Deleting nothing would make a version all the same.
                    if self._table.search().where(condition).select(["message_id"]).limit(1).to_list():
                        self._table.delete(condition)

    def destroy(self) -> None:
        """Remove the table's files: it is built again from SQLite."""
        self._table = None
        remove_tree(self.folder / f"{_TABLE}.lance")
        self.state = IndexState.EMPTY

    def optimize(self, *, may_build_index: bool = True) -> None:
        """Merge small files, keep indexes in step, drop versions hours old.

        Building a vector index takes 1 GB for 100,000 rows: `may_build_index=False` in the bot.
        """
        if self.state is not IndexState.READY:
            return
        with _readable_errors(self):
            if may_build_index:
                self._build_missing_indexes()
            self._table.optimize(cleanup_older_than=KEEP_VERSIONS)

    def compact_if_fragmented(self) -> bool:
        """`optimize` without building, once many small writes have piled up; True when it was done."""
        if self.state is not IndexState.READY:
            return False
        with _readable_errors(self):
            fragments = self._table.stats()["fragment_stats"]["num_small_fragments"]
        if fragments < COMPACT_FROM_FRAGMENTS:
            return False
        self.optimize(may_build_index=False)
        return True

    # ---- reading ------------------------------------------------------------------------------------

    def search(
        self,
        vector: np.ndarray,
        *,
        channel_ids: Sequence[int],
        limit: int,
        exclude_ids: Sequence[int] = (),
        reaction_weight: float = 0.0,
    ) -> list[Hit]:
        """The most similar messages of these channels, best first; [] when the index is of no use.

        reaction_weight: what a message with the highest reaction score gains in similarity over one with none.
        """
        if limit < 1 or not channel_ids or not self._is_usable():
            return []
        condition = _filter(channel_ids, exclude_ids)
        wanted = limit * (_CANDIDATES_PER_HIT if reaction_weight else 1)
        found = self._quietly(
            lambda: (
                self._table.search(vector, query_type="vector")
                .distance_type("cosine")
                .where(condition, prefilter=True)
                .nprobes(_PROBES)
                .refine_factor(_REFINE)
                .select(["message_id", "channel_id", "reaction_score", "_distance"])
                .limit(wanted)
                .to_list()
            )
        )
        hits = [
            Hit(row["message_id"], row["channel_id"], 1.0 - row["_distance"], row["reaction_score"])
            for row in found or ()
        ]
        return _preferred(hits, reaction_weight)[:limit]

    def count(self) -> int:
        """Rows in the index, 0 when it is of no use."""
        if not self._is_usable():
            return 0
        return int(self._quietly(lambda: self._table.count_rows()) or 0)

    def rows_of_any_model(self) -> int:
        """Rows of the table, whichever model made it; 0 without one."""
        return int(self._quietly(lambda: self._table.count_rows()) or 0) if self._table is not None else 0

    def ids(self) -> np.ndarray:
        """Every message id in the index, int64, unsorted."""
        import numpy as np

        if not self._is_usable():
            return np.empty(0, dtype=np.int64)
        found = self._quietly(lambda: self._table.search().select(["message_id"]).limit(2**31).to_arrow())
        return np.empty(0, dtype=np.int64) if found is None else found["message_id"].to_numpy()

    def sample(self, count: int) -> np.ndarray:
        """Vectors of up to `count` messages drawn at random, float32 (n, dimension)."""
        import numpy as np

        ids = self.ids()
        if not len(ids):
            return np.zeros((0, self.dimension), dtype=np.float32)
        drawn = np.random.default_rng(0).choice(ids, size=min(count, len(ids)), replace=False)
        return self.vectors_of([int(number) for number in drawn])[1]

    def vectors_of(self, message_ids: Sequence[int]) -> tuple[list[int], np.ndarray]:
        """Those of the messages that are in the index, and their vectors, float32 (n, dimension); in no order."""
        import numpy as np
        from lancedb.expr import col

        ids, parts = list[int](), [np.zeros((0, self.dimension), dtype=np.float32)]
        for start in range(0, len(message_ids), _IDS_A_QUERY):
            wanted = list(message_ids[start : start + _IDS_A_QUERY])
            condition = col("message_id").isin(wanted)
            found = self._quietly(partial(self._vectors, condition, len(wanted)))
            if found is not None and len(found):
                ids += found["message_id"].to_pylist()
                parts.append(np.stack(found["vector"].to_numpy()).astype(np.float32))
        return ids, np.concatenate(parts)

    def _vectors(self, condition: Any, limit: int) -> pa.Table:
        return self._table.search().where(condition).select(["message_id", "vector"]).limit(limit).to_arrow()

    # ---- inside -------------------------------------------------------------------------------------

    def _connect(self) -> Any:
        import lancedb

        self.folder.mkdir(parents=True, exist_ok=True)
        # Without an interval a reader never sees what another process writes.
        return lancedb.connect(str(self.folder), read_consistency_interval=timedelta(0))

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema(
            [
                pa.field("message_id", pa.int64(), nullable=False),
                pa.field("channel_id", pa.int64(), nullable=False),
                pa.field("author_id", pa.int64(), nullable=False),
                pa.field("text", pa.string(), nullable=False),
                pa.field("created_ms", pa.int64(), nullable=False),
                pa.field("reaction_score", pa.int32(), nullable=False),
                pa.field("vector", pa.list_(pa.float32(), self.dimension), nullable=False),
            ],
            metadata={_MODEL: self.model.encode()},
        )

    def _arrow(self, rows: Sequence[IndexRow]) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        vectors = np.stack([row.vector for row in rows]).astype(np.float32, copy=False)
        if vectors.shape[1] != self.dimension:
            raise ValueError(f"vectors of {vectors.shape[1]} numbers for an index of {self.dimension}")
        return pa.table(
            [
                pa.array([row.message_id for row in rows], pa.int64()),
                pa.array([row.channel_id for row in rows], pa.int64()),
                pa.array([row.author_id for row in rows], pa.int64()),
                pa.array([row.text for row in rows], pa.string()),
                pa.array([row.created_ms for row in rows], pa.int64()),
                pa.array([row.reaction_score for row in rows], pa.int32()),
                pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self.dimension),
            ],
            schema=self._schema(),
        )

    def _state_of(self, table: Any) -> IndexState:
        schema = table.schema
        if "vector" not in schema.names:
            return self._damaged(ValueError("the table has no vectors"))
        if self._model_is_any:
            return IndexState.READY
        is_ours = _maker(table) == self.model and schema.field("vector").type.list_size == self.dimension
        return IndexState.READY if is_ours else IndexState.OTHER_MODEL

    def _is_usable(self) -> bool:
        if self.state is not IndexState.READY:
            return self.refresh() is IndexState.READY
        # Another process may have rebuilt the table with another model: its vectors mean something else.
        state = self._quietly(lambda: self._state_of(self._table))
        if state is not None:
            self.state = state
        return self.state is IndexState.READY

    def _quietly(self, read: Any) -> Any:
        """A read's result, or None with the state set to damaged: the bot continues without recall.

        Another process may have removed the version that was being read (an erasure keeps none): then once more.
        """
        try:
            return read()
        except (RuntimeError, OSError) as first:
            try:
                self._table = self._connect().open_table(_TABLE)
                return read()
            except (RuntimeError, OSError, ValueError):
                self.state = self._damaged(first)
                return None

    def _damaged(self, error: Exception) -> IndexState:
        log.error(
            "The search index in %s cannot be read (%s). Replies go on without recall until it is rebuilt: "
            "python scripts/fetch_and_embed.py --rebuild-index",
            self.folder,
            _short(error),
        )
        return IndexState.DAMAGED

    def _require_writable(self) -> None:
        if self.state is IndexState.EMPTY:
            self.recreate()
        if self.needs_rebuild:
            raise StorageError(
                f"The search index is {self.state.value}.",
                "Rebuild it: python scripts/fetch_and_embed.py --rebuild-index",
            )

    def _drop_versions(self) -> None:
        with warnings.catch_warnings():
            # It warns that readers of older versions fail; ours look again (`_quietly`).
            warnings.simplefilter("ignore", UserWarning)
            self._table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)

    def _fragments_with_deletions(self) -> set[int]:
        """Numbers of the data files that hold deleted rows; their names start with it ("Lance format: deletions")."""
        files = (self.folder / f"{_TABLE}.lance" / "_deletions").glob("*")
        return {int(path.name.partition("-")[0]) for path in files if path.name.partition("-")[0].isdigit()}

    def _touch(self, fragments: set[int]) -> None:
        """Write an eighth of the rows of each fragment once more, so that compaction takes the fragment up."""
        import numpy as np
        from lancedb.expr import col

        found = self._table.search().select(["message_id"]).with_row_id(True).limit(2**31).to_arrow()
        ids = found["message_id"].to_numpy()
        homes = found["_rowid"].to_numpy() >> np.uint64(32)
        chosen: list[int] = []
        for fragment in fragments:
            of_it = ids[homes == fragment]
            chosen += of_it[: len(of_it) // 8 + 1].tolist()
        for start in range(0, len(chosen), _IDS_PER_FILTER):
            part = chosen[start : start + _IDS_PER_FILTER]
            rows = self._table.search().where(col("message_id").isin(part)).limit(len(part)).to_arrow()
            self._table.merge_insert("message_id").when_matched_update_all().execute(rows)

    def _has_index(self, column: str) -> bool:
        indices = self._quietly(lambda: self._table.list_indices())
        return any(index.columns == [column] for index in indices or ())

    def _drop_word_index(self) -> None:
        """Earlier versions made one, which nothing asks; it keeps the words of deleted rows."""
        for found in self._table.list_indices():
            if found.columns == ["text"]:
                self._table.drop_index(found.name)

    def _build_missing_indexes(self) -> None:
        from lancedb.index import Bitmap, BTree, IvfSq

        rows = self._table.count_rows()
        if not rows:
            return
        self._drop_word_index()
        if rows < INDEX_FROM_ROWS:
            return
        for column, config in (("message_id", BTree()), ("channel_id", Bitmap()), ("vector", IvfSq("cosine"))):
            if not self._has_index(column):
                self._table.create_index(column, config=config)


def _maker(table: Any) -> str:
    return str((table.schema.metadata or {}).get(_MODEL, b"").decode("utf-8", "replace"))


class _readable_errors:  # noqa: N801 - reads as a statement: `with _readable_errors(index):`
    """LanceDB's errors while writing as a sentence; the caller's data is safe in SQLite."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, RuntimeError | OSError):
            raise StorageError(
                f"The search index in {self._index.folder} could not be written ({_short(error)}).",
                "Check the disk; if it goes on: python scripts/fetch_and_embed.py --rebuild-index",
            ) from error


def _filter(channel_ids: Sequence[int], exclude_ids: Sequence[int]) -> Any:
    """A typed condition: filters are code to LanceDB, so nothing anybody typed ever becomes part of one."""
    from lancedb.expr import col

    condition = col("channel_id").isin([int(channel_id) for channel_id in channel_ids])
    if exclude_ids:
        condition = condition & ~col("message_id").isin([int(message_id) for message_id in exclude_ids])
    return condition


def _preferred(hits: list[Hit], reaction_weight: float) -> list[Hit]:
    if not reaction_weight:
        return hits
    return sorted(hits, key=lambda hit: hit.similarity + reaction_weight * min(hit.reaction_score, 5) / 5, reverse=True)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
