import pytest

from interp.layers.depth import thirds

SIZES = [(3, [1, 1, 1]), (4, [1, 1, 2]), (6, [2, 2, 2]), (8, [2, 3, 3]), (28, [9, 9, 10])]


@pytest.mark.parametrize(("n_layers", "sizes"), SIZES)
def test_thirds_cover_the_depth_once_in_order(n_layers: int, sizes: list[int]) -> None:
    groups = thirds(n_layers)
    assert list(groups) == ["lower third", "middle third", "upper third"]
    assert [len(blocks) for blocks in groups.values()] == sizes
    assert [layer for blocks in groups.values() for layer in blocks] == list(range(n_layers))


def test_two_blocks_have_no_thirds() -> None:
    with pytest.raises(ValueError, match="thirds of the depth need at least 3 blocks, the model has 2"):
        thirds(2)
