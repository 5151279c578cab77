"""The rules of Task Scheduler's schema (version 1.2) for the elements our tasks use.

Written from the published definitions (taskType, triggerBaseType, calendarTriggerType, bootTriggerType, principalType,
settingsType, execActionType): which children an element may have, in which order, and what their text may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

from storage.system.task_scheduler import TASK_NAMESPACE

_BOOLEAN, _DURATION = "true|false|0|1", r"P(?=.)(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?"
_DATE_TIME = r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(Z|[+-]\d\d:\d\d)?"
_TRIGGER = ("Enabled", "StartBoundary", "EndBoundary", "Repetition", "ExecutionTimeLimit")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Rule(NamedTuple):
    """Children an element may have; is_ordered: xs:sequence (else xs:all). required: those that must be there."""

    children: tuple[str, ...]
    is_ordered: bool = False
    required: tuple[str, ...] = ()


_RULES = {
    "Task": Rule(("RegistrationInfo", "Triggers", "Settings", "Data", "Principals", "Actions"), required=("Actions",)),
    "Triggers": Rule(("BootTrigger", "CalendarTrigger", "LogonTrigger", "TimeTrigger")),
    "BootTrigger": Rule((*_TRIGGER, "Delay"), is_ordered=True),
    "CalendarTrigger": Rule((*_TRIGGER, "RandomDelay", "ScheduleByDay", "ScheduleByWeek"), is_ordered=True),
    "ScheduleByDay": Rule(("DaysInterval",)),
    "ScheduleByWeek": Rule(("WeeksInterval", "DaysOfWeek")),
    "DaysOfWeek": Rule(_DAYS),
    "Principals": Rule(("Principal",), required=("Principal",)),
    "Principal": Rule(("UserId", "LogonType", "GroupId", "DisplayName", "RunLevel")),
    "Settings": Rule(
        (
            *("AllowStartOnDemand", "RestartOnFailure", "MultipleInstancesPolicy", "DisallowStartIfOnBatteries"),
            *("StopIfGoingOnBatteries", "AllowHardTerminate", "StartWhenAvailable", "NetworkProfileName"),
            *("RunOnlyIfNetworkAvailable", "WakeToRun", "Enabled", "Hidden", "DeleteExpiredTaskAfter"),
            *("IdleSettings", "NetworkSettings", "ExecutionTimeLimit", "Priority", "RunOnlyIfIdle"),
        )
    ),
    "Actions": Rule(("Exec",), required=("Exec",)),
    "Exec": Rule(("Command", "Arguments", "WorkingDirectory"), required=("Command",)),
}
_TEXTS = {
    "Enabled": _BOOLEAN,
    "StartBoundary": _DATE_TIME,
    "Delay": _DURATION,
    "DaysInterval": r"[1-9]\d{0,2}",
    "WeeksInterval": r"[1-9]\d?",
    "UserId": ".+",
    "LogonType": "S4U|Password|InteractiveToken|InteractiveTokenOrPassword",
    "RunLevel": "LeastPrivilege|HighestAvailable",
    "MultipleInstancesPolicy": "Parallel|Queue|IgnoreNew|StopExisting",
    "DisallowStartIfOnBatteries": _BOOLEAN,
    "StopIfGoingOnBatteries": _BOOLEAN,
    "StartWhenAvailable": _BOOLEAN,
    "RunOnlyIfNetworkAvailable": _BOOLEAN,
    "ExecutionTimeLimit": _DURATION,
    "Command": ".+",
    "Arguments": ".*",
    "WorkingDirectory": ".+",
} | dict.fromkeys(_DAYS, "")


def violations(task: bytes) -> list[str]:
    """What in a definition the schema forbids."""
    root = ElementTree.fromstring(task)
    found = list(_of(root))
    if root.get("version") != "1.2":
        found.append(f"version {root.get('version')}")
    space = {"t": TASK_NAMESPACE}
    ids = {principal.get("id") for principal in root.iterfind("t:Principals/t:Principal", space)}
    actions = root.find("t:Actions", space)
    if actions is not None and actions.get("Context") not in ids:
        found.append("Actions run in the context of a principal that is not there")
    return found


def _of(element: ElementTree.Element) -> Iterator[str]:
    name = _name(element)
    children = [_name(child) for child in element]
    if name not in _RULES:
        if children or name not in _TEXTS:
            yield f"{name} is unknown, or has children"
        elif not re.fullmatch(_TEXTS[name], element.text or "", re.DOTALL):
            yield f"{name}: {element.text!r}"
        return
    rule = _RULES[name]
    yield from (f"{name}: no {child}" for child in rule.required if child not in children)
    yield from (f"{name}: {child} is not allowed there" for child in children if child not in rule.children)
    if len(set(children)) != len(children):
        yield f"{name}: a child twice"
    known = [child for child in children if child in rule.children]
    if rule.is_ordered and known != sorted(known, key=rule.children.index):
        yield f"{name}: children in another order: {known}"
    for child in element:
        yield from _of(child)


def _name(element: ElementTree.Element) -> str:
    return element.tag.removeprefix(f"{{{TASK_NAMESPACE}}}")
