"""People, channels, and what was removed."""

from __future__ import annotations

PEOPLE_TAB, CHANNELS_TAB = "People", "Channels"
IMPORT = "Import messages…"
IMPORT_TITLE = "Choose exports (of a data package in parts, all parts)"
IMPORT_KINDS = "Discord exports (JSON, JSON lines, data package)"
IMPORT_ASK_TITLE = "Import {name}?"
IMPORT_ASK_TEXT = (
    "Everything members wrote in what you chose is kept on this computer. Its channels come in off: you then "
    "choose below where the bot may learn, look things up and speak."
)
IMPORT_GO = "Import"
PEOPLE_EMPTY_TITLE = "Nobody here yet"
PEOPLE_EMPTY = (
    "Import an export of your server, or fetch its messages in Getting started. Then you see who talks how "
    "much, and can leave people out."
)
PEOPLE_COLUMNS = ("Member", "Messages", "Share", "In training", "Included", "")
CHANNEL_COLUMNS = ("", "Channel", "Messages", "Learn", "Recall", "Speak", "Private", "On Discord", "Rate")
ON_DISCORD_EVERYONE, ON_DISCORD_SOME, ON_DISCORD_OPENED, ON_DISCORD_UNKNOWN = "everyone", "some", "opened", "unknown"
OPTED_OUT, EXCLUDED = "opted out", "left out"
SHARES_NONE = "The balanced share appears once training data is prepared."
SHARES_CEILING = "In training nobody makes up more than {ceiling} (orange line)."
SHARES_COUNT = "Prepare training data"
PEOPLE_SUMMARY = "{people} · {messages}"
CHANNEL_HINT = (
    "Learn: may become training data. Recall: lines may be looked up for replies, in channels whose readers can all "
    "read this one. Speak: it may answer there. Private: your own word, which holds whatever Discord says. On Discord: "
    "who can see it there."
)
RATE_GENERAL = "general"
RATE_MENU_GENERAL = "General rate"
PRIVATE_TITLE = "Learn from a private channel?"
PRIVATE_YES, PRIVATE_NO = "Learn from it", "Leave it out"
ACCESS_LOST = "no access"
OPENED_TITLE = "Discord opened {names} to more people."
OPENED_TEXT = "Closed here until you answer: nothing said there is recalled where it was not recalled before."
OPENED_ANSWER = "Answer"
OPENED_ASK_TITLE = "Discord opened #{name}. Open it here too?"
OPENED_ASK_TEXT = (
    "More people can read #{name} on Discord than before. If you open it, what was said there may be recalled in every "
    "channel whose readers can all read it now. If you keep it closed, it stays private until you switch that off."
)
OPENED_LATER, OPENED_CLOSE, OPENED_OPEN = "Later", "Keep closed", "Open it"
CLOSED_BY_DISCORD = "#{name} is closed to some on Discord"
CLOSED_BY_DISCORD_TEXT = (
    "Your word is taken back, and Discord's holds: its lines are recalled only in channels whose readers can all "
    "read it."
)
MORE = "\u22ef"
MENU_EXCLUDE, MENU_INCLUDE = "Leave out of training and recall", "Include again"
MENU_FORGET = "Delete everything they wrote…"
FORGET_TITLE = "Delete everything {name} wrote?"
FORGET_TEXT = (
    "It disappears from replies, the index and new training data at once, and is erased for good in seven days, "
    "from data sets, pages, logs and the backups of this workspace too. "
    "Until then you can bring it back under Removed. A model that is already trained only forgets when it is trained "
    "again."
)
FORGET_GO = "Delete"
MENU_EMPTY_CHANNEL = "Delete what is kept of it…"
EMPTY_CHANNEL_TITLE = "Delete everything kept of #{name}?"
EMPTY_CHANNEL_TEXT = (
    "Learn and Recall go off. The channel's messages disappear from replies, the index and new training data at once, "
    "and are erased here for good in seven days. Until then you can bring them back under Removed. Discord keeps its "
    "own."
)
FORGOTTEN = "{count} deleted. You can undo it under Removed for seven days."
REMOVED_TAB = "Removed"
REMOVED_COLUMNS = ("What", "Messages", "Why", "")
REMOVED_EMPTY = "Nothing is hidden. What you delete or leave out, and what a fetch does not find, can be undone here."
REMOVED_HINT = "Hidden from replies, recall and training. A click on Undo brings it back."
REMOVED_MEMBER, REMOVED_CHANNEL, REMOVED_MESSAGE = "Everything by {name}", "All of #{name}", "One message"
REMOVED_MISSING = "Missing in #{name}"
REMOVED_UNCLEAR = "Not found in #{name}"
WHY_DELETED = "you deleted it; erased in {time}"
WHY_LEFT_OUT = "you left them out"
WHY_MISSING = "a fetch did not find them {ago}"
WHY_UNCLEAR = "too many at once: your answer is needed"
UNDO, ANSWER = "Undo", "Answer"
UNDO_TIP = "Undo (Ctrl+Z)"
SWITCH_NAMES = {"learn": "Learn", "recall": "Recall", "speak": "Speak", "is_private": "Private"}
SWITCHED = "{switch} is {state} in {where}"
SWITCHED_ON, SWITCHED_OFF = "on", "off"
SWITCHED_RATE = "{rate} in {where}"
SWITCHED_NOTHING = "That is how it is already"
SWITCHED_PRIVATE = "Left as they are, because each asks a question of its own: {names}."
LEFT_OUT, INCLUDED_AGAIN = "{name} is left out", "{name} is included again"
UNDONE = "As it was before"
CHOOSE_ALL, CHOOSE_NONE = "All {count}", "None"
CHOOSE_ALL_TIP = "Choose every channel in the list; a search narrows it."
CHOSEN = "{count} chosen"
CHOSEN_NOTHING = "Tick channels to switch several at once."
CHOSEN_ON, CHOSEN_OFF = "On", "Off"
BROUGHT_BACK = "{count} brought back."
ABSENT_TITLE = "Were they deleted on Discord?"
ABSENT_BANNER = "{missing} of {kept} kept from #{name} were not there at the last fetch."
ABSENT_BANNER_CURE = "Nothing was changed. A lost permission looks the same as a deletion, so only you can say."
ABSENT_TEXT = (
    "{missing} of {kept} kept from #{name} were not there at the last fetch. If they were deleted on Discord, they are "
    "hidden now and erased in seven days. If the bot only lost a permission, keep them: nothing is asked about them "
    "again."
)
ABSENT_DELETED, ABSENT_KEEP, ABSENT_LATER = "They were deleted", "Keep them", "Later"
ABSENT_SHOW = "Answer"
SEARCH_PEOPLE = "Search"
