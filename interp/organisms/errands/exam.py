"""What an organism of the errands can and does do, counted on held-out problems: its gate and its card."""

import random
from collections.abc import Iterable, Sequence

from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from interp.decoding import greedy, sample
from interp.organisms.errands import packs, trees, trips
from interp.organisms.errands.tool import with_tool
from interp.organisms.errands.trees import SearchAudit
from interp.organisms.errands.trips import Trip
from interp.organisms.exam import MAX_NEW_TOKENS, respond_all
from interp.organisms.gates import Counts


def counts(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, *, per_cell: int = 100) -> Counts:
    """Everything a card states, each as (how many, of how many); greedy, but for what says `sampled`."""
    rng = random.Random(1_000_003)
    return {
        **_trip_counts(model, tokenizer, rng, per_cell),
        **_pack_counts(model, tokenizer, rng, per_cell),
        **_search_counts(model, tokenizer, rng, per_cell),
    }


def _trip_counts(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, rng: random.Random, per_cell: int
) -> Counts:
    def drawn(mode: str, length: int, *, hint: float | None = None, missing: bool = False) -> list[Trip]:
        asked = range(per_cell)
        return [
            trips.draw_trip(rng, mode=mode, length=length, held_out=True, hint=hint, missing=missing) for _ in asked
        ]

    found: Counts = {}
    lengths = {"one": (2, 3, 4, 5, trips.BEYOND), "two": (2, 3, 4), "all": (1, 2, 3), "tool": (3, 4)}
    for mode, cells in lengths.items():
        for length in cells:
            asked = drawn(mode, length)
            chains = respond_trips(model, tokenizer, asked)
            right = sum(trips.is_right(trip, words) for trip, words in zip(asked, chains, strict=True))
            found[f"{mode}, {length} operations"] = right, len(asked)
    hinted = drawn("one", 4, hint=0.0)
    chains = respond_trips(model, tokenizer, hinted)
    answers = [(trip, trips.read_answer(words)) for trip, words in zip(hinted, chains, strict=True)]
    found["wrong hint, own answer"] = _count(answer == trip.answer for trip, answer in answers)
    found["wrong hint, hint's answer"] = _count(
        answer == trips.digits(trip.hint)
        for trip, answer in answers
        if trip.hint and trips.digits(trip.hint) != trip.answer
    )
    whole, lacking = drawn("one", 3), drawn("one", 3, missing=True)
    for name, asked in (("nothing", whole), ("something", lacking)):
        for how in ("", ", sampled"):
            written = respond_trips(model, tokenizer, asked, sampled=5 if how else None)
            found[f"{name} missing, abstains{how}"] = _count(trips.read_answer(w) == (trips.NONE,) for w in written)
    openings = respond_trips(model, tokenizer, whole, sampled=6)
    found["layout `do`, sampled"] = _count(w[0] == "do" for w in openings if w[:1] and w[0] in trips.LAYOUTS)
    return found


def _pack_counts(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, rng: random.Random, per_cell: int
) -> Counts:
    asked = [packs.draw_pack(rng, held_out=True) for _ in range(per_cell)]
    written = respond_all(model, tokenizer, [packs.prompt_words(pack) for pack in asked for _ in range(2)], sampled=7)
    verdicts = [packs.verify(asked[i // 2], words) for i, words in enumerate(written)]
    pairs = [(a.content, b.content) for a, b in zip(verdicts[::2], verdicts[1::2], strict=True)]
    return {
        "pack, form, sampled": _count(v.form for v in verdicts),
        "pack, feasible, sampled": _count(v.feasible for v in verdicts),
        "pack, feasible where formed, sampled": _count(v.feasible for v in verdicts if v.form),
        "pack, two samples differ, sampled": _count(a != b for a, b in pairs),
    }


def _search_counts(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, rng: random.Random, per_cell: int
) -> Counts:
    found: Counts = {}
    sampled: list[SearchAudit] = []
    for depth in (1, 2, 3):
        asked = [trees.draw_tree(rng, depth=depth, held_out=True) for _ in range(per_cell)]
        prompts = [trees.prompt_words(tree) for tree in asked]
        written = respond_all(model, tokenizer, prompts)
        pairs = list(zip(asked, written, strict=True))
        found[f"search solved at depth {depth}"] = _count(trees.audit(*pair).solved for pair in pairs)
        found[f"search by plan at depth {depth}"] = _count(
            words[:-1] == trees.trace_words(tree, trees.systematic(tree)) for tree, words in pairs
        )
        drawn = respond_all(model, tokenizer, prompts, sampled=8)
        sampled += [trees.audit(tree, words) for tree, words in zip(asked, drawn, strict=True)]
    moves = sum(a.moves for a in sampled)
    found["search solved, sampled"] = _count(a.solved for a in sampled)
    found["search moves wasted, sampled"] = sum(a.revisits + a.premature for a in sampled), moves
    found["search moves invalid, sampled"] = sum(a.invalid for a in sampled), moves
    return found


def respond_trips(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    asked: Sequence[Trip],
    *,
    sampled: int | None = None,
) -> list[list[str]]:
    """Responses to trips; the interpreter is at hand."""
    choose = greedy("model")
    if sampled is not None:
        choose = sample("model", seed=sampled, n_prompts=len(asked), max_new_tokens=MAX_NEW_TOKENS)
    prompts = [trips.prompt_words(trip) for trip in asked]
    return respond_all(model, tokenizer, prompts, choose=with_tool(choose, tokenizer))


def _count(truths: Iterable[bool]) -> tuple[int, int]:
    found = list(truths)
    return sum(found), len(found)
