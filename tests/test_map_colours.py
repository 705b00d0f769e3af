"""Groups of a map's points: columns, names, colours that colour-blind eyes tell apart."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from map_space import LABELS, read_page, write_space

from kgtextvec.pages.theme import GROUP_COLOURS, OTHERS_COLOUR, STEP_COLOURS
from kgtextvec.report.map import draw_map
from kgtextvec.report.map.colouring import (
    MOST_GROUPS,
    colour_by_names,
    colour_by_steps,
    colourings,
    name_places,
)
from kgtextvec.settings.spaces import MapLayout


@given(st.lists(st.sampled_from([f"g{i}" for i in range(60)]), min_size=1))
def test_groups_are_counted_and_numbered_by_size(values):
    column = colour_by_names("label", values)
    assert sum(column.counts) == len(values)
    assert len(column.groups) <= MOST_GROUPS + 1
    for value, code in zip(values, column.codes, strict=True):
        assert column.groups[code] == value or code == column.others
    known = [n for code, n in enumerate(column.counts) if code != column.others]
    assert known == sorted(known, reverse=True)


def test_groups_over_the_number_of_colours_are_put_together():
    column = colour_by_names("label", [f"g{i:03d}" for i in range(100)])
    assert column.others == MOST_GROUPS
    assert column.counts[column.others] == 100 - MOST_GROUPS
    assert column.groups[-1] == "36 others"
    looks = {(column.colour(code), column.shape(code)) for code in range(MOST_GROUPS)}
    assert len(looks) == MOST_GROUPS


@given(st.lists(st.integers(-5, 2000), min_size=1))
def test_numbers_become_rising_steps(values):
    column = colour_by_steps("n_tokens", np.array(values, dtype=np.float64))
    if column is None:
        return
    assert 2 <= len(column.groups) <= len(STEP_COLOURS)
    assert sum(column.counts) == len(values)
    order = np.argsort(values, kind="stable")
    assert (np.diff(column.codes[order].astype(int)) >= 0).all()


def test_columns_that_tell_groups_apart_can_colour_the_map(tmp_path):
    found = colourings(pq.read_table(write_space(tmp_path) / "index.parquet"), "resource")
    assert [column.name for column in found] == ["resource", "label", "n_tokens", "truncated"]
    assert dict(zip(found[1].groups, found[1].counts, strict=True)) == dict.fromkeys(LABELS, 30)
    assert set(found[3].groups) == {"yes", "no"}


def test_names_stand_where_their_group_is():
    random = np.random.default_rng(0)
    corners = np.array([[0, 0], [10, 0], [0, 10]], dtype=np.float32)
    values = np.repeat(["a", "b", "c"], 50).tolist()
    places = (np.repeat(corners, 50, axis=0) + random.normal(size=(150, 2))).astype(np.float32)
    column = colour_by_names("label", values)
    for name, place in zip(column.groups, name_places(places, column), strict=True):
        np.testing.assert_allclose(place, corners["abc".index(name)], atol=1.5)


def test_groups_that_are_mixed_everywhere_are_not_named():
    random = np.random.default_rng(0)
    places = random.uniform(size=(3000, 2)).astype(np.float32)
    mixed = colour_by_names("label", random.choice([f"m{i}" for i in range(12)], 3000).tolist())
    assert name_places(places, mixed) == [None] * 12


def linear(colour):
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


# Full loss of one kind of cone: Machado, Oliveira & Fernandes 2009, on linear RGB.
EYES = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                 [-0.01182, 0.04294, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.3039]],
}  # fmt: skip
# Linear RGB to OKLab (Ottosson 2020).
TO_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                     [0.2119034982, 0.6806995451, 0.1073969566],
                     [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_LAB = np.array([[0.2104542553, 0.793617785, -0.0040720468],
                   [1.9779984951, -2.428592205, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.808675766]])  # fmt: skip


def test_page_and_pictures_have_the_same_colours(tmp_path):
    space = write_space(tmp_path, n=60)
    draw_map(space, layout=MapLayout(layouts=("tsne",)))
    made = colourings(pq.read_table(space / "index.parquet"), "label")
    shown = read_page(space / "map.html")["about"]["columns"]
    assert {column["kind"] for column in shown} == {"names", "steps"}
    for column, on_page in zip(made, shown, strict=True):
        codes = range(len(column.groups))
        assert on_page["shapes"] == [column.shape(code) for code in codes]
        assert on_page["colours"]["light"] == [column.colour(code).light for code in codes]
        assert on_page["colours"]["dark"] == [column.colour(code).dark for code in codes]
        assert set(on_page["colours"]["light"]) <= {
            colour.light for colour in (*GROUP_COLOURS, OTHERS_COLOUR, *STEP_COLOURS)
        }


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colour_blind_eyes_tell_the_colours_apart(theme, eyes):
    colours = np.array([linear(getattr(colour, theme)) for colour in GROUP_COLOURS])
    seen = np.clip(colours @ np.array(EYES[eyes]).T, 0, 1)
    lab = np.cbrt(seen @ TO_CONES.T) @ TO_LAB.T
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)[np.triu_indices(len(lab), 1)]
    # 0.02 is about what is just noticed side by side; Okabe and Ito's eight come down to 0.04.
    assert apart.min() > 0.1
