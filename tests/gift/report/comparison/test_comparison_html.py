"""The comparison's page shows everything, needs nothing but itself, and takes hostile text as text."""

import re
from html.parser import HTMLParser

from example_experiment import example_comparison, example_plan

from gift.report.comparison.html import render_comparison

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"


class Page(HTMLParser):
    """The elements, attributes and text that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_question_result_tables_and_curves() -> None:
    html = render_comparison(example_comparison())
    text = Page(html).text.replace("\u00a0", " ")
    for shown in (
        "Which one?",
        "Held-out, sampled: GRPO 64.5 %, GIFT 62.0 %",
        "SFT (start)",
        "0.0006 *",
        "Correlation ρ",
        "mean reward",
        "head-to-head-local-1a2b3c4d",
        "gift experiment head-to-head --seeds 2 --tune --profile run.yaml",
    ):
        assert shown in text
    assert html.count("<svg") == 2 + 3  # benchmarks and metrics


def test_hostile_text_stays_text() -> None:
    gift, grpo = example_plan().variants
    grpo = grpo.model_copy(update={"label": HOSTILE, "settings": (HOSTILE,)})
    changes = {"title": HOSTILE, "question": HOSTILE, "profile": HOSTILE, "command": HOSTILE, "variants": (gift, grpo)}
    comparison = example_comparison(**changes, shared_settings=(HOSTILE,))
    comparison = comparison.model_copy(update={"provenance": {HOSTILE: HOSTILE}, "config": {HOSTILE: HOSTILE}})
    page = Page(render_comparison(comparison))
    assert not {"script", "img"} & page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tags == Page(render_comparison(example_comparison())).tags
    assert page.text.count(HOSTILE) > 10


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    html = render_comparison(example_comparison())
    assert not {"script", "link", "iframe", "object", "img"} & Page(html).tags
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src 'none'" in html


def test_charts_take_the_colours_of_the_page_and_share_no_ids() -> None:
    html = render_comparison(example_comparison())
    charts = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert "var(--series-0)" in charts
    assert "var(--series-1)" in charts
    assert not re.search(r"#[0-9a-f]{6}\b(?!\")", charts)
    identifiers = re.findall(r'\bid="([^"]+)"', html)
    assert len(identifiers) == len(set(identifiers))


def test_a_ninth_variant_is_told_apart_by_its_line() -> None:
    first = example_plan().variants[0]
    names = ("gift", "grpo", *(f"other-{index}" for index in range(7)))
    variants = tuple(first.model_copy(update={"name": name, "label": name}) for name in names)
    comparison = example_comparison()
    results = dict.fromkeys(names, comparison.variants["grpo"])
    plan = comparison.plan.model_copy(update={"variants": variants})
    html = render_comparison(comparison.model_copy(update={"plan": plan, "variants": results}))
    assert "other-6 (dashed)" in Page(html).text
    assert "other-5 (dashed)" not in Page(html).text


def test_a_comparison_without_curves_or_tuning_is_still_a_page() -> None:
    text = Page(render_comparison(example_comparison(metrics=(), tuning_seed=None))).text
    assert "Learning rates" not in text
    assert "SFT (start)" in text


def test_the_same_comparison_gives_the_same_bytes() -> None:
    assert render_comparison(example_comparison()) == render_comparison(example_comparison())
