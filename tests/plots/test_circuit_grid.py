import numpy as np
import pandas as pd
import pytest

from interp.measurement import Measurement
from interp.plots.circuit_grid import circuit_grid


def heads(n_layers: int = 3, n_heads: int = 4) -> Measurement:
    rng = np.random.default_rng(0)
    rows = [
        {"layer": layer, "head": head, "circuit": circuit, "relative": rng.random(), "cosine_distance": rng.random()}
        for layer in range(n_layers)
        for head in range(n_heads)
        for circuit in ("QK", "OV")
    ]
    return Measurement("heads", "relative change", pd.DataFrame(rows), {})


def test_cells_are_the_tables_numbers(traces) -> None:
    measurement = heads()
    table = measurement.table.set_index(["circuit", "layer", "head"])
    for circuit, trace in zip(("QK", "OV"), traces(circuit_grid(measurement)), strict=True):
        for y, layer in enumerate(trace["y"]):
            for x, head in enumerate(trace["x"]):
                assert trace["z"][y][x] == table.relative[circuit, layer, head]
                assert trace["customdata"][y][x] == table.cosine_distance[circuit, layer, head]


def test_one_changed_head_lights_one_cell_of_one_panel(traces) -> None:
    measurement = heads()
    here = measurement.table.eval("layer == 2 and head == 1 and circuit == 'OV'")
    planted = measurement.table.assign(relative=np.where(here, 1.0, 0.0))
    looked_for, written = traces(circuit_grid(Measurement("heads", "", planted, {})))
    assert not np.any(looked_for["z"])
    assert np.argwhere(written["z"] > 0).tolist() == [[2, 1]]


@pytest.mark.parametrize(("n_heads", "with_numbers"), [(8, True), (9, False)])
def test_numbers_where_they_can_be_read(traces, n_heads: int, with_numbers: bool) -> None:
    assert all(bool(trace.get("texttemplate")) == with_numbers for trace in traces(circuit_grid(heads(3, n_heads))))


def test_no_change_is_the_darkest_colour(traces) -> None:
    measurement = heads()
    figure = circuit_grid(Measurement("heads", "", measurement.table.assign(relative=0.0), {}))
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)
