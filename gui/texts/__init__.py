"""Every word the panel shows, a module for each room. Plain words; what, where and what next.

Settings bring their own labels and help (storage.settings); errors bring their own sentences (storage.errors).
"""

from __future__ import annotations

from gui.texts.blind_test import *
from gui.texts.demo_setup import *
from gui.texts.dialogs import *
from gui.texts.figures import *
from gui.texts.first_run import *
from gui.texts.home import *
from gui.texts.live import *
from gui.texts.logs import *
from gui.texts.navigation import *
from gui.texts.notifications import *
from gui.texts.people import *
from gui.texts.playground import *
from gui.texts.restore import *
from gui.texts.settings import *
from gui.texts.status import *
from gui.texts.training import *
