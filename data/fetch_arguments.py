"""What a fetch understands on the command line. Light: `--help` is answered before anything is installed."""

from __future__ import annotations

import argparse

EVERYTHING = 100_000  # days: look again at the whole history


def add_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """What a fetch from Discord understands."""
    from storage import policy

    group = parser.add_argument_group("fetching from Discord")
    group.add_argument(
        "--refresh-days",
        type=_days,
        metavar="N|all",
        help="how far back to look again for edits, deletions and reactions (default: the setting)",
    )
    group.add_argument("--discover", action="store_true", help="only list the server's channels; read no messages")
    group.add_argument(
        "--learn-from",
        metavar="LIST",
        help="names or ids to learn from, separated by commas; 'public' is every channel all may read",
    )
    group.add_argument("--recall-from", metavar="LIST", help="channels whose lines may be looked up for replies")
    group.add_argument("--speak-in", metavar="LIST", help="channels the bot may speak in")
    group.add_argument("--include-private", metavar="LIST", help="private channels to learn from all the same")
    group.add_argument(
        "--accept-policy",
        action="store_true",
        help="answer yes to the question about collecting messages (it is printed)",
    )
    group.add_argument(
        "--confirm-large-server",
        action="store_true",
        help=f"go on though the server is public or has more than {policy.LARGE_SERVER_MEMBERS} members",
    )


def add_absence_arguments(parser: argparse.ArgumentParser) -> None:
    """What fetch_and_embed.py understands about absent messages."""
    group = parser.add_argument_group("messages that a fetch did not find (channels by name or id, with commas)")
    group.add_argument(
        "--were-deleted", metavar="LIST", help="they were deleted on Discord: hidden at once, erased in a week"
    )
    group.add_argument("--keep-absent", metavar="LIST", help="they stay, and no fetch asks again")
    group.add_argument("--bring-back", metavar="LIST", help="undo: show again what fetches have hidden there")


def _days(text: str) -> int:
    if text == "all":
        return EVERYTHING
    if not text.isdigit():
        raise argparse.ArgumentTypeError("give a number of days, or 'all'")
    return int(text)
