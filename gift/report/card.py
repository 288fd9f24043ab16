"""The model card of a candidate, in the Hugging Face hub's format, from the facts of its run's report.

What the card says in words is also in its metadata, where the hub's tools look. Left out: what nobody measured, as
biases and intended use, and a licence, which is the base model's.
"""

import json
from typing import TYPE_CHECKING, Any

from gift.report.schema import Report
from gift.report.table import markdown_table
from gift.report.wording import benchmark_label, candidate_label, contamination_text, verdict_sentence

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

CARD_FILE = "MODEL_CARD.md"
"""In the report's folder."""
CHECKPOINT_CARD_FILE = "README.md"
"""In the checkpoint's, where the hub and its tools look."""
DATA_SETS = {
    "gsm8k": "openai/gsm8k",
    "math": "DigitalLearningGmbH/MATH-lighteval",
    "dapo": "open-r1/DAPO-Math-17k-Processed",
    "ultrafeedback": "HuggingFaceH4/ultrafeedback_binarized",
}
"""`data.source` → its name on the hub."""


def model_card(report: Report) -> str:
    """The card as Markdown with YAML metadata, the README.md of a model's folder."""
    name = f"{report.registry.model} version {report.registry.version}"
    rows = "\n".join(f"- {key}: `{value}`" for key, value in sorted(report.provenance.items()))
    config = json.dumps(report.config, indent=2, ensure_ascii=False)
    return f"""---
{_metadata(report).to_yaml()}
---

# {name}

{report.profile}. Trained by {candidate_label(report)} in the run `{report.run_id}`, which ended at
{report.finished.isoformat(timespec="seconds")}.

{card_summary(report)}{_contamination(report)}
Accuracies are shares of solved problems with their standard errors over problems; the last row is the paired difference
with its 95 % interval. `gift report verify` computes them again from the answers, and `gift report reproduce` evaluates
the model again.

## Provenance

- weights: `{report.registry.source}`
{rows}

<details><summary>Configuration</summary>

```json
{config}
```

</details>
"""


def card_summary(report: Report) -> str:
    """The verdict and the table of all benchmarks, as Markdown that ends in a newline."""
    return f"{verdict_sentence(report)}\n\n{markdown_table(report)}"


def _contamination(report: Report) -> str:
    """A line for each benchmark: what of it is in the training data."""
    texts = {benchmark: contamination_text(report, benchmark) for benchmark in report.benchmarks}
    lines = [f"- {benchmark_label(benchmark)}: {text}" for benchmark, text in texts.items() if text]
    return (
        "\nOf the benchmarks' problems, in the training data or known to the base model:\n\n" + "\n".join(lines) + "\n"
        if lines
        else ""
    )


def _metadata(report: Report) -> "ModelCardData":
    from huggingface_hub import EvalResult, ModelCardData  # takes seconds, and only the last lines need it

    model: Any = report.config.get("model", {})
    data: Any = report.config.get("data", {})
    source = DATA_SETS.get(data.get("source", ""))
    scores = report.models.get("candidate", {})
    return ModelCardData(
        model_name=report.registry.model,
        base_model=model.get("name"),
        datasets=[source] if source else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["gift-kubeflow", str(report.config.get("algorithm", "gift"))],
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type=benchmark,
                dataset_name=benchmark_label(benchmark),
                metric_type="accuracy",
                metric_name=f"accuracy (n = {score.n})",
                metric_value=round(score.accuracy, 4),
            )
            for benchmark, score in scores.items()
        ],
    )
