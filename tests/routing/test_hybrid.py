from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from interp.decoding import Completion, decode, greedy
from interp.pair import Pair
from interp.routing.blocks import write_in_blocks
from interp.routing.hybrid import Hybrid, write_each, write_together
from interp.routing.routers import always, at_random, every_disagreement, first, never
from interp.routing.step import Router, Step

NEW = 24
PROMPTS = [
    [1, *torch.randint(3, 64, (length,), generator=torch.Generator().manual_seed(100 + length)).tolist()]
    for length in (9, 2, 0, 23, 5, 14)  # Gemma 2's window in these tests is 16
]


MANY = [[1, *((7 * i + 3 * j) % 60 + 4 for j in range(i % 20))] for i in range(32)]
"""As many rows as a batch holds, of 1 to 20 tokens."""


def write(pair: Pair, router: Router, *, batch_size: int = 256, prompts: list[list[int]] = PROMPTS) -> list[Hybrid]:
    return write_together(pair, prompts, router, max_new_tokens=NEW, batch_size=batch_size)


def alone(pair: Pair, name: str) -> list[Completion]:
    return decode(pair.models, PROMPTS, greedy(name), max_new_tokens=NEW, stop=pair.stop_ids)


def base_writes_low_numbers(step: Step) -> torch.Tensor:
    """A router that reads base alone and routes about half of the positions."""
    return step.base_token % 2 == 1


@contextmanager
def feeding(model: Any) -> Iterator[list[int]]:
    """The widths of the chunks that a model is fed."""
    fed: list[int] = []
    watch = model.register_forward_pre_hook(lambda _module, args: fed.append(args[0].shape[1]))
    try:
        yield fed
    finally:
        watch.remove()


@torch.inference_mode()
def audited(models: dict[str, Any], prompt: list[int], hybrid: Hybrid, gates: list[bool], stop: int) -> Hybrid:
    """The oracle: what each model would write at every position, from the whole text read at once, and the account.

    The text that comes out is what a loop without cache, padding or batch writes: each token is chosen after the
    tokens before it, which are the same.
    """
    text = [*hybrid.completion.tokens, *[stop] * (hybrid.completion.reason == "stop")]
    best = {}
    for name, model in models.items():
        logits = model(torch.tensor([[*prompt, *text]])).logits[0, len(prompt) - 1 : -1]
        values, best[name] = logits.topk(2)
        assert (values[:, 0] - values[:, 1]).min() > 1e-5, "a near tie, which rounding decides: choose other prompts"
    gate, base, tuned = torch.tensor(gates), best["base"][:, 0], best["tuned"][:, 0]
    expected = torch.where(gate, tuned, base).tolist()
    ends = expected.index(stop) if stop in expected else NEW
    completion = Completion(tuple(expected[:ends]), "stop" if stop in expected else "length")
    return Hybrid(completion, len(expected), int(gate.sum()), int((gate & (base != tuned)).sum()))


def test_never_is_base_always_and_every_disagreement_are_tuned_in_32_padded_rows_alone_and_in_blocks(
    architecture: str, tiny_pair: Callable[[str], Pair]
) -> None:
    pair, new = tiny_pair(architecture), 4
    options: dict[str, Any] = {"max_new_tokens": new, "stop": pair.stop_ids}
    alone = {name: decode({name: model}, MANY, greedy(name), **options) for name, model in pair.models.items()}
    assert alone["base"] != alone["tuned"]
    routers = {"never": never, "always": always, "every disagreement": every_disagreement, "mixed": at_random(0.3)}
    found = {
        name: write_together(pair, MANY, router, max_new_tokens=new, batch_size=32) for name, router in routers.items()
    }
    for name, router in routers.items():
        whole = found[name]
        assert not any(text.near_ties for text in whole), "rounding decides: choose other prompts"
        assert write_in_blocks(pair, MANY, router, max_new_tokens=new, block=3, batch_size=32) == whole
        assert write_together(pair, MANY[:4], router, max_new_tokens=new, batch_size=1) == whole[:4]
    assert [text.completion for text in found["never"]] == alone["base"]
    assert [text.completion for text in found["always"]] == alone["tuned"]
    assert [text.completion for text in found["every disagreement"]] == alone["tuned"]
    assert all(text.routed == text.changed == 0 for text in found["never"])
    assert all(text.routed == text.written for text in found["always"])
    assert all(text.routed == text.changed for text in found["every disagreement"])
    assert [text.changed for text in found["every disagreement"]] == [text.changed for text in found["always"]]


def test_a_row_is_written_as_if_it_were_alone(tiny_pair: Callable[[str], Pair]) -> None:
    """In a batch of 1, of 5 and of 32 with padding, in another order, and beside other rows."""
    pair = tiny_pair("qwen3")
    many = [[1, *((7 * i + 3 * j) % 60 + 4 for j in range(i % 9))] for i in range(32)]
    whole = write_together(pair, many, base_writes_low_numbers, max_new_tokens=5, batch_size=32)
    assert write_together(pair, many, base_writes_low_numbers, max_new_tokens=5, batch_size=5) == whole
    for i in (0, 7, 31):
        assert write_together(pair, [many[i]], base_writes_low_numbers, max_new_tokens=5) == [whole[i]]
    assert write_together(pair, many[::-3], base_writes_low_numbers, max_new_tokens=5) == whole[::-3]


def test_a_text_that_does_not_end_is_cut_and_says_so(planted: Callable[[str, str], Pair]) -> None:
    """Tuned would come to an end after nine tokens; the limit is reached before, and the account has that many."""
    pair = planted("hasty", "careful")
    for limit, reason, written in ((5, "length", 5), (40, "stop", 8)):
        (text,) = write_together(pair, [pair.encode("run R : 1 2 :")], always, max_new_tokens=limit)
        assert (text.completion.reason, text.written) == (reason, written)


def test_near_ties_are_told(tiny_pair: Callable[[str], Pair], planted: Callable[[str, str], Pair]) -> None:
    """After a word that the planted table does not have, every logit is the same; elsewhere one leads by far."""
    pair = planted("hasty", "careful")
    tied, clear = write_together(pair, [pair.encode("R run"), pair.encode("run R : 1 2 :")], never, max_new_tokens=1)
    assert tied.near_ties == (0,) and clear.near_ties == ()
    assert all(text.near_ties == () for text in write(tiny_pair("llama"), every_disagreement))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_hybrid_is_the_uncached_loop(
    batch_size: int, architecture: str, tiny_pair: Callable[[str], Pair], tiny_checkpoint: Callable[..., Path]
) -> None:
    """With rows that end at different times, padding, and tuned asked only at some steps."""
    models = {
        name: AutoModelForCausalLM.from_pretrained(tiny_checkpoint(architecture, seed), attn_implementation="eager")
        for seed, name in enumerate(("base", "tuned"))
    }
    pair, router = replace(tiny_pair(architecture), stop_ids=()), at_random(0.3, seed=3)
    texts = [hybrid.completion.tokens for hybrid in write(pair, router)]
    stop = max(range(64), key=lambda token: len({text.index(token) for text in texts if token in text}))
    gates: list[list[bool]] = [[] for _ in PROMPTS]

    def recorded(step: Step) -> torch.Tensor:
        gate = router(step)
        for prompt, routed in zip(step.prompts.tolist(), gate.tolist(), strict=True):
            gates[prompt].append(routed)
        return gate

    hybrids = write(replace(pair, stop_ids=(stop,)), recorded, batch_size=batch_size)
    assert hybrids == [audited(models, *row, stop) for row in zip(PROMPTS, hybrids, gates, strict=True)]
    assert len({hybrid.written for hybrid in hybrids}) > 1, "rows should end at different times"
    assert any(0 < hybrid.changed < hybrid.written for hybrid in hybrids)


def test_feeding_tuned_late_changes_nothing(architecture: str, tiny_pair: Callable[[str], Pair]) -> None:
    pair, late = tiny_pair(architecture), at_random(0.05, seed=1)

    def lockstep(step: Step) -> torch.Tensor:
        assert step.tuned_logits.shape == step.base_logits.shape
        return late(step)

    with feeding(pair.tuned) as fed:
        in_chunks = write(pair, late)
    assert 0 < len(fed) < NEW and max(fed[1:], default=2) > 1, "tuned should be fed now and then, in chunks"
    assert in_chunks == write(pair, lockstep)


def test_a_model_that_is_never_asked_is_never_fed(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("llama")
    with feeding(pair.tuned) as fed:
        write(pair, at_random(0.0))
        write(pair, lambda step: step.base_logits.amax(-1) > 1e9)
        assert fed == []
        write(pair, first(2))
        assert fed == [max(map(len, PROMPTS)), 1]


def test_first_k_routes_k_tokens_of_each_text(tiny_pair: Callable[[str], Pair]) -> None:
    hybrids = write(tiny_pair("llama"), first(3))
    assert [hybrid.routed for hybrid in hybrids] == [min(3, hybrid.written) for hybrid in hybrids]


def test_the_order_of_the_prompts_does_not_matter(tiny_pair: Callable[[str], Pair]) -> None:
    pair, order = tiny_pair("qwen2"), [3, 0, 5, 2, 1, 4]
    shuffled = write(pair, base_writes_low_numbers, prompts=[PROMPTS[i] for i in order], batch_size=4)
    in_order = write(pair, base_writes_low_numbers, batch_size=4)
    assert shuffled == [in_order[i] for i in order]


def test_random_positions_do_not_depend_on_the_batch(tiny_pair: Callable[[str], Pair]) -> None:
    pair = tiny_pair("qwen2")
    whole = write(pair, at_random(0.3))
    assert whole == write(pair, at_random(0.3), batch_size=4)
    assert whole != write(pair, at_random(0.3, draw=1))
    assert whole != write(pair, at_random(0.3, seed=1))


def test_a_pair_of_the_same_model_changes_nothing(pair_of_same: Callable[[str], Pair]) -> None:
    pair = pair_of_same("llama")
    for router in (always, every_disagreement, at_random(0.5)):
        hybrids = write(pair, router)
        assert [hybrid.completion for hybrid in hybrids] == alone(pair, "base")
        assert all(hybrid.changed == 0 for hybrid in hybrids)
    assert all(hybrid.routed == 0 for hybrid in write(pair, every_disagreement))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (torch.ones(5, dtype=torch.bool), r"bool of shape \(5,\); a step of 6 rows needs torch.bool of shape \(6,\)"),
        (torch.ones(6, 1, dtype=torch.bool), r"torch.bool of shape \(6, 1\)"),
        (torch.tensor(True), r"torch.bool of shape \(\)"),
        (torch.ones(6), r"torch.float32 of shape \(6,\)"),
        (torch.full((6,), float("nan")), r"torch.float32 of shape \(6,\)"),
        (torch.ones(6, dtype=torch.long), r"torch.int64 of shape \(6,\)"),
        (True, "the router returned bool; a step of 6 rows needs 6 booleans"),
        (None, "the router returned NoneType"),
    ],
)
def test_a_router_that_does_not_answer_for_every_row_is_refused(
    answer: Any, sentence: str, tiny_pair: Callable[[str], Pair]
) -> None:
    with pytest.raises(ValueError, match=sentence):
        write(tiny_pair("llama"), lambda _step: answer)


def test_a_text_longer_than_the_context_is_refused(tiny_pair: Callable[[str], Pair]) -> None:
    with pytest.raises(ValueError, match=r"24 tokens and may be continued by 240, 264 in all, .* context is 256"):
        write_together(tiny_pair("llama"), PROMPTS, never, max_new_tokens=240)


def test_an_account_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(ValueError, match="changed 2, routed 1 and written 3"):
        Hybrid(Completion((5, 6, 7), "length"), written=3, routed=1, changed=2)


def test_routers_side_by_side_write_what_each_writes_alone(tiny_pair: Callable[[str], Pair]) -> None:
    """Random routers too, which draw by the number of the problem; and a wrong answer of one is refused by name."""
    pair = tiny_pair("llama")
    routers = [never, always, at_random(0.4, seed=1), every_disagreement, at_random(0.4, seed=1, draw=1)]
    alone = [write_together(pair, PROMPTS, router, max_new_tokens=8) for router in routers]
    for batch_size in (len(PROMPTS), 2 * len(PROMPTS), 256):
        assert write_each(pair, PROMPTS, routers, max_new_tokens=8, batch_size=batch_size) == alone
    assert alone[2] != alone[4], "two draws"
    with pytest.raises(ValueError, match="the router returned bool; a step of"):
        write_each(pair, PROMPTS, [never, lambda _: True], max_new_tokens=2)  # type: ignore[arg-type,return-value]
