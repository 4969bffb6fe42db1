from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from interp.decoding import Completion, Turn, decode, greedy, left_padded, sample
from interp.pair import Pair

NEW = 24
PROMPTS = [
    [1, *torch.randint(3, 64, (length,), generator=torch.Generator().manual_seed(length)).tolist()]
    for length in (9, 2, 0, 23, 5, 14)  # Gemma 2's window in these tests is 16
]


def plain(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


@torch.inference_mode()
def whole(model: Any, prompt: Sequence[int], text: Sequence[int]) -> torch.Tensor:
    """The oracle: logits before each token of a text, read in one piece, without cache, padding or batch."""
    logits = model(torch.tensor([[*prompt, *text]])).logits
    return logits[0, len(prompt) - 1 : len(prompt) + len(text) - 1]


def assert_greedy(model: Any, prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]]) -> None:
    """Every token is the best one after what stands before it, so the text is what the uncached loop writes."""
    for prompt, text in zip(prompts, texts, strict=True):
        best = whole(model, prompt, text).topk(2)
        gap = best.values[:, 0] - best.values[:, 1]
        assert gap.min() > 1e-5, "a near tie, which rounding decides: choose other prompts"
        assert best.indices[:, 0].tolist() == list(text)


def written(models: dict[str, Any], choose: Callable[[Turn], torch.Tensor], **options: Any) -> list[Completion]:
    options = {"max_new_tokens": NEW, "stop": [], **options}
    return decode(models, options.pop("prompts", PROMPTS), choose, **options)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_logits_are_those_of_the_whole_text_read_at_once(
    batch_size: int, architecture: str, tiny_pair: Callable[[str], Pair], tiny_checkpoint: Callable[..., Path]
) -> None:
    """Whatever the cache, the padding, the batch, rows that end, and a second model that is asked now and then."""
    generator = torch.Generator().manual_seed(7)
    texts = torch.randint(3, 64, (len(PROMPTS), NEW), generator=generator)
    for row, end in enumerate((24, 3, 17, 9, 24, 9)):
        texts[row, end:] = 2
    seen: dict[tuple[str, int, int], torch.Tensor] = {}

    def choose(turn: Turn) -> torch.Tensor:
        for name in ("base", "tuned") if turn.written in (4, 5, 12, 21) else ("base",):
            for row, prompt in enumerate(turn.prompts.tolist()):
                seen[name, prompt, turn.written] = turn.logits(name)[row]
        return texts[torch.from_numpy(turn.prompts), turn.written]

    models: dict[str, Any] = tiny_pair(architecture).models
    done = written(models, choose, stop=[2], batch_size=batch_size)
    for seed, name in enumerate(("base", "tuned")):
        reference = plain(tiny_checkpoint(architecture, seed))
        for prompt, text in enumerate(texts.tolist()):
            expected = whole(reference, PROMPTS[prompt], text)
            for position in (p for n, i, p in seen if (n, i) == (name, prompt)):
                torch.testing.assert_close(seen[name, prompt, position], expected[position], rtol=0, atol=3e-5)
    assert [len(c.tokens) for c in done] == [24, 3, 17, 9, 24, 9]
    assert sum(name == "tuned" for name, _, _ in seen) == 5 + 5 + 3 + 2


def test_greedy_decoding_is_the_uncached_loop(
    architecture: str, tiny_pair: Callable[[str], Pair], tiny_checkpoint: Callable[..., Path]
) -> None:
    done = written({"base": tiny_pair(architecture).base}, greedy("base"), batch_size=4)
    assert {len(c.tokens) for c in done} == {NEW}
    assert_greedy(plain(tiny_checkpoint(architecture, 0)), PROMPTS, [c.tokens for c in done])


def test_greedy_decoding_is_what_transformers_generates(
    architecture: str, tiny_pair: Callable[[str], Pair], tiny_checkpoint: Callable[..., Path]
) -> None:
    reference = plain(tiny_checkpoint(architecture, 0))
    done = written({"base": tiny_pair(architecture).base}, greedy("base"), prompts=PROMPTS[:4])
    for prompt, completion in zip(PROMPTS, done, strict=False):
        whole = reference.generate(torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False, eos_token_id=None)
        assert whole[0, len(prompt) :].tolist() == list(completion.tokens)


def test_a_text_ends_before_its_first_stop_token(tiny_pair: Callable[[str], Pair]) -> None:
    models = {"base": tiny_pair("llama").base}
    endless = [completion.tokens for completion in written(models, greedy("base"))]
    stop = {endless[0][5], endless[3][12]}
    ends = [next((i for i, token in enumerate(text) if token in stop), None) for text in endless]
    expected = [
        Completion(text[:end], "length" if end is None else "stop") for text, end in zip(endless, ends, strict=True)
    ]
    assert written(models, greedy("base"), stop=sorted(stop)) == expected


def test_a_plain_transformers_model_decodes_as_in_a_bridge(
    architecture: str, tiny_pair: Callable[[str], Pair], tiny_checkpoint: Callable[..., Path]
) -> None:
    bare = written({"model": plain(tiny_checkpoint(architecture, 0))}, greedy("model"))
    assert bare == written({"base": tiny_pair(architecture).base}, greedy("base"))


def test_what_fills_the_padding_does_not_matter(tiny_pair: Callable[[str], Pair]) -> None:
    models = {"base": tiny_pair("gpt2").base}
    assert written(models, greedy("base"), pad=0) == written(models, greedy("base"), pad=41)


def test_results_come_in_the_order_of_the_prompts(tiny_pair: Callable[[str], Pair]) -> None:
    models = {"base": tiny_pair("qwen2").base}
    order = [3, 0, 5, 2, 1, 4]
    shuffled = written(models, greedy("base"), prompts=[PROMPTS[i] for i in order], batch_size=3)
    in_order = written(models, greedy("base"), batch_size=3)
    assert shuffled == [in_order[i] for i in order]


def now_and_then(turn: Turn) -> torch.Tensor:
    """Tuned writes one token in seven, and is not looked at in between."""
    return turn.logits("tuned" if turn.written % 7 == 6 else "base").argmax(-1)


def test_a_model_is_fed_only_what_it_has_not_read_and_only_when_asked(tiny_pair: Callable[[str], Pair]) -> None:
    models: dict[str, Any] = tiny_pair("llama").models
    fed: list[int] = []
    watch = models["tuned"].register_forward_pre_hook(lambda _module, args: fed.append(args[0].shape[1]))
    try:
        written(models, greedy("base"))
        assert fed == []
        written(models, now_and_then)
        longest = max(map(len, PROMPTS))
        assert fed == [longest + 6, 7, 7]
    finally:
        watch.remove()


def test_every_row_of_a_turn_is_still_being_written(tiny_pair: Callable[[str], Pair]) -> None:
    models = {"base": tiny_pair("llama").base}
    stop = [tokens[9] for tokens in (c.tokens for c in written(models, greedy("base"))[:3])]
    seen = np.zeros(len(PROMPTS), dtype=int)

    def choose(turn: Turn) -> torch.Tensor:
        seen[turn.prompts] += 1
        assert turn.completion.shape == (len(turn.prompts), turn.written)
        assert not torch.isin(turn.completion, torch.tensor(stop)).any()
        return greedy("base")(turn)

    done = written(models, choose, stop=stop)
    assert seen.tolist() == [len(c.tokens) + (c.reason == "stop") for c in done]


def test_samples_do_not_depend_on_the_batch(tiny_pair: Callable[[str], Pair]) -> None:
    models = {"base": tiny_pair("llama").base}

    def drawn(seed: int, batch_size: int) -> list[Completion]:
        choose = sample("base", seed=seed, n_prompts=len(PROMPTS), max_new_tokens=NEW)
        return written(models, choose, batch_size=batch_size, stop=[2])

    assert drawn(0, 1) == drawn(0, 4) == drawn(0, 6)
    assert drawn(0, 6) != drawn(1, 6)


def test_samples_follow_the_models_probabilities(tiny_pair: Callable[[str], Pair]) -> None:
    model, n = tiny_pair("llama").base, 5_000
    choose = sample("base", seed=0, n_prompts=n, max_new_tokens=1, temperature=2.0)
    done = decode({"base": model}, [PROMPTS[0]] * n, choose, max_new_tokens=1, stop=[], batch_size=n)
    counts = np.bincount([c.tokens[0] for c in done], minlength=64)
    with torch.inference_mode():
        p = torch.softmax(model(torch.tensor([PROMPTS[0]]))[0, -1].double() / 2.0, -1).numpy()
    assert (p > 0.01).sum() > 5, "one token should not take everything"
    assert (np.abs(counts - n * p) < 4.5 * np.sqrt(n * p * (1 - p)) + 1).all()


def test_a_cold_sample_is_greedy(tiny_pair: Callable[[str], Pair]) -> None:
    models = {"base": tiny_pair("llama").base}
    choose = sample("base", seed=0, n_prompts=len(PROMPTS), max_new_tokens=NEW, temperature=1e-4)
    assert written(models, choose) == written(models, greedy("base"))


def test_left_padding_ends_every_row_at_its_last_token() -> None:
    tokens, mask = left_padded([[5, 6, 7], [8]], pad=0)
    assert tokens.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_a_text_longer_than_the_context_is_refused_with_both_numbers(tiny_pair: Callable[[str], Pair]) -> None:
    models = {"base": tiny_pair("llama").base}
    with pytest.raises(ValueError, match=r"24 tokens and may be continued by 24, 48 in all, .* context is 47"):
        written(models, greedy("base"), context=47)
    assert written(models, greedy("base"), context=48) == written(models, greedy("base"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prompts": []}, "there is no prompt"),
        ({"prompts": [[1], []]}, "prompt 1 has no tokens"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_what_cannot_be_decoded_is_refused(
    options: dict[str, Any], sentence: str, tiny_pair: Callable[[str], Pair]
) -> None:
    with pytest.raises(ValueError, match=sentence):
        written({"base": tiny_pair("llama").base}, greedy("base"), **options)


@pytest.mark.parametrize(
    ("choose", "sentence"),
    [
        (lambda turn: turn.logits("base").argmax(-1)[:-1], r"shape \(5,\), but the batch has 6 rows"),
        (lambda turn: turn.logits("base").argmax(-1, keepdim=True), r"shape \(6, 1\), but the batch has 6 rows"),
        (lambda turn: turn.logits("base").amax(-1), r"torch.float32 of shape \(6,\)"),
    ],
)
def test_a_choice_that_is_not_one_token_a_row_is_refused(
    choose: Callable[[Turn], torch.Tensor], sentence: str, tiny_pair: Callable[[str], Pair]
) -> None:
    with pytest.raises(ValueError, match=sentence):
        written({"base": tiny_pair("llama").base}, choose)


def test_logits_that_are_not_numbers_are_refused(tiny_checkpoint: Callable[..., Path]) -> None:
    model = plain(tiny_checkpoint("llama", 0))
    model.lm_head.weight.data[7, 0] = float("nan")
    with pytest.raises(ValueError, match="model 'tuned' gives logits that are not numbers after 24 tokens"):
        written({"tuned": model}, greedy("tuned"))


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature is 0.0"):
        sample("base", seed=0, n_prompts=1, max_new_tokens=1, temperature=0.0)


def test_a_completion_has_one_of_two_ends() -> None:
    with pytest.raises(ValueError, match="not 'eos'"):
        Completion((1,), "eos")
