"""docs/figures/house.svg is what the code makes now, and no arrow in it points up."""

import re
from xml.etree import ElementTree

import pytest
from house import FIGURE, draw
from layers import lay_out, place, stack, without_detours
from rooms import ROOMS

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_of_the_house_is_that_of_the_code() -> None:
    assert FIGURE.read_text(encoding="utf-8") == draw(), "run: python docs/figures/house.py"


def test_every_room_is_in_the_picture_and_no_arrow_points_up() -> None:
    picture = ElementTree.fromstring(FIGURE.read_text(encoding="utf-8"))
    names = [text.text for text in picture.iter(f"{SVG}text") if text.get("class") == "name"]
    assert names == list(ROOMS)
    lines = [path.get("d", "") for path in picture.findall(f"{SVG}path")]
    assert lines
    for line in lines:  # M x y, V y, C x y x y x y, V y
        heights = [float(y) for y in re.findall(r"(?:M-?\d+ |V|C-?\d+ -?\d+ -?\d+ -?\d+ -?\d+ )(-?\d+)", line)]
        assert heights == sorted(heights), line


def test_no_box_lies_on_another() -> None:
    picture = ElementTree.fromstring(FIGURE.read_text(encoding="utf-8"))
    boxes = [[float(rect.get(key, "")) for key in ("x", "y", "width", "height")] for rect in picture.iter(f"{SVG}rect")]
    for index, (x1, y1, w1, h1) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[:index]:
            assert x1 >= x2 + w2 or x2 >= x1 + w1 or y1 >= y2 + h2 or y2 >= y1 + h1


def test_an_arrow_that_a_longer_way_implies_is_left_out() -> None:
    arrows = {("a", "b"), ("b", "c"), ("c", "d"), ("a", "c"), ("a", "d"), ("a", "e")}
    assert without_detours(arrows) == [("a", "b"), ("a", "e"), ("b", "c"), ("c", "d")]


@pytest.mark.parametrize(("most", "rows"), [(3, [["a"], ["b", "c", "d"], ["e"]]), (2, [["a"], ["b", "c"], ["d", "e"]])])
def test_a_row_holds_few_boxes_and_no_arrow(most: int, rows: list[list[str]]) -> None:
    assert stack("abcde", {("a", "b"), ("a", "c"), ("b", "e")}, most) == rows


def test_arrows_to_one_box_share_their_way_and_boxes_keep_their_distance() -> None:
    arrows = {("a", "b"), ("b", "c"), ("a", "d"), ("b", "d"), ("c", "d")}
    layers = lay_out([["a"], ["b"], ["c"], ["d"]], arrows)
    assert [sorted(row) for row in layers.rows] == [["a"], ["1>d", "b"], ["2>d", "c"], ["d"]]
    centres = place(layers, dict.fromkeys(["a", "b", "c", "d", "1>d", "2>d"], 10.0), gap=5)
    assert min(centres.values()) == 5
    assert abs(centres["1>d"] - centres["b"]) >= 15
