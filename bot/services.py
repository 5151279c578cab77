"""What the live bot is made of, as one value: built by `run`, handed to whatever knows Discord."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.live_status import LiveStatus
from bot.model_slot import ModelSlot
from bot.recall import Recall
from bot.responder import Responder
from bot.stopping import StopRequest
from bot.storage_thread import StorageThread
from storage.environment import Environment
from storage.store import Store

if TYPE_CHECKING:
    from bot.owner_hands import OwnerHands


@dataclass
class Services:
    """Everything the live bot is made of; handed to the Discord client."""

    store: Store
    environment: Environment
    status: LiveStatus
    storage: StorageThread
    # A thread of its own for the heartbeat: whoever watches must hear it while long questions are answered.
    pulse: StorageThread
    slot: ModelSlot
    recall: Recall
    responder: Responder
    stop: StopRequest
    # There while the bot is on Discord.
    hands: OwnerHands | None = None
