"""Phrases of helpful assistants that people on a chat server hardly ever write.

The list was put together from what instruction-tuned models say when asked to chat (SmolLM2, Qwen2.5) and from
the phrases the specification names. It is short on purpose: every entry should be rare among people, which the
report shows by counting it in the real replies too. Those of other languages stand in data/chat/assistants.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from data.chat.assistants import FOREIGN_PHRASES

PHRASES = (
    r"as an? (ai|artificial intelligence|(large )?language model|assistant|chatbot|digital assistant)",
    r"i('m| am) (just )?an? (ai|artificial|(large )?language model|virtual|digital assistant|chatbot|computer program)",
    r"how (can|may) i (help|assist) you",
    r"how can i be of (help|service|assistance)",
    r"what can i (help|assist) you with",
    r"is there anything (else )?(i can|you('d| would) like|specific|you need)",
    r"i('m| am) (here|happy|glad|ready) to (help|assist)",
    r"i('d| would) be (happy|glad|delighted) to",
    r"feel free to (ask|reach out|let me know|share|contact)",
    r"let me know if (you|there)('d| would)? (like|need|have|want|is anything)",
    r"(i hope|hope) this (helps|message finds|clarifies)",
    r"(certainly|absolutely|of course)[!,.] (here|i|let)",
    r"(that's|what) a (great|good|fantastic|wonderful|thoughtful|excellent) question",
    r"i (apologi[sz]e|'m sorry) for (any|the) (confusion|inconvenience|misunderstanding)",
    r"i('m| am) sorry,? but i (can('t|not)|am not able|am unable)",
    r"i (do not|don't) have (personal|the ability|access to|feelings|emotions)",
    r"it('s| is) important to (note|remember|consider)",
    r"(could|can) you (please )?(provide|share) (me with )?(more|some|additional) (context|details|information)",
    r"please (provide|note that|let me know)",
    r"i (completely )?understand (your|how you|that you)",
    r"thank you for (sharing|your|reaching|asking)",
    r"here are (some|a few|several) (tips|ways|suggestions|ideas|examples|steps)",
    r"in (conclusion|summary),",
    r"(i look|looking) forward to (hearing|assisting|helping)",
)
_PATTERN = re.compile("|".join(f"(?:{phrase})" for phrase in (*PHRASES, *FOREIGN_PHRASES)), re.IGNORECASE)


def is_assistant_speak(text: str) -> bool:
    """True when one of the phrases stands in the text."""
    return _PATTERN.search(text.replace("’", "'")) is not None


def rate(texts: Sequence[str]) -> float:
    """Share of texts with such a phrase, 0-1; 0 for none."""
    return sum(map(is_assistant_speak, texts)) / len(texts) if texts else 0.0
