"""What reactions say about a message: a score from positive and negative emoji."""

from __future__ import annotations

from collections.abc import Sequence

from storage.records import Reaction

MAX_STRENGTH = 5

# Approval, laughter, thanks, love, awe, celebration. docs/DATASET_BALANCING.md lists them with the reasons.
POSITIVE = frozenset(
    "👍 👌 🙌 👏 💯 ✅ ✔ 🆗 💪 🤝 🤘 🫡 🫶 🙏 🎉 🥳 🎊 🏆 🥇 🔥 🚀 ⭐ 🌟 ✨ 👑 🐐 💎 📈 ➕ 👆 ☝ "
    "😂 🤣 😆 😹 😄 😁 😀 😃 😸 😺 😅 😊 ☺ 🙂 😎 🤩 😍 😻 🥰 😘 🤗 😋 😜 🤪 🥹 🤯 😮 😲 💀 ☠ "
    "❤ 🧡 💛 💚 💙 💜 🖤 🤍 🤎 ♥ 💕 💖 💗 💓 💞 💘 💝 ❣ 🍻 🍺 🥂 👀".split()
)
# Disapproval. 😢 and 😭 are sympathy as often as complaint: they count for nothing.
NEGATIVE = frozenset("👎 😠 😡 🤬 🤮 🤢 💩 🖕 🙄 😒 😑 🤡 🤦 🤨 👺 ❌ 🚫 ⛔ 📉 ➖ 🥱 😴 🧢".split())
# Names of custom emoji that say it in a word, wherever in the name they stand.
_POSITIVE_WORDS = (
    "lol",
    "lmao",
    "rofl",
    "kek",
    "lul",
    "pog",
    "based",
    "heart",
    "love",
    "upvote",
    "thumbsup",
    "yes",
    "hype",
    "clap",
    "nice",
    "gg",
    "laugh",
    "happy",
    "party",
    "fire",
    "blush",
    "plus1",
)
_NEGATIVE_WORDS = (
    "downvote",
    "thumbsdown",
    "cringe",
    "boo",
    "angry",
    "hate",
    "disgust",
    "nope",
    "minus1",
    "sus",
    "facepalm",
    "eyeroll",
    "clown",
)
_VARIATIONS = {0xFE0F: None, 0xFE0E: None, 0x200D: None, **dict.fromkeys(range(0x1F3FB, 0x1F400))}


def reaction_value(emoji: str) -> int:
    """1 for approval, -1 for disapproval, 0 for what may mean anything. Custom emoji are `name:id`."""
    name, _, custom_id = emoji.partition(":")
    if custom_id:
        lowered = name.lower()
        if any(word in lowered for word in _NEGATIVE_WORDS):
            return -1
        return 1 if any(word in lowered for word in _POSITIVE_WORDS) else 0
    plain = emoji.translate(_VARIATIONS)
    # A person's gesture is a base character with a sex and a skin tone after it: the first character tells.
    if plain in POSITIVE or plain[:1] in POSITIVE:
        return 1
    return -1 if plain in NEGATIVE or plain[:1] in NEGATIVE else 0


def reaction_balance(reactions: Sequence[Reaction]) -> int:
    """Approvals minus disapprovals."""
    return sum(reaction_value(reaction.emoji) * reaction.count for reaction in reactions)


def reaction_score(reactions: Sequence[Reaction]) -> int:
    """The balance from 0 to 5: thirty thumbs count as much as five."""
    return min(max(reaction_balance(reactions), 0), MAX_STRENGTH)
