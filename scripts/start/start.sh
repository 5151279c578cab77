#!/bin/sh
# Starts the control panel, for macOS and Linux: Start.command and Start.desktop come here. The first time a Python is
# found or fetched, and the program sets itself up in a window; from then on it starts without a terminal.
CDPATH=
cd -- "$(dirname -- "$0")/../.." || exit 1
PATH="$PATH:/opt/homebrew/bin:/usr/local/bin:$HOME/.local/bin"
system=$(uname)
fetched="${XDG_DATA_HOME:-$HOME/.local/share}/personality-bot/uv"
fits='import sys, venv, ensurepip; assert sys.maxsize > 2**32 and sys.version_info >= (3, 11)'

has_terminal() { [ -t 0 ] && [ -t 1 ]; }
has_screen() { [ "$system" = Darwin ] || [ -n "$DISPLAY$WAYLAND_DISPLAY" ]; }
can_show_windows() { has_screen && "$@" -c "$fits; import tkinter" >/dev/null 2>&1; }

# Away from the terminal, which can then be closed.
open_panel() {
    if has_terminal; then
        nohup "$@" launcher.py --windowed >/dev/null 2>&1 &
        echo "The control panel opens in its own window; this one can be closed."
        exit 0
    fi
    exec "$@" launcher.py --windowed
}

# Without a terminal nothing could be asked or said: do it again in one.
need_terminal() {
    has_terminal && return
    [ -z "$PERSONALITY_BOT_IN_TERMINAL" ] || exit 1
    PERSONALITY_BOT_IN_TERMINAL=1
    export PERSONALITY_BOT_IN_TERMINAL
    this="$PWD/scripts/start/start.sh"
    for terminal in "x-terminal-emulator -e" "gnome-terminal --wait --" "konsole -e" "xfce4-terminal -x" "kitty" "xterm -e"; do
        command -v "${terminal%% *}" >/dev/null 2>&1 && exec $terminal sh "$this"
    done
    words="Open a terminal and run: sh '$this'"
    for box in "zenity --info --text" "kdialog --msgbox" "xmessage -center"; do
        command -v "${box%% *}" >/dev/null 2>&1 && exec $box "$words"
    done
    exit 1
}

keep_open() {
    printf '\nPress Enter to close this window. '
    read -r _
    exit "$1"
}

# Apple's python3 is too old, and without the developer tools it only opens a dialogue.
names="python3.13 python3.12 python3.11 python3.14"
if [ "$system" = Darwin ]; then
    for version in 3.13 3.12 3.11 3.14; do
        names="$names /Library/Frameworks/Python.framework/Versions/$version/bin/python3"
    done
else
    names="$names python3"
fi

[ -x .venv/bin/python ] && can_show_windows .venv/bin/python && open_panel .venv/bin/python
for name in $names; do
    can_show_windows "$name" && open_panel "$name"
done

# uv (https://docs.astral.sh/uv) brings a Python of its own, for this user only.
if has_screen; then
    uv=$(command -v uv || { [ -x "$fetched/uv" ] && echo "$fetched/uv"; })
    need_terminal
    if [ -z "$uv" ]; then
        echo "This program needs Python 3.11 or later, with its windows (tkinter) and venv, and found none."
        echo "Press Enter to fetch one now: uv and Python 3.13, about 50 MB from astral.sh and github.com, for this user"
        echo "only. Or close this window and install it yourself."
        read -r _ || exit 1
        curl -LsSf https://astral.sh/uv/install.sh | env UV_UNMANAGED_INSTALL="$fetched" sh
        uv="$fetched/uv"
    fi
    set -- "$uv" run --no-project --no-config --python-preference only-managed --python 3.13 python
    can_show_windows "$@" || "$@" -c "$fits; import tkinter"
    can_show_windows "$@" && open_panel "$@"
fi

# A Python without windows is better than none: everything is said here.
need_terminal
for name in $names; do
    if "$name" -c "$fits" >/dev/null 2>&1; then
        "$name" launcher.py
        keep_open $?
    fi
done
echo "No Python could be fetched. Install Python 3.13 (https://www.python.org/downloads, or your system's packages:"
echo "Debian, Ubuntu: sudo apt install python3 python3-venv python3-tk), then start this again."
keep_open 1
