"""A model cut over the ranks of a process group, for one that no single device holds."""

import torch.distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import PreTrainedModel


def sharded(model: PreTrainedModel) -> PreTrainedModel:
    """The plain model with its parameters spread over all ranks (FSDP2), each block's gathered when it computes.

    Every rank calls this with the same model, and then runs the same batches; the process group has to be up. Wrap
    the result into `TransformerBridge` afterwards, as `loading.bridged` does. The other way round fails: the bridge's
    copies of parameters would stay whole tensors among sharded ones.

    What lies outside the blocks (embedding, head) is gathered at the first forward pass and stays. RuntimeError
    without a process group, ValueError for a model whose blocks are not found.
    """
    if not torch.distributed.is_initialized():
        raise RuntimeError("there is no process group to shard over; start the ranks with torchrun and init it first")
    blocks = [module for module in model.modules() if type(module).__name__ in (model._no_split_modules or ())]
    if len(blocks) != model.config.num_hidden_layers:
        raise ValueError(
            f"{type(model).__name__} has {model.config.num_hidden_layers} layers, but {len(blocks)} modules that may "
            "be sharded one by one"
        )
    mesh = init_device_mesh(model.device.type, (torch.distributed.get_world_size(),))
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model
