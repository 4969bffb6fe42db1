"""How the depth is cut into groups of blocks."""


def thirds(n_layers: int) -> dict[str, range]:
    """Three contiguous groups of blocks, lower to upper; where the depth is no multiple of 3, upper groups are larger.

    Group i holds blocks `i * n // 3` to `(i + 1) * n // 3 - 1`: 6 blocks are cut 2 2 2, 7 are cut 2 2 3,
    8 are cut 2 3 3.
    """
    if n_layers < 3:
        raise ValueError(f"thirds of the depth need at least 3 blocks, the model has {n_layers}; swap single blocks")
    cuts = [i * n_layers // 3 for i in range(4)]
    return {name: range(cuts[i], cuts[i + 1]) for i, name in enumerate(("lower third", "middle third", "upper third"))}
