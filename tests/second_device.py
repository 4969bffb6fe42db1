"""A second device for a machine that has none: it computes on the CPU, but takes no tensor that is not its own.

So code that mixes the devices of two models fails here as it would on two GPUs, and all numbers can be compared. It is
torch's backend for private use, in Python; it stays installed, so that it belongs into a process of its own.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._device import _device_constructors
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

SECOND = "second"
_MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
_libraries = list[torch.library.Library]()  # what is registered is gone when its library is


class There(Tensor):
    """A tensor on the second device; `here` holds its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "There":
        """A tensor of the same shape and strides that says it lies on the second device."""
        made = Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=torch.device(SECOND, 0),
            requires_grad=here.requires_grad,
        )
        made.here = here
        return made  # type: ignore[no-any-return]

    def data_ptr(self) -> int:
        """Where the numbers are."""
        return self.here.data_ptr()

    def tolist(self) -> Any:
        """The numbers."""
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every operation on such a tensor."""
        return computed(op, *args, **(kwargs or {}))


def computed(op: Any, *args: Any, **kwargs: Any) -> Any:
    """The operation on the CPU; RuntimeError where one of its tensors lies elsewhere, as on real devices."""
    given = tree_leaves((args, kwargs))
    tensors, devices = ([one for one in given if isinstance(one, kind)] for kind in (Tensor, torch.device))
    strangers = [one for one in tensors if not isinstance(one, There) and one.dim() > 0]
    if strangers and op not in _MOVES and not devices:
        raise RuntimeError(f"{op} expects all tensors on one device, but found {SECOND} and {strangers[0].device}")
    stays = devices[0].type == SECOND if devices else True

    def here(one: Any) -> Any:
        return one.here if isinstance(one, There) else torch.device("cpu") if isinstance(one, torch.device) else one

    inside = {id(one.here): one for one in tensors if isinstance(one, There)} if op._schema.is_mutable else {}

    def there(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        return inside[id(one)] if id(one) in inside else There(one)

    found = op(*tree_map(here, args), **tree_map(here, kwargs))
    return tree_map(there, found) if stays or inside else found


class Generator(torch.Generator):
    """The CPU's, which draws the same numbers for the second device."""

    def __new__(cls, device: Any = "cpu") -> "Generator":
        """A generator of the device, or of the one that computes for it."""
        return super().__new__(cls, "cpu" if torch.device(device).type == SECOND else device)


def install() -> None:
    """Make `torch.device("second")` one that can be used."""
    _setup_privateuseone_for_python_backend(SECOND)
    _libraries.append(torch.library.Library("_", "IMPL"))
    _libraries[0].fallback(computed, "PrivateUse1")
    _device_constructors()  # remembers which functions take a default device, before one of them is another
    plain = torch.tensor

    def tensor(data: Any, **options: Any) -> Tensor:
        if torch.device(options.get("device") or "cpu").type != SECOND:
            return plain(data, **options)
        return plain(data, **{**options, "device": "cpu"}).to(SECOND)

    torch.tensor = tensor  # the only constructor that does not go through the dispatcher
    torch.Generator = Generator  # type: ignore[misc]
