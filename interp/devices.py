"""Models on several devices: every part computes where its weights lie, and answers where it was asked.

So base and tuned may lie on two devices, or one model on several, and whatever is read at a hook or comes out of a part
lies where the tokens lay that the model was given. Nothing else has to know.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedModel

Place = str | torch.device | Mapping[str, str | int | torch.device]
"""One device; "auto", which spreads a model over what is there; or a device for the names of its modules."""
_OFF = ("disk", "meta")


def place_of(model: PreTrainedModel, place: Place, name: str) -> dict[str, torch.device]:
    """Where each parameter and buffer of a plain model shall lie; blocks stay whole, and so do tied matrices.

    `place` is a device; a device map as transformers takes it, from names of modules ("" for all of it) to devices; or
    "auto": accelerate's map for the memory that is free now. ValueError for a map that leaves something out, names
    what the model does not have, takes a block or a tied pair apart, or leaves weights on disk.
    """
    stored = _stored(model)
    given = _auto(model) if place == "auto" else place
    if not isinstance(given, Mapping):
        return dict.fromkeys(stored, torch.device(given))
    if off := sorted(module for module, there in given.items() if str(there) in _OFF):
        raise ValueError(
            f"{name} would have {off[0] or 'its weights'} on {given[off[0]]}, where TransformerBridge cannot compute; "
            "use more or larger devices, a smaller dtype, or rank-wise shards (interp.sharding)"
        )
    if strange := sorted(module for module in given if module and not any(_within(one, module) for one in stored)):
        raise ValueError(f"the device map names {strange[0]!r}, which {name} does not have; see model.named_modules()")
    found = {}
    for one in stored:
        near = [module for module in given if _within(one, module)]
        if not near:
            raise ValueError(f"the device map says nothing of {name}'s {one}; a map of '' is one of everything")
        there = given[max(near, key=len)]
        found[one] = torch.device("cuda", there) if isinstance(there, int) else torch.device(there)
    _check_whole(model, found, name)
    return found


def put(model: PreTrainedModel, places: Mapping[str, torch.device]) -> PreTrainedModel:
    """The model with every tensor where `place_of` wants it; tied matrices stay one."""
    moved: dict[int, tuple[Tensor, Tensor]] = {}  # with the old one, so that no other tensor gets its address
    for prefix, module in model.named_modules():
        for key, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is None:
                continue
            there = places.get(f"{prefix}.{key}".removeprefix("."), tensor.device)
            if id(tensor) not in moved and tensor.device != there:
                new = tensor.detach().to(there)
                moved[id(tensor)] = tensor, nn.Parameter(new, False) if key in module._parameters else new
            if id(tensor) in moved:
                setattr(module, key, moved[id(tensor)][1])
    return model


def devices_of(*models: nn.Module) -> list[str]:
    """The devices that the models' weights lie on."""
    return sorted({str(parameter.device) for model in models for parameter in model.parameters()})


def parts_of(model: PreTrainedModel) -> list[nn.Module]:
    """The blocks of a plain model, and every module with weights outside of them."""
    blocks = set(_blocks(model))

    def within(module: nn.Module) -> Iterable[nn.Module]:
        if module in blocks or any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False))):
            return [module]
        return (part for child in module.children() for part in within(child))

    return list(within(model))


def parts_of_bridge(bridge: TransformerBridge) -> list[nn.Module]:
    """The bridge's blocks, and what stands before and after them."""
    return [*bridge.blocks, *(part for name, part in bridge.named_children() if name != "blocks")]


def answer_where_asked(parts: Iterable[nn.Module]) -> Callable[[], None]:
    """Have every part take what it is given to its weights and bring back what it makes; what is returned undoes it.

    Hooks find activations where the part was asked, and what they return goes back to the weights. A part whose weights
    are exchanged for the other model's computes where those lie from then on. Copies of a part do the same.
    """
    done = list(parts)
    for part in done:
        asked: list[torch.device] = []
        elsewhere = _part_elsewhere(type(part))  # type: ignore[arg-type]  # classes can be hashed
        for module, kind in ((part, elsewhere), *((hook, _HookElsewhere) for hook in _hooks(part))):
            module.__dict__["asked"] = asked
            object.__setattr__(module, "__class__", kind)  # a bridge hands plain attributes on to what it wraps

    def undo() -> None:
        for module in (one for part in done for one in (part, *_hooks(part))):
            object.__setattr__(module, "__class__", type(module).__bases__[0])

    return undo


def asked_at(model: nn.Module) -> torch.device:
    """Where to put the tokens that a model shall read: where its pair's base begins, else where its own weights are."""
    device: torch.device = model.__dict__.get("asked_at") or next(model.parameters()).device
    return device


class _HookElsewhere(HookPoint):  # type: ignore[misc]
    """A hook point whose hooks work where the part that it lies in was asked."""

    asked: list[torch.device]

    def __call__(self, *given: Any, **options: Any) -> Any:
        if not (self._forward_hooks or self._forward_pre_hooks or self._backward_hooks) or not self.asked:
            return super().__call__(*given, **options)
        here = _device(given)
        there, more = _moved(given, self.asked[-1]), _moved(options, self.asked[-1])
        found = super().__call__(*there, **more)
        if there and found is there[0]:  # no hook changed it, and some parts look whether one did
            return given[0]
        return found if here is None else _moved(found, here)


@functools.cache
def _part_elsewhere(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of a part, whose forward goes to the weights and back. A class, so that a copied part is one too."""

    @functools.wraps(kind.forward)
    def forward(self: Any, *given: Any, **options: Any) -> Any:
        there, here = _device((given, options)), _device([*self.parameters(), *self.buffers()])
        self.asked[:] = [] if there is None else [there]
        if there is None or here is None:
            return kind.forward(self, *given, **options)
        return _moved(kind.forward(self, *_moved(given, here), **_moved(options, here)), there)

    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})


def _hooks(part: nn.Module) -> list[HookPoint]:
    return [module for module in part.modules() if isinstance(module, HookPoint)]


def _moved(what: Any, device: torch.device) -> Any:
    """Tensors in tuples, lists and dicts; a key-value cache stays what and where it is."""
    if isinstance(what, Tensor):
        return what.to(device)
    if isinstance(what, tuple | list):
        items = [_moved(item, device) for item in what]
        return type(what)(*items) if hasattr(what, "_fields") else type(what)(items)
    if type(what) is dict:
        return {name: _moved(item, device) for name, item in what.items()}
    return what


def _device(what: Any) -> torch.device | None:
    """Where the first tensor lies."""
    if isinstance(what, Tensor):
        return what.device
    inside = what.values() if type(what) is dict else what if isinstance(what, tuple | list) else ()
    return next((found for item in inside if (found := _device(item)) is not None), None)


def _auto(model: PreTrainedModel) -> dict[str, str | int | torch.device]:
    from accelerate.utils import (  # type: ignore[import-untyped]
        get_balanced_memory,
        infer_auto_device_map,
    )

    whole = list(model._no_split_modules or ())
    memory = get_balanced_memory(model, no_split_module_classes=whole, dtype=model.dtype)
    return dict(infer_auto_device_map(model, memory, no_split_module_classes=whole, dtype=model.dtype))


def _check_whole(model: PreTrainedModel, places: Mapping[str, torch.device], name: str) -> None:
    named = {id(module): path for path, module in model.named_modules()}
    groups = {named[id(block)]: [one for one in places if _within(one, named[id(block)])] for block in _blocks(model)}
    same: dict[int, list[str]] = {}
    for path, tensor in model.named_parameters(remove_duplicate=False):
        same.setdefault(id(tensor), []).append(path)
    for what, tensors in [*groups.items(), *((" and ".join(paths), paths) for paths in same.values())]:
        if len(found := sorted({str(places[one]) for one in tensors})) > 1:
            raise ValueError(f"{name}'s {what} would be taken apart, to {' and '.join(found)}; put it on one device")


def _blocks(model: PreTrainedModel) -> list[nn.Module]:
    return [module for module in model.modules() if type(module).__name__ in (model._no_split_modules or ())]


def _stored(model: nn.Module) -> list[str]:
    tensors = (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
    return [name for kind in tensors for name, _ in kind]


def _within(tensor: str, module: str) -> bool:
    return not module or tensor == module or tensor.startswith(f"{module}.")
