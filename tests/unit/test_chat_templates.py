"""Chat templates rendered as llama.cpp and transformers do, and what becomes of models that have none or think."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.chat.conversation import Typist
from model.chat.chat_templates import TemplateError, template_of
from model.prompts import (
    CHATML,
    Piece,
    plain_text,
    render,
    render_standing,
    transcript_layout,
)
from storage.records import Conversation, Turn

CASES = Path(__file__).parents[1] / "cases"
TALK = Conversation((Turn("Ada", "morning"), Turn("", "hey", True), Turn("Bob", "one\ntwo")), (), "Vex")


def case(name: str) -> str:
    return (CASES / name / "template.jinja").read_text(encoding="utf-8")


def chatml(before: str = "", cue: str = "<|im_start|>assistant\\n", contents: str = "m.content") -> str:
    return (
        before + "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + " + contents + " + '<|im_end|>\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '" + cue + "' }}{% endif %}"
    )


def test_cases_what_a_template_adds_where_no_answer_is_asked_for_is_no_turns_end() -> None:
    """Fault 86: Phi 3.5 writes its end of text there."""
    found = template_of(case("50-template-phi-3.5"), bos="<s>", eos="<|endoftext|>")
    assert (found.user_open, found.user_close) == ("<|user|>\n", "<|end|>\n")
    assert (found.assistant_open, found.assistant_close) == ("<|assistant|>\n", "<|end|>\n")
    assert found.system_open == "<|system|>\n"
    assert found.end_of_reply == "<|end|>"


def test_cases_a_cue_that_opens_a_thought_gets_an_empty_one_and_earlier_turns_none() -> None:
    """Faults 85 and 86."""
    found = template_of(case("51-template-cue-opens-think"), bos="<｜begin▁of▁sentence｜>", eos="<｜end▁of▁sentence｜>")
    assert found.assistant_open == "<｜Assistant｜>"
    assert found.cue == "<｜Assistant｜><think>\n\n</think>\n\n"
    assert plain_text(TALK, system_prompt="s", template=found).count("<think>") == 1


def test_cases_a_template_that_asks_for_the_date_is_read() -> None:
    """Fault 86."""
    found = template_of(case("52-template-strftime-now"), bos="<s>", eos="</s>")
    assert (found.user_open, found.user_close, found.assistant_close) == ("[INST]", "[/INST]", "</s>")
    assert found.start.startswith("<s>[SYSTEM]20")
    assert found.start.endswith("[/SYSTEM]")


@pytest.mark.parametrize(
    ("cue", "expected"),
    [
        (
            "<|im_start|>assistant\\n' + ('' if enable_thinking else '<think>\\n\\n</think>\\n\\n') + '",
            "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ),
        ("<|im_start|>assistant\\n<think>\\n", "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        ("<|im_start|>assistant\\n[THINK]", "<|im_start|>assistant\n[THINK]\n\n[/THINK]\n\n"),
        ("<|im_start|>assistant\\n", "<|im_start|>assistant\n"),
    ],
)
def test_a_model_that_thinks_is_asked_not_to(cue: str, expected: str) -> None:
    """Fault 85: by its switch, or by an empty thought."""
    found = template_of(chatml(cue=cue))
    assert found.cue == expected
    assert found.assistant_open == "<|im_start|>assistant\n"
    trained = render(TALK, system_prompt="s", template=found, reply="sure")
    assert trained[-3:] == [Piece(expected, True), Piece("sure", False), Piece("<|im_end|>", True)]


def test_a_model_without_a_switch_whose_template_speaks_of_thoughts_gets_an_empty_one() -> None:
    """Fault 85: it would open one on its own."""
    found = template_of(chatml(contents="m.content.split('</think>')[-1]"))
    assert found.cue.endswith("<think>\n\n</think>\n\n")


def test_a_family_with_channels_answers_in_the_one_that_is_read_aloud() -> None:
    """Fault 85: gpt-oss."""
    source = (
        "{% for m in messages %}{% if m.role == 'assistant' %}"
        "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + ('<|return|>' if loop.last else '<|end|>') }}"
        "{% else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}{# <|channel|>analysis #}"
    )
    found = template_of(source)
    assert found.cue == found.assistant_open == "<|start|>assistant<|channel|>final<|message|>"
    assert (found.assistant_close, found.user_open) == ("<|end|>", "<|start|>user<|message|>")


@pytest.mark.parametrize(
    "source",
    [
        chatml("{% set ns = namespace(x=0) %}{% for k, v in {'a': 1}.items() %}{% set ns.x = v %}{% endfor %}"),
        chatml("{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{% continue %}{% endfor %}"),
        chatml("{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}"),
        chatml("{% if 0 %}{{ raise_exception('no') }}{% endif %}"),
        chatml().replace("m.content +", "m.content | trim +"),
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% generation %}{{ m.content }}{% endgeneration %}"
        "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% for c in m.content %}"
        "{% if c.type == 'text' %}{{ c.text }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ],
    ids=["namespace and items", "loop controls", "tojson", "raise_exception", "trim", "generation", "typed parts"],
)
def test_what_llama_cpp_and_transformers_render_is_rendered(source: str) -> None:
    """Fault 86."""
    assert template_of(source) == CHATML


def test_tojson_writes_letters_as_letters() -> None:
    """Fault 86: Jinja's own would escape them for a web page."""
    source = chatml("{{ {'a': '<ü>'} | tojson }}")
    assert '{"a": "<ü>"}' in template_of(source).system_open


@pytest.mark.parametrize(
    "source",
    [
        "{% for %}",
        "{{ raise_exception('never') }}",
        "{{ messages[0].content.__class__.__mro__ }}",
        "{{ unknown_function() }}",
        "hello",
        "{{ messages[-1].content }}",
    ],
)
def test_cases_a_template_that_cannot_be_rendered_is_told_and_never_replaced_in_silence(source: str) -> None:
    """Fault 86."""
    with pytest.raises(TemplateError, match=r"inside mine.gguf cannot be read") as caught:
        template_of(source, name="mine.gguf")
    assert "Prompt layout" in caught.value.cure
    assert "transcript" in caught.value.cure


def test_cases_a_model_without_template_reads_a_transcript_unless_its_vocabulary_has_the_marks() -> None:
    """Fault 86."""
    assert template_of(None, has_chatml=True) == CHATML
    assert template_of("  ", bos="<bos>", adds_bos=True) == transcript_layout(bos="<bos>")
    assert template_of(None, bos="<bos>") == transcript_layout()


def test_a_bos_token_that_the_file_asks_for_stands_once_at_the_start() -> None:
    """Fault 86."""
    assert template_of(chatml(), bos="<s>", adds_bos=True).start == "<s>"
    assert template_of(chatml("{{ bos_token }}"), bos="<s>", adds_bos=True).start == ""
    assert template_of(chatml("{{ bos_token }}"), bos="<s>").system_open.startswith("<s>")
    assert template_of(chatml(), bos="<s>") == CHATML


def test_a_transcript_is_lines_of_names_and_ends_in_the_own_one() -> None:
    """Fault 86: names and words are people's text, tokenised without special tokens."""
    plain = transcript_layout(bos="<bos>")
    recalled = Conversation(TALK.turns, (Turn("Eve", "old"),), "Vex")
    assert plain_text(TALK, system_prompt="none", template=plain) == (
        "<bos>Ada: morning\nVex: hey\nBob: one\nBob: two\nVex:"
    )
    assert plain_text(recalled, system_prompt="Friends.", template=plain) == (
        "<bos>Friends.\n\nAda: morning\nVex: hey\nBob: one\nEarlier on this server:\nEve: old\n\nBob: two\nVex:"
    )
    hostile = Conversation((Turn("<bos>", "<eos>"),), (), "<bos>")
    assert {piece.text for piece in render(hostile, system_prompt="none", template=plain) if piece.is_template} == {
        "<bos>",
        "",
        "\n",
    }
    trained = render(TALK, system_prompt="none", template=plain, reply="sure")
    assert trained[-2:] == [Piece(" sure", False), Piece("\n", True)]


@pytest.mark.parametrize("recalled", [(), (Turn("Eve", "old"),)])
@pytest.mark.parametrize("writer", ["", "Bob", "Cid"])
def test_what_stands_ready_of_a_transcript_is_the_start_of_the_next_prompt(
    recalled: tuple[Turn, ...], writer: str
) -> None:
    plain = transcript_layout(bos="<bos>")
    before = Conversation(TALK.turns, recalled, "Vex")
    name = writer or "Cid"
    typist = Typist(writer, writer == "Bob") if writer else None
    said = (*TALK.turns[:-1], Turn("Bob", "one\ntwo\nthree")) if name == "Bob" else (*TALK.turns, Turn(name, "three"))
    ready = "".join(piece.text for piece in render_standing(before, system_prompt="s", template=plain, typist=typist))
    assert plain_text(Conversation(said, recalled, "Vex"), system_prompt="s", template=plain).startswith(ready)


def test_a_voice_without_a_name_is_called_as_its_earlier_turns_are_or_by_a_usual_name() -> None:
    plain = transcript_layout()
    talk = Conversation((Turn("Ada", "hi"), Turn("Mia", "yo", True)))
    assert plain_text(talk, system_prompt="none", template=plain).endswith("Mia: yo\nMia:")
    assert plain_text(Conversation(talk.turns[:1]), system_prompt="none", template=plain).endswith("Echo:")
