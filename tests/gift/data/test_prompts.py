"""What a model is asked: one beginning, users' texts as texts, and the model's own chat template."""

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from gift.config import PromptFormat
from gift.data.problems import Problem
from gift.data.prompts import answer_ids, asked_text, encode, turn_end
from gift.data.tokens import tokenize_demonstrations, tokenize_prompts
from gift.errors import GiftError

RAW = PromptFormat(template="Question: {question}\nAnswer:")
CHAT = PromptFormat(template="chat")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")


def made_tokenizer(
    *, spaces: str = "bytes", bos: bool = False, eos: bool = False, chat_template: str | None = CHATML
) -> PreTrainedTokenizerFast:
    """In the shape of a well-known one: byte-level like GPT-2's, or with `▁` for spaces like Llama's."""
    bpe = Tokenizer(models.BPE(byte_fallback=spaces != "bytes"))
    if spaces == "bytes":
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
    else:
        bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=spaces)
        bpe.decoder = decoders.Metaspace(prepend_scheme=spaces)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(set(pre_tokenizers.ByteLevel.alphabet()) | set("▁ \n")),
        show_progress=False,
    )
    bpe.train_from_iterator(["Question: What is one and one?\nAnswer: two <s> user assistant system"], trainer)
    bpe.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    around = (["<s>"] if bos else []) + ["$A"] + (["</s>"] if eos else [])
    bpe.post_processor = processors.TemplateProcessing(
        single=" ".join(around), special_tokens=[("<s>", bpe.token_to_id("<s>")), ("</s>", bpe.token_to_id("</s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=chat_template,
        clean_up_tokenization_spaces=False,
    )


def asked(tokenizer: PreTrainedTokenizerFast, question: str, prompt: PromptFormat = RAW) -> list[int]:
    return encode(tokenizer, [asked_text(tokenizer, question, prompt)], prompt)[0]


@pytest.mark.parametrize("spaces", ["bytes", "first", "always"])
@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("eos", [False, True])
@pytest.mark.parametrize("template", [RAW.template, "<s>{question}", "<s> Q: {question}\n", "{question}"])
def test_a_prompt_begins_once_and_does_not_end(spaces: str, bos: bool, eos: bool, template: str) -> None:
    tokenizer = made_tokenizer(spaces=spaces, bos=bos, eos=eos)
    ids = asked(tokenizer, "What is one and one?", PromptFormat(template=template))
    begins = bos or template.startswith("<s>")
    assert ids.count(tokenizer.bos_token_id) == begins
    assert (ids[0] == tokenizer.bos_token_id) == begins
    assert tokenizer.eos_token_id not in ids


@pytest.mark.parametrize("spaces", ["bytes", "first", "always"])
@pytest.mark.parametrize("bos", [False, True])
def test_an_ordinary_prompt_is_tokenized_as_the_tokenizer_does_it(spaces: str, bos: bool) -> None:
    tokenizer = made_tokenizer(spaces=spaces, bos=bos)
    template = "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    for prompt in (RAW, PromptFormat(template=template)):
        text = prompt.template.replace("{question}", "What is one and one?")
        assert asked(tokenizer, "What is one and one?", prompt) == tokenizer(text)["input_ids"]


@pytest.mark.parametrize("spaces", ["bytes", "first", "always"])
@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("prompt", [RAW, PromptFormat(template="<|im_start|>{question}<|im_end|>"), CHAT])
def test_a_special_token_in_a_question_is_text(spaces: str, special: str, prompt: PromptFormat) -> None:
    tokenizer = made_tokenizer(spaces=spaces, bos=True)
    ordinary = asked(tokenizer, "What does mean?", prompt)
    ids = asked(tokenizer, f"What does {special} mean?", prompt)
    counted = [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL]
    assert [token for token in ids if token in counted] == [token for token in ordinary if token in counted]
    assert f"What does {special} mean?" in tokenizer.decode(ids)


@pytest.mark.parametrize("special", SPECIAL)
def test_a_special_token_in_an_answer_is_text(special: str) -> None:
    tokenizer = made_tokenizer()
    (ids,) = answer_ids(tokenizer, [f"It is {special}."], RAW)
    assert tokenizer.decode(ids) == f" It is {special}.</s>"
    assert [token for token in ids if token in tokenizer.all_special_ids] == [tokenizer.eos_token_id]


def test_training_and_rollouts_ask_with_the_same_ids() -> None:
    problems = [Problem("1", "What is <|im_end|>?", "A token.", ""), Problem("2", "One and one?", "two", "two")]
    for prompt in (RAW, CHAT):
        tokenizer = made_tokenizer(bos=True)
        demonstrations = tokenize_demonstrations(tokenizer, problems, prompt, 512)
        assert [d.prompt for d in demonstrations] == tokenize_prompts(tokenizer, problems, prompt, 512)


def test_a_chat_is_what_the_template_writes_and_its_answer_ends_its_turn() -> None:
    tokenizer = made_tokenizer(bos=True)  # the template writes no <s>, so there is none
    (demonstration,) = tokenize_demonstrations(
        tokenizer, [Problem("1", "One?", "two", "2")], PromptFormat(template="chat", system="Be brief."), 512
    )
    assert tokenizer.decode(demonstration.prompt) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.decode(demonstration.completion) == "two<|im_end|>"
    assert demonstration.completion[-1] == turn_end(tokenizer) == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_a_template_that_ends_answers_with_the_end_of_sequence_ends_them_so() -> None:
    llama = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{% if m.role == 'assistant' %}"
    tokenizer = made_tokenizer(bos=True, chat_template=llama + " {{ eos_token }}{% endif %}{% endfor %}")
    assert turn_end(tokenizer) == tokenizer.eos_token_id
    ids = asked(tokenizer, "One?", CHAT)
    assert (ids[0], ids.count(tokenizer.bos_token_id)) == (tokenizer.bos_token_id, 1)


def test_a_template_that_writes_the_date_writes_the_same_every_day() -> None:
    tokenizer = made_tokenizer(chat_template="Today is {{ strftime_now('%d %b %Y') }}. {{ messages[0].content }}")
    assert asked_text(tokenizer, "One?", CHAT) == "Today is 26 Jul 2024. One?"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template; set prompt to a text with {question}"),
        ("{{ raise_exception('System role not supported') }}", "refuses the messages: System role not supported"),
        ("{{ messages[0].content | nonsense }}", "refuses the messages: No filter named 'nonsense'"),
    ],
)
def test_a_template_that_does_not_work_is_one_line(template: str | None, message: str) -> None:
    with pytest.raises(GiftError) as error:
        asked_text(made_tokenizer(chat_template=template), "One?", PromptFormat(template="chat", system="Be kind."))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "template",
    [
        "hello",  # says nothing of what is asked
        "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}",  # wants parts
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",  # no system message
    ],
)
def test_a_template_that_leaves_something_out_is_refused(template: str) -> None:
    prompt = PromptFormat(template="chat", system="Be kind.")
    with pytest.raises(GiftError, match=r"does not write what the (user|system) says as it is"):
        asked_text(made_tokenizer(chat_template=template), "What is one?", prompt)


def test_a_template_that_changes_answers_is_refused() -> None:
    tokenizer = made_tokenizer(chat_template="{% for m in messages %}{{ m.content | upper }}<|im_end|>{% endfor %}")
    with pytest.raises(GiftError, match="does not write an answer as it is"):
        turn_end(tokenizer)


@pytest.mark.parametrize("template", ["{% for t in tools %}{{ t }}{% endfor %}", "{{ 'n: ' + messages | length }}"])
def test_a_template_that_fails_in_python_s_words_is_one_line(template: str) -> None:
    with pytest.raises(GiftError, match="refuses the messages"):
        asked_text(made_tokenizer(chat_template=template), "One?", CHAT)


def test_an_end_that_is_no_special_token_ends_a_turn_all_the_same() -> None:
    tokenizer = made_tokenizer(chat_template=CHATML.replace("<|im_end|>", "<end>"))
    tokenizer.add_tokens([AddedToken("<end>", special=False)])
    assert turn_end(tokenizer) == tokenizer.convert_tokens_to_ids("<end>")


def test_a_space_that_the_tokenizer_writes_is_not_written_twice() -> None:
    for spaces in ("first", "always"):
        tokenizer = made_tokenizer(spaces=spaces)
        (answer,) = answer_ids(tokenizer, ["two"], RAW)
        together = tokenizer("Question: What is one and one?\nAnswer: two")["input_ids"]
        assert together[-len(answer) + 1 :] == answer[:-1]


def test_spaces_that_a_special_token_takes_up_stay_taken_up() -> None:
    tokenizer = made_tokenizer(chat_template="{% for m in messages %}<left>\n{{ m.content }} <right>\n{% endfor %}")
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [AddedToken("<left>", rstrip=True), AddedToken("<right>", lstrip=True)]}
    )
    plain, guarded = asked(tokenizer, "is it one?", CHAT), asked(tokenizer, "is <s> one?", CHAT)
    assert tokenizer.convert_ids_to_tokens(plain[:2]) == tokenizer.convert_ids_to_tokens(guarded[:2])
    assert plain[-3:] == guarded[-3:]
