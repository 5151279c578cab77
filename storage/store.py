"""One open workspace: both databases and everything that reads and writes them."""

from __future__ import annotations

import time
from collections.abc import Callable

from storage.activity import ActivityLog
from storage.control import CommandQueue, KeyValueStore, SettingsStore, StatusBoard
from storage.database import Database
from storage.errors import StorageError
from storage.incidents import Incidents
from storage.jobs.table import Jobs
from storage.live import LiveFeed, ReplyNotes
from storage.messages import MessageStore
from storage.migrations import CONTROL_MIGRATIONS, MESSAGES_MIGRATIONS
from storage.paths import Workspace
from storage.people import Channels, Consents, Members
from storage.playground import PlaygroundStore
from storage.teaching import Teaching
from storage.unfinished_restore import finish
from storage.withdrawals import Withdrawals
from storage.withheld import WithheldMessages


class Store:
    """Built once by an entry point and handed down; close it at the end."""

    def __init__(
        self, workspace: Workspace, control: Database, messages: Database, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.workspace = workspace
        self.control_db = control
        self.messages_db = messages
        self.settings = SettingsStore(control, clock=clock)
        self.status = StatusBoard(control, clock=clock)
        self.commands = CommandQueue(control, clock=clock)
        self.jobs = Jobs(control, clock=clock)
        self.playground = PlaygroundStore(control, clock=clock)
        self.activity = ActivityLog(control, clock=clock)
        self.notes = ReplyNotes(control, clock=clock)
        self.incidents = Incidents(control, clock=clock)
        self.facts = KeyValueStore(control)
        self.messages = MessageStore(messages)
        self.withheld = WithheldMessages(messages, clock=clock)
        self.channels = Channels(messages)
        self.members = Members(messages)
        self.consents = Consents(messages, clock=clock)
        self.withdrawals = Withdrawals(messages, clock=clock)
        self.teaching = Teaching(messages, clock=clock)
        self.live = LiveFeed(self.notes, self.activity, self.messages, self.members)

    @classmethod
    def open(
        cls, workspace: Workspace, *, may_start_over: bool = False, clock: Callable[[], float] = time.time
    ) -> Store:
        """Create what is missing and open both databases; StorageError says what is wrong and the cure.

        A restore that was cut short is brought to its end first. A control.db without its messages.db is no new
        install: the messages, and what everybody decided about theirs, are gone. may_start_over: that is known.
        """
        workspace.create()
        finish(workspace)
        if workspace.control_db.exists() and not workspace.messages_db.exists() and not may_start_over:
            raise StorageError(
                f"The database {workspace.messages_db} is missing, although this workspace has been used: the "
                "messages, opt-outs and deletions in it are gone.",
                "Put the file back, or restore a backup: python scripts/backup.py --restore. Without one: "
                "python scripts/backup.py --start-anew begins with an empty one.",
            )
        # In this order: cut short between the two, a first start must not look like a lost messages.db.
        messages = Database(workspace.messages_db, MESSAGES_MIGRATIONS).open()
        try:
            control = Database(workspace.control_db, CONTROL_MIGRATIONS).open()
        except BaseException:
            messages.close()
            raise
        return cls(workspace, control, messages, clock=clock)

    def wait_at_most(self, seconds: float) -> None:
        """How long calls of this thread wait for another program that holds a database (BusyError after that)."""
        self.control_db.wait_at_most(seconds)
        self.messages_db.wait_at_most(seconds)

    def close(self) -> None:
        """Close both databases; the store is of no use afterwards."""
        self.control_db.close()
        self.messages_db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
