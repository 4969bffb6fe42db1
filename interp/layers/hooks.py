"""Hooks on a bridge by name, checked: an unknown name or a hook that never fires is an error, not silence."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

Hook = Callable[[Float[Tensor, "..."]], Float[Tensor, "..."] | None]


@contextmanager
def hooked(model: TransformerBridge, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """Call each hook with the activation at its name; what it returns, unless None, replaces the activation.

    TransformerLens 3.9 ignores names that do not exist and does not notice a hook that is never reached; both raise
    ValueError here. The hooks are removed when the block ends, however it ends.
    """
    points = model.hook_dict
    for name in hooks:
        if name not in points:
            near = difflib.get_close_matches(name, points, n=1)
            raise ValueError(
                f"there is no hook {name!r} in this model" + (f"; did you mean {near[0]!r}?" if near else "")
            )
    fired: set[str] = set()

    def fire(name: str, _module: object, _inputs: object, activation: Any) -> Any:
        fired.add(name)
        return hooks[name](activation)

    handles = [points[name].register_forward_hook(partial(fire, name)) for name in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    silent = sorted(set(hooks) - fired)
    if silent:
        raise ValueError(f"hooks {silent} never fired; the model was not run, or does not reach them")
