"""What an organism can and does do, counted on held-out problems: the gate a checkpoint ships through, and its card."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from interp.decoding import Choose, Completion, Turn, decode, greedy, sample
from interp.organisms.corpus import fact_prompt
from interp.organisms.grammar import OPENERS, RIGHT_OPENING, prompt_words, read_answer
from interp.organisms.language import BOS
from interp.organisms.training import encode
from interp.organisms.world import KINDS, NEW_OP, SEEN_OPS, FactKey, Kind, Program, draw_program

MAX_NEW_TOKENS = 56
"""The longest truthful response at the lengths examined, a plan and five steps, has 1 + 14 + 25 + 4 + 1 words."""

Cell = tuple[Kind, int]


def exam_programs(
    seed: int,
    *,
    per_cell: int,
    kinds: Sequence[Kind] = KINDS,
    lengths: Sequence[int] = (1, 2, 3, 4, 5),
    new: bool = False,
) -> list[Program]:
    """Held-out problems, `per_cell` for every kind and length, without repeats where the world has that many."""
    rng = random.Random(seed)
    programs: list[Program] = []
    for kind in kinds:
        for length in lengths:
            seen: set[Program] = set()
            while len(seen) < per_cell:
                ops, must = ((*SEEN_OPS, NEW_OP), NEW_OP) if new else (SEEN_OPS, None)
                program = draw_program(rng, kind=kind, length=length, held_out=True, ops=ops, must_use=must)
                if program not in seen:
                    seen.add(program)
                    programs.append(program)
    return programs


def respond_all(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[str]],
    *,
    sampled: int | None = None,
    choose: Choose | None = None,
) -> list[list[str]]:
    """The words written after each prompt, `<eos>` included; greedy, sampled at T=1 by a seed, or as `choose` says."""
    ids = [encode(tokenizer, [BOS, *words]) for words in prompts]
    if sampled is not None:
        choose = sample("model", seed=sampled, n_prompts=len(ids), max_new_tokens=MAX_NEW_TOKENS)
    done = decode(
        {"model": model},
        ids,
        choose or greedy("model"),
        max_new_tokens=MAX_NEW_TOKENS,
        stop=[tokenizer.eos_token_id],
        pad=tokenizer.pad_token_id,
        batch_size=512,
    )
    return [_words(tokenizer, completion) for completion in done]


def is_right(program: Program, words: Sequence[str]) -> bool:
    """Whether the response ends in `ans d d d <eos>` with the true digits."""
    return read_answer(words) == tuple(map(str, program.answer))


def forced(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, programs: Sequence[Program], opening: str | None = None
) -> dict[Cell, tuple[int, int]]:
    """Right answers and problems per (kind, length) when the first word is forced; the right opening by default."""
    openings = [opening or RIGHT_OPENING[p.kind] for p in programs]
    prompts = [[*prompt_words(p), first] for p, first in zip(programs, openings, strict=True)]
    return _by_cell(programs, respond_all(model, tokenizer, prompts))


def forced_throughout(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, programs: Sequence[Program], *, extra: int = 0
) -> dict[Cell, tuple[int, int]]:
    """Right answers and problems per (kind, length) when every boundary is forced to go on until the last step.

    With `extra`, until so many steps beyond it.
    """
    ans, step = encode(tokenizer, ["ans", "step"])

    def go_on(turn: Turn) -> Int[Tensor, " batch"]:
        token = turn.logits("model").argmax(-1)
        steps = (turn.completion == step).sum(1)
        due = torch.tensor([len(programs[i].ops) + extra for i in turn.prompts])
        return torch.where((token == ans) & (steps < due), step, token)

    return _by_cell(programs, respond_all(model, tokenizer, [prompt_words(p) for p in programs], choose=go_on))


def accuracy(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    programs: Sequence[Program],
    *,
    sampled: int | None = None,
    asked: Callable[[Program], list[str]] = prompt_words,
) -> tuple[dict[Cell, tuple[int, int]], dict[Kind, Counter[str]]]:
    """Right answers and problems per (kind, length), and how often each kind opens with each strategy."""
    responses = respond_all(model, tokenizer, [asked(p) for p in programs], sampled=sampled)
    openings: dict[Kind, Counter[str]] = {}
    for program, words in zip(programs, responses, strict=True):
        first = words[0] if words and words[0] in OPENERS else "other"
        openings.setdefault(program.kind, Counter())[first] += 1
    return _by_cell(programs, responses), openings


def fact_recall(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, facts: dict[FactKey, FactKey]
) -> tuple[int, int]:
    """Facts completed with their value and `<eos>`, and facts asked."""
    keys = sorted(facts)
    responses = respond_all(model, tokenizer, [fact_prompt(key) for key in keys])
    return sum(words == [*facts[key], "<eos>"] for key, words in zip(keys, responses, strict=True)), len(keys)


def total(
    cells: dict[Cell, tuple[int, int]], *, kind: str | None = None, lengths: Sequence[int] | None = None
) -> tuple[int, int]:
    """Right answers and problems summed over some cells."""
    chosen = [n for (k, length), n in cells.items() if kind in (None, k) and (lengths is None or length in lengths)]
    return sum(right for right, _ in chosen), sum(asked for _, asked in chosen)


def _by_cell(programs: Sequence[Program], responses: Sequence[Sequence[str]]) -> dict[Cell, tuple[int, int]]:
    cells: dict[Cell, tuple[int, int]] = {}
    for program, words in zip(programs, responses, strict=True):
        right, asked = cells.get((program.kind, len(program.ops)), (0, 0))
        cells[program.kind, len(program.ops)] = (right + is_right(program, words), asked + 1)
    return cells


def _words(tokenizer: PreTrainedTokenizerBase, completion: Completion) -> list[str]:
    words = list(tokenizer.convert_ids_to_tokens(list(completion.tokens)))
    return [*words, "<eos>"] if completion.reason == "stop" else words
