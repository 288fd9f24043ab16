"""The HTML report says what the run found, needs nothing but itself, and is safe to open whatever a model wrote."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gift.report.html import render_report
from gift.report.schema import parse_report

EXAMPLE = Path(__file__).with_name("report.json")
HOSTILE = """</pre></script><script>alert("1")</script><img src=x onerror='alert(1)'>&amp;{{ 7 * 7 }}{% raw %}$x"""


class Page(HTMLParser):
    """The elements, attributes and text that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def values() -> dict[str, Any]:
    return json.loads(EXAMPLE.read_text(encoding="utf-8"))


def replace_strings(node: Any) -> Any:
    """Every free text of the report, keys included, becomes hostile."""
    if isinstance(node, dict):
        return {f"{key} {HOSTILE}": replace_strings(value) for key, value in node.items()}
    if isinstance(node, list):
        return [replace_strings(value) for value in node]
    return f"{node} {HOSTILE}" if isinstance(node, str) else node


def replace_values(entry: dict[str, Any]) -> dict[str, Any]:
    """The same keys with hostile texts."""
    return {key: value + HOSTILE if isinstance(value, str) else value for key, value in entry.items()}


def test_where_the_time_of_the_run_went_is_a_table(values: dict[str, Any]):
    steps = [("train-sft", 30, 4, 112.2), ("train-policy", 41, 5, 184.9)]
    names = ("stage", "waiting", "start_up", "computing")
    values["critical_path"] = [dict(zip(names, step, strict=True)) for step in steps]
    text = " ".join(Page(render_report(parse_report(values))).text.split())
    assert "train-policy 41 s 5.0 s 3 min 05 s together 1 min 11 s 9.0 s 4 min 57 s" in text
    del values["critical_path"]  # a report older than the key
    assert "Critical path" not in render_report(parse_report(values))


def test_the_cost_of_every_stage_and_the_command_that_repeats_the_run_are_there(values: dict[str, Any]):
    values["cost"] = {"sft": {"cpu_hours": 1.5, "gpu_hours": 0.0}, "gift": {"cpu_hours": 40, "gpu_hours": 20}}
    html = render_report(parse_report(values))
    text = " ".join(Page(html).text.split())
    assert "sft 1.5 – gift 40 20 together 42 20" in text
    assert json.dumps(values["config"]) in Page(html).text
    assert text.count("gift run --profile run.yaml") == 1
    del values["cost"]  # a report older than the key
    assert "CPU-hours" not in render_report(parse_report(values))


def test_the_champion_has_a_column_and_the_note_says_who_it_is(values: dict[str, Any]):
    assert "Champion" not in Page(render_report(parse_report(values))).text
    values["models"]["champion"] = values["models"]["candidate"]
    values["verdict"]["champion"] = "7"
    values["verdict"]["comparisons"].append(values["verdict"]["comparisons"][0] | {"name": "candidate - champion"})
    html = render_report(parse_report(values))
    text = Page(html).text
    assert html.count('<td class="champion">') == 3
    assert f"Champion: version 7 of {values['registry']['model']}, which reigned" in text
    assert "GIFT − Champion" in text


def test_contamination_is_beside_the_score_of_every_benchmark_that_asks_those_problems(values: dict[str, Any]):
    values["models"]["sft"]["gsm8k_sampled"] = values["models"]["sft"]["heldout"]
    values["contamination"] = {"gsm8k": {"problems": 1319, "trained_on": 3, "overlapping": 1014}}
    text = Page(render_report(parse_report(values))).text
    assert "GSM8K, sampled500 problems3 trained on, 1,014 overlap" in text
    assert text.count(" trained on, ") == 2  # the other, here, is lm-eval's own task with the same problems
    assert "share at least" in text
    assert "known by heart" not in text.lower()
    values["models"]["base"]["gsm8k_partial"] = values["models"]["base"]["heldout"] | {"accuracy": 0.025}
    text = Page(render_report(parse_report(values))).text.replace("\u00a0", " ")
    assert text.count("3 trained on, 1,014 overlap, 2.5 % known by heart") == 2
    assert "Known by heart: so many" in text
    assert "Base on GSM8K, rest of the problem" in text  # among the settings, and no row of accuracies
    assert text.count("rest of the problem") == 1
    del values["models"]["base"]["gsm8k_partial"]
    del values["contamination"]  # a report older than the key
    assert " trained on, " not in (older := Page(render_report(parse_report(values))).text)
    assert "share at least" not in older


def test_the_page_begins_with_the_verdict_and_shows_every_result(values: dict[str, Any]):
    text = Page(render_report(parse_report(values))).text.replace("\u00a0", " ")
    assert (
        "Promoted: GIFT solves 84.6 % of 500 held-out problems, 29.4 ± 2.3 percentage points more than the SFT model"
    ) in text
    for shown in ("55.2 %± 2.2", "84.6 %± 1.6", "+29.4+24.9 to +33.9", "−0.5not tested", "200 problems"):
        assert shown in text
    for shown in (*values["verdict"]["reasons"], *values["provenance"].values(), values["run_id"]):
        assert shown in text
    for data_set in values["data"].values():
        assert data_set["digest"] in text
    assert json.dumps(values["config"], indent=2) in text


def test_a_refused_candidate_is_called_not_promoted_and_a_small_gain_chance(values: dict[str, Any]):
    values["verdict"]["promoted"] = False
    values["registry"]["alias"] = "challenger"
    values["verdict"]["comparisons"] = [
        {
            "name": "candidate - sft",
            "benchmark": "gsm8k",
            "difference": -0.005,
            "stderr": 0.019,
            "n": 200,
            "confidence_low": -0.042,
            "confidence_high": 0.032,
        }
    ]
    text = Page(render_report(parse_report(values))).text.replace("\u00a0", " ")
    assert "Not promoted: GIFT solves 5.0 % of 200 GSM8K problems, 0.5 ± 1.9 percentage points fewer" in text
    assert "which may be chance" in text
    values["verdict"]["decision"] = "undecided"
    assert "Undecided, so not promoted: GIFT solves 5.0" in Page(render_report(parse_report(values))).text


def test_a_task_of_lm_eval_is_called_by_its_own_name(values: dict[str, Any]):
    values["verdict"]["comparisons"] = [values["verdict"]["comparisons"][0] | {"benchmark": "math_word_problems"}]
    for scores in values["models"].values():
        scores["math_word_problems"] = next(iter(scores.values()))
    text = Page(render_report(parse_report(values))).text.replace("\u00a0", " ")
    assert re.search("solves [0-9.]+ % of [0-9,]+ math_word_problems problems", text)


def test_hostile_text_stays_text_wherever_it_stands(values: dict[str, Any]):
    honest = Page(render_report(parse_report(values)))
    values["run_id"] += HOSTILE
    values["profile"] += HOSTILE
    values["verdict"]["reasons"] = replace_strings(values["verdict"]["reasons"])
    values["registry"] |= {key: values["registry"][key] + HOSTILE for key in ("model", "version", "source")}
    for key in ("data", "artifacts"):
        values[key] = {name + HOSTILE: replace_values(entry) for name, entry in values[key].items()}
    for key in ("provenance", "config", "curves"):
        values[key] = replace_strings(values[key])
    values["seconds"] = {f"<script>{name}": seconds for name, seconds in values["seconds"].items()}
    values["cost"] = {f"<script>{name}": cost for name, cost in values["cost"].items()}
    values["reused"] = []
    for scores in values["models"].values():
        scores[f"new {HOSTILE}"] = {**scores.pop("gsm8k"), "settings": {HOSTILE: HOSTILE}, "metrics": {HOSTILE: 0.5}}
    for sample in values["samples"]:
        sample |= {key: sample[key] + HOSTILE for key in ("question", "final_answer")}
        sample["completions"] = replace_values(sample["completions"])
    for pair in values["answered_twice"]:
        pair |= replace_values(pair) | {"change": pair["change"]}
        pair |= {model: replace_values(pair[model]) for model in ("sft", "candidate")}
    values["answer_changes"] = {name + HOSTILE: counts for name, counts in values["answer_changes"].items()}
    page = Page(render_report(parse_report(values)))
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert set(page.tags) == set(honest.tags)
    assert page.text.count(HOSTILE) > 40


def test_the_page_fetches_nothing_and_runs_nothing_but_its_own_script(values: dict[str, Any]):
    html = render_report(parse_report(values))
    page = Page(html)
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert (value or "").startswith("#"), f"{name}={value}"
    assert not {"link", "iframe", "object", "img", "form"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)", html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action"
    )
    assert policy in html
    assert not re.search(r"innerHTML|insertAdjacent|document\.write|eval|fetch\(|import\(", script)


def test_problems_that_became_better_and_worse_are_listed_with_both_answers(values: dict[str, Any]):
    html = render_report(parse_report(values))
    assert '<fieldset id="filter" hidden>' in html  # without the page's script there is only the list
    text = Page(html).text
    assert "Held-out, greedy 190 43 267 GSM8K 3 4 193" in " ".join(text.split())
    assert "Below are 3 of these 700 problems" in text
    for pair in values["answered_twice"]:
        for shown in (pair["question"], pair["sft"]["text"], pair["candidate"]["text"]):
            assert shown in text
    values["answered_twice"][0]["sft"] |= {"score": 0.625, "samples": 8}
    assert "62.5 % of 8 right" in Page(render_report(parse_report(values))).text.replace("\u00a0", " ")
    del values["answer_changes"], values["answered_twice"]  # a report older than the keys
    assert "What became better" not in render_report(parse_report(values))


def test_the_same_report_gives_the_same_bytes_in_another_process(values: dict[str, Any]):
    program = (
        "import sys; from pathlib import Path; from gift.report.html import render_report;"
        "from gift.report.schema import load_report;"
        "sys.stdout.buffer.write(render_report(load_report(Path(sys.argv[1]))).encode())"
    )
    other = subprocess.run([sys.executable, "-c", program, str(EXAMPLE)], check=True, capture_output=True)
    assert other.stdout == render_report(parse_report(values)).encode()


def test_a_benchmark_with_several_samples_has_its_curves_over_k(values: dict[str, Any]):
    assert "by samples" not in Page(render_report(parse_report(values))).text
    for scores in values["models"].values():
        scores["heldout_sampled"]["metrics"] |= {
            "pass@1": 0.25,
            "pass@1_stderr": 0.1,
            "pass@2": 0.5,
            "pass@8": 0.75,
            "maj@2": 0.3,
        }
    text = Page(render_report(parse_report(values))).text
    assert text.count("Held-out, sampled, by samples") == 1
    chart = text.partition("by samples")[2].partition("Secondary metrics")[0]
    assert [word for word in chart.split() if word in {"1", "2", "4", "8", "k"}][-4:] == ["1", "2", "8", "k"]


def test_charts_are_drawn_in_the_colours_of_the_page_and_share_no_ids(values: dict[str, Any]):
    html = render_report(parse_report(values))
    charts = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(charts) == 3 + 2 + 8 + 1  # benchmarks, SFT curves, GIFT curves, seconds
    assert not re.search(r"#[0-9a-f]{6}\b(?!\")", "".join(charts))
    for text in ("accuracy (%)", "mean reward", "nats per token", "tokens", "step", ">0.4 s<"):
        assert text in html
    identifiers = re.findall(r'\bid="([^"]+)"', html)
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.filterwarnings("error")
def test_a_report_without_curves_samples_or_comparisons_is_still_a_page(values: dict[str, Any]):
    values |= {"curves": {}, "samples": [], "reused": [], "artifacts": {}, "data": {}}
    values["verdict"] = {"promoted": False, "reasons": ["The gate had nothing to compare."], "comparisons": []}
    values["models"] = {"candidate": {"heldout": {"accuracy": 0.0, "stderr": 0.0, "n": 1}}}
    text = Page(render_report(parse_report(values))).text
    assert "Not promoted: The gate had nothing to compare." in text
    assert "Training" not in text
    assert "answered by each model" not in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("points", [[], [[0, 1.0]], [[0, None]], [[0, 2.0], [1, None], [2, 2.0]]])
def test_short_and_broken_curves_are_drawn_as_far_as_they_go(values: dict[str, Any], points: list):
    values["curves"] = {"gift": {"reward": points}}
    html = render_report(parse_report(values))
    assert ("Mean reward of the sampled responses" in html) == bool(points)


def test_the_report_imports_without_torch_and_kfp():
    program = (
        "import sys, gift.report.html, gift.report.table;"
        "sys.exit(', '.join({'torch', 'transformers', 'kfp'} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
