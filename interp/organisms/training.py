"""Supervised training of an organism: pretraining on packed documents, tuning on responses only.

Schedules count steps, never seconds, and every random choice hangs on one seed, so a run can be repeated.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from tqdm.auto import tqdm
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from interp.organisms.corpus import Document
from interp.organisms.language import BOS

IGNORED = -100
Rows = tuple[Int[Tensor, "batch pos"], Int[Tensor, "batch pos"]]


def pretrain(
    model: LlamaForCausalLM,
    documents: Iterator[Document],
    tokenizer: PreTrainedTokenizerBase,
    *,
    steps: int,
    lr: float,
    flat_until: float = 0.5,
) -> None:
    """Next-token training on packed rows: 12 rows of 128 a step, warmed up, flat, then linear to 3%.

    Weight decay of 0.05 falls on matrices only; gradients are clipped to norm 1.
    """
    train(
        model,
        packed_rows(documents, tokenizer, rows=12, length=128),
        steps=steps,
        lr=lr,
        schedule=lambda step: warm_flat_linear(step, steps, warmup=50, flat_until=flat_until),
        name="pretrain",
    )


def tune(
    model: LlamaForCausalLM,
    documents: Iterator[Document],
    tokenizer: PreTrainedTokenizerBase,
    *,
    steps: int,
    lr: float,
) -> None:
    """Supervised tuning with the loss on responses only: 64 documents a step, warmed up, then linear to 3%."""
    train(
        model,
        padded_rows(documents, tokenizer, rows=64),
        steps=steps,
        lr=lr,
        schedule=lambda step: warm_flat_linear(step, steps, warmup=5, flat_until=0.3),
        name="tune",
    )


def train(
    model: LlamaForCausalLM,
    batches: Iterator[Rows],
    *,
    steps: int,
    lr: float,
    schedule: Callable[[int], float],
    name: str,
) -> None:
    """Adam steps on (input, target) rows over the parameters that require a gradient."""
    optimizer = adam(model, lr=lr)
    model.train()
    for step, (inputs, targets) in enumerate(
        tqdm(itertools.islice(batches, steps), total=steps, desc=name, disable=None)
    ):
        loss = next_token_loss(model(inputs).logits, targets)
        optimizer_step(optimizer, model, loss, lr=lr * schedule(step))
    model.eval()


def next_token_loss(logits: Float[Tensor, "batch pos d_vocab"], targets: Int[Tensor, "batch pos"]) -> Float[Tensor, ""]:
    """Mean cross entropy in nats over targets that are not ignored; `targets[:, i]` follows position i."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def adam(model: LlamaForCausalLM, *, lr: float, betas: tuple[float, float] = (0.9, 0.98)) -> torch.optim.AdamW:
    """AdamW with decay on matrices only."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.dim() >= 2], "weight_decay": 0.05},
            {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=lr,
        betas=betas,
    )


def optimizer_step(optimizer: torch.optim.Optimizer, model: LlamaForCausalLM, loss: Tensor, *, lr: float) -> None:
    """One clipped step at the given rate."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()


def warm_flat_linear(step: int, steps: int, *, warmup: int, flat_until: float, floor: float = 0.03) -> float:
    """Share of the full rate at one step."""
    warm = min(1.0, (step + 1) / warmup)
    left = (steps - step) / max(1.0, steps * (1 - flat_until))
    return warm * min(1.0, floor + (1 - floor) * min(1.0, left))


def packed_rows(
    documents: Iterator[Document], tokenizer: PreTrainedTokenizerBase, *, rows: int, length: int
) -> Iterator[Rows]:
    """Documents end to end, each behind its own begin token, cut into rows of one length."""
    ids: list[int] = []
    need = rows * length + 1
    for prompt, response in documents:
        ids += encode(tokenizer, [BOS, *prompt, *response])
        while len(ids) >= need:
            block = torch.tensor(ids[:need])
            yield block[:-1].view(rows, length), block[1:].view(rows, length)
            ids = ids[need - 1 :]


def padded_rows(documents: Iterator[Document], tokenizer: PreTrainedTokenizerBase, *, rows: int) -> Iterator[Rows]:
    """One document a row, padded on the right, targets on the response only."""
    while True:
        batch = list(itertools.islice(documents, rows))
        width = max(len(p) + len(r) for p, r in batch)
        inputs = torch.full((rows, width), tokenizer.pad_token_id)
        targets = torch.full((rows, width), IGNORED)
        for row, (prompt, response) in enumerate(batch):
            ids = torch.tensor(encode(tokenizer, [BOS, *prompt, *response]))
            inputs[row, : len(ids) - 1] = ids[:-1]
            targets[row, len(prompt) : len(ids) - 1] = ids[len(prompt) + 1 :]
        yield inputs, targets


def encode(tokenizer: PreTrainedTokenizerBase, words: list[str]) -> list[int]:
    """Ids of words that are all in the vocabulary."""
    return list(tokenizer.convert_tokens_to_ids(words))


@contextlib.contextmanager
def adapters_train(model: LlamaForCausalLM, *, rank: int) -> Iterator[None]:
    """Within the `with`, every matrix W of the blocks is W + B A with B A of the given rank, and only A and B train.

    B starts at 0, A as a linear layer does (Hu et al. 2022, arXiv 2106.09685, with alpha = rank). Afterwards B A has
    been added to W.
    """
    linears = [module for module in model.model.layers.modules() if isinstance(module, nn.Linear)]
    model.requires_grad_(False)
    for linear in linears:
        parametrize.register_parametrization(linear, "weight", _LowRank(linear, rank))
    try:
        yield
    finally:
        for linear in linears:
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)
        model.requires_grad_(True)


class _LowRank(nn.Module):
    """W -> W + B A."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)
        self.b = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, weight: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
        return weight + self.b @ self.a


@contextlib.contextmanager
def only_blocks_train(model: LlamaForCausalLM, blocks: tuple[int, ...]) -> Iterator[None]:
    """Within the `with`, the parameters of the named blocks train and no others."""
    chosen = {id(p) for block in blocks for p in model.model.layers[block].parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    try:
        yield
    finally:
        for parameter in model.parameters():
            parameter.requires_grad_(True)
