"""One model that reads a growing text into its key-value cache: fed when it is asked, and only what it has not read."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


@dataclass
class Reader:
    """One model, its cache over the text, and how many columns of the text it has read; all rows end together."""

    name: str
    model: nn.Module
    device: torch.device
    cache: DynamicCache
    takes: frozenset[str]
    read: int = 0
    last: Float[Tensor, "batch d_vocab"] | None = None
    watched: dict[str, Tensor | None] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, model: Any, *, movable: bool = False) -> "Reader":
        """A reader that has read nothing; `movable` keeps all that it reads, so that `realign` can move rows."""
        plain = getattr(model, "original_model", model)
        takes = set(inspect.signature(plain.forward).parameters)
        if plain is not model:
            takes -= {"position_ids"}  # a bridge derives them from the mask, each architecture in its own way
        cache = DynamicCache(config=plain.config)
        for layer in cache.layers:
            if movable and type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer):
                raise ValueError(
                    f"model {name!r} keeps a {type(layer).__name__}, whose rows cannot be moved; "
                    "write with it token by token"
                )
            if layer.is_sliding:
                layer.activate_past_recording()  # else a token that left the window cannot come back in `take_back`
        if movable:  # the mask still hides what lies outside of a window
            cache = DynamicCache()
        return cls(name, model, device_of(model), cache, frozenset(takes))

    def logits(
        self, tokens: Int[Tensor, "batch pos"], mask: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch d_vocab"]:
        """Next-token logits after all of `tokens`, of which only what is new is fed."""
        if self.last is None or self.read < tokens.shape[1]:
            self.last = self._fed(tokens, mask, 1)[:, 0]
        return self.last

    def block(
        self, tokens: Int[Tensor, "batch pos"], mask: Int[Tensor, "batch pos"], n: int
    ) -> Float[Tensor, "batch {n} d_vocab"]:
        """Next-token logits after each of the last `n` of `tokens`, none of which may have been read before."""
        if self.read > tokens.shape[1] - n:
            raise ValueError(
                f"model {self.name!r} has read {self.read} of {tokens.shape[1]} columns, so the last {n} are not new"
            )
        logits = self._fed(tokens, mask, n)
        self.last = logits[:, -1]
        return logits

    def state(
        self, tokens: Int[Tensor, "batch pos"], mask: Int[Tensor, "batch pos"], hook: str
    ) -> Float[Tensor, "batch d_model"]:
        """The activation at a hook, at the last position, in fp32; free from its second use on."""
        self.logits(tokens, mask)
        if self.watched.get(hook) is None:
            self.watched[hook] = None
            self.take_back(1)
            self.logits(tokens, mask)
        state = self.watched[hook]
        if state is None:
            raise ValueError(
                f"hook {hook!r} never fired in model {self.name!r}; it does not lie on the way to the logits"
            )
        return state

    def steered(
        self,
        tokens: Int[Tensor, "batch pos"],
        mask: Int[Tensor, "batch pos"],
        hook: str,
        added: Float[Tensor, "batch d_model"],
    ) -> Float[Tensor, "batch d_vocab"]:
        """The logits with `added` on top of the last position's activation at `hook`; rows of zeros keep theirs.

        The last token is read again, and what is cached above the hook comes of the sum from here on.
        """
        before = self.logits(tokens, mask)
        self.take_back(1)
        after = self._fed(tokens, mask, 1, added={hook: added.to(self.device)})[:, 0]
        self.last = torch.where(added.any(-1)[:, None].to(before.device), after, before)
        return self.last

    def take_back(self, n: int) -> None:
        """Forget the last `n` tokens of every row, which are those fed last."""
        self.cache.crop(-n)
        self.read, self.last = self.read - n, None

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Forget every row but these."""
        if self.read:
            for layer in self.cache.layers:  # each where its block computes
                layer.batch_select_indices(rows.to(layer.keys.device))
        self.last = None

    def realign(self, rows: Int[Tensor, " kept"], back: Int[Tensor, " kept"], width: int) -> None:
        """Move what was read so that column c of the i-th row kept is what column `c + back[i]` of row `rows[i]` was.

        The text is `width` columns wide from now on, its last column unread. Keys carry their position, so a row may
        lie anywhere; columns from before its text are padding, which the mask hides, whatever stands there.
        """
        old, self.last = self.read, None
        if not old:
            return
        self.read = max(0, min(width - 1, old - int(back.max())))
        if not back.any() and len(rows) == self.cache.layers[0].keys.shape[0]:
            self.cache.crop(self.read - old)
            return
        rows, back = rows.to(self.device), back.to(self.device)
        columns = (torch.arange(self.read, device=self.device) + back[:, None]).clamp(min=0)[:, None, :, None]
        for layer in self.cache.layers:
            there, at = layer.keys.device, columns.to(layer.keys.device)
            for kept in ("keys", "values"):
                was = getattr(layer, kept)[rows.to(there)]
                setattr(layer, kept, was.gather(2, at.expand(-1, was.shape[1], -1, was.shape[3])))

    def _fed(
        self,
        tokens: Int[Tensor, "batch pos"],
        mask: Int[Tensor, "batch pos"],
        n: int,
        *,
        added: Mapping[str, Float[Tensor, "batch d_model"]] | None = None,
    ) -> Float[Tensor, "batch {n} d_vocab"]:
        """Read what is new of `tokens`, to its end: the logits after the last `n`.

        `added` is put on top of the last position's activation at hooks; what is cached above them comes of the sum.
        """
        mask_here = mask.to(self.device)
        options: dict[str, Any] = {}
        if "position_ids" in self.takes:  # left to itself, GPT-2 counts its positions from the padding on
            options["position_ids"] = (mask_here.cumsum(-1) - 1).clamp(min=0)[:, self.read :]
        if "logits_to_keep" in self.takes:  # a long prompt times a large vocabulary is more than memory holds
            options["logits_to_keep"] = n
        fresh = tokens[:, self.read :].to(self.device)
        if self.read:
            self.cache.crop(0)  # a sliding window keeps what it lost last, until here
        with self._hooked(added or {}):
            out = self.model(fresh, attention_mask=mask_here, past_key_values=self.cache, use_cache=True, **options)
        logits = (out if isinstance(out, Tensor) else out.logits)[:, -n:].float()
        if logits.isnan().any():
            raise ValueError(
                f"model {self.name!r} gives logits that are not numbers after {tokens.shape[1]} tokens; "
                "check its weights, or load it in a wider dtype"
            )
        self.read = tokens.shape[1]
        return logits.to(tokens.device)

    @contextmanager
    def _hooked(self, added: Mapping[str, Float[Tensor, "batch d_model"]]) -> Iterator[None]:
        """Note the last position's activation at every watched hook, and add to it where something is added."""

        def fire(name: str, activation: Tensor) -> Tensor:
            if name in self.watched:
                self.watched[name] = activation[:, -1].float()
            if name not in added:
                return activation
            activation = activation.clone()
            activation[:, -1] += added[name].to(activation)
            return activation

        handles = []
        try:
            for name in dict.fromkeys([*self.watched, *added]):
                point = getattr(self.model, "hook_dict", {}).get(name)
                if point is None:
                    raise ValueError(
                        f"there is no hook {name!r} in model {self.name!r}; a block's is blocks.L.hook_out"
                    )
                handles.append(point.register_forward_hook(lambda _, __, out, name=name: fire(name, out)))
            yield
        finally:
            for handle in handles:
                handle.remove()


def device_of(model: Any) -> torch.device:
    """Where a model's weights are."""
    device: torch.device = next(model.parameters()).device
    return device
