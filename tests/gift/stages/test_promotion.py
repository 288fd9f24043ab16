"""Gate and registration on the real servers: the alias champion moves when the verdict says so, and only then."""

from pathlib import Path

import pytest
from candidates import Candidates
from heard_webhook import heard
from huggingface_hub import ModelCard
from mlflow.artifacts import download_artifacts
from mlflow.tracking import MlflowClient
from promotions import promote

from gift import registry
from gift.execution.output import content_digest
from gift.registry import EVALUATION_TAG, NOT_PROMOTED_TAG
from gift.storage import read_manifest

LOCK = "s3://gift/locks/test-promotion"


@pytest.fixture
def candidates(bucket_prefix: str, tmp_path: Path) -> Candidates:
    return Candidates(bucket_prefix, tmp_path)


def test_only_a_better_candidate_becomes_champion(candidates: Candidates) -> None:
    candidates.submit(sft=20, candidate=20)
    assert candidates.champion() is None  # no better than its SFT model

    second = candidates.submit(sft=10, candidate=25)
    assert candidates.champion() == second
    champion = registry.champion(candidates.config.registered_model)
    assert champion is not None
    model = f"{candidates.config.storage.uri}/2/model"
    manifest = read_manifest(model)
    assert manifest is not None
    assert champion.source_uri == manifest.folder(model), "plain files"

    candidates.submit(sft=5, candidate=12)  # beats its SFT model, but is worse than the champion
    assert candidates.verdict().decision == "keep"
    assert candidates.champion() == second

    # Beats its SFT model, and may by chance be better than the champion.
    written = candidates.report(candidates.submit(sft=10, candidate=27))
    assert candidates.verdict().decision == "undecided"
    assert candidates.champion() == second
    assert written.verdict.champion == second
    assert written.models["champion"]["heldout"].accuracy == 25 / 40

    better = candidates.submit(sft=10, candidate=30)
    assert candidates.champion() == better


def test_who_downloads_the_model_finds_its_card_and_mlflow_shows_the_scores(
    candidates: Candidates, tmp_path: Path
) -> None:
    version = candidates.submit(sft=10, candidate=25)
    digest = content_digest(candidates.model)
    written = candidates.report(version)
    name = candidates.config.registered_model
    folder = Path(download_artifacts(artifact_uri=f"models:/{name}@champion", dst_path=str(tmp_path / "mine")))
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json"]
    card = ModelCard.load(folder / "README.md")
    assert [(result.dataset_type, result.metric_value) for result in card.data.eval_results] == [("heldout", 0.625)]
    assert content_digest(candidates.model) == digest, "it is no part of what is reused and verified"

    described = MlflowClient().get_model_version(name, version).description
    assert f"{written.registry.source}/README.md" in described
    assert "| GIFT | 62.5 ± 10.0 % |" in described


def test_the_verdict_names_the_champion_that_it_was_reached_against(candidates: Candidates) -> None:
    first = candidates.submit(sft=10, candidate=20)
    assert candidates.verdict().champion is None
    candidates.submit(sft=10, candidate=25)
    champion = candidates.verdict().champion
    assert champion is not None
    assert (champion.model, champion.version) == (candidates.config.registered_model, first)


@pytest.mark.parametrize("with_champion", [True, False])
def test_another_champion_since_the_verdict_keeps_its_alias(
    candidates: Candidates, capsys: pytest.CaptureFixture[str], with_champion: bool
) -> None:
    name = candidates.config.registered_model
    first = candidates.submit(sft=10, candidate=20) if with_champion else None
    other = registry.register_version(name, f"{candidates.config.storage.uri}/other", "", {}, LOCK)
    candidates.meanwhile = lambda: promote(name, other, instead_of=first)
    version = candidates.submit(sft=10, candidate=40)
    assert candidates.verdict().decision == "promote"
    assert candidates.champion() == other
    standing = registry.standing(name, version)
    assert standing.alias == "challenger"
    against = f"version {first}" if first else "no version"
    why = (
        f"version {other} of {name} is champion by now, and {against} was expected; look at both, then run again, or "
        f"`gift promote {name} --version {version}`"
    )
    assert standing.tags[NOT_PROMOTED_TAG] == why
    printed = capsys.readouterr().out
    assert f"not promoted: {why}" in printed
    assert f"{name} version {version} is now challenger" in printed
    written = candidates.report(version)
    assert (written.registry.alias, written.verdict.promoted) == ("challenger", False)
    assert why in written.verdict.reasons[-1]


def test_a_worse_candidate_that_was_judged_before_the_better_one_was_registered_stays_challenger(
    candidates: Candidates, tmp_path: Path
) -> None:
    """gate(A), gate(B), register(A), register(B): both verdicts are for promotion, as there was no champion."""
    worse = Candidates("s3://unused", tmp_path)
    worse.config, worse.count = candidates.config, 100
    registered: list[str] = []

    def the_better_one() -> None:
        worse.meanwhile = lambda: None
        registered.append(candidates.register_again())

    candidates.meanwhile = lambda: print(worse.submit(sft=1, candidate=20))
    worse.meanwhile = the_better_one
    candidates.submit(sft=1, candidate=36)
    assert worse.verdict().decision == "promote"
    assert candidates.verdict().decision == "promote"
    assert candidates.champion() == registered[0]


def test_a_champion_that_was_taken_away_since_the_verdict_is_not_replaced(candidates: Candidates) -> None:
    name = candidates.config.registered_model
    candidates.submit(sft=10, candidate=20)
    candidates.meanwhile = lambda: MlflowClient().delete_registered_model_alias(name, "champion")
    candidates.submit(sft=10, candidate=40)
    assert candidates.champion() is None


def test_a_retried_registration_does_not_stumble_over_its_own_promotion(candidates: Candidates) -> None:
    first = candidates.submit(sft=10, candidate=20)
    version = candidates.submit(sft=10, candidate=40)
    before = registry.standing(candidates.config.registered_model, version)
    assert candidates.register_again() == version
    after = registry.standing(candidates.config.registered_model, version)
    assert after == before
    assert after.alias == "champion"
    history = registry.registered_model(candidates.config.registered_model).history
    assert [(move.version, move.instead_of) for move in history] == [(first, None), (version, first)]
    assert history[1].reason.startswith("Promote: the candidate meets what the gate asks on every benchmark. On 40 ")
    assert history[1].by == f"run {candidates.run_id}"
    assert NOT_PROMOTED_TAG not in after.tags
    assert candidates.report(version).registry.alias == "champion"


def test_the_report_says_what_the_registry_says_when_it_is_written(candidates: Candidates) -> None:
    version = candidates.submit(sft=10, candidate=20)
    assert candidates.report(version).verdict.promoted
    run = (candidates.base, candidates.model, candidates.shared, candidates.verdict_uri, candidates.candidate_results)
    candidates.submit(sft=10, candidate=40)  # takes both aliases
    candidates.base, candidates.model, candidates.shared, candidates.verdict_uri, candidates.candidate_results = run
    written = candidates.report(version)
    assert (written.registry.alias, written.verdict.promoted) == (None, False)
    assert "somebody has moved the alias champion on" in written.verdict.reasons[-1]


def test_a_model_that_is_registered_again_carries_the_tags_of_its_newest_evaluation(candidates: Candidates) -> None:
    name = candidates.config.registered_model
    version = candidates.submit(sft=10, candidate=20)
    registry.set_tag(name, version, NOT_PROMOTED_TAG, "an old story")
    registry.set_tag(name, version, "owner", "somebody")
    assert candidates.submit(sft=5, candidate=20, model=candidates.model) == version
    standing = registry.standing(name, version)
    assert standing.tags == {
        EVALUATION_TAG: candidates.candidate_results,
        "gift.run_id": candidates.run_id,
        "gift.mlflow_run": candidates.shared["parent_run_id"],
        "gift.config_digest": candidates.config.digest(),
        "gift.model_digest": standing.tags["gift.model_digest"],
        "gift.verdict": candidates.verdict_uri,
        "gift.report": f"{candidates.config.storage.uri}/runs/{candidates.run_id}/report",
        "owner": "somebody",
    }
    assert standing.alias == "champion"  # judged against itself: undecided, and no alias moves


def test_the_webhook_is_told_of_a_run_that_promotes_and_of_no_other(
    candidates: Candidates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with heard() as (url, messages):
        monkeypatch.setenv("GIFT_WEBHOOK_URL", url)
        candidates.submit(sft=20, candidate=20)
        assert messages == []
        version = candidates.submit(sft=10, candidate=30)
        candidates.register_again()
    (told,) = messages
    assert (told["version"], told["instead_of"], told["run_id"]) == (version, None, candidates.run_id)
    assert told["by"] == f"run {candidates.run_id}"
    assert told["reason"].startswith("Promote: the candidate meets what the gate asks on every benchmark. On 40 ")
    assert told["scores"]["heldout"]["accuracy"] == 0.75
    assert told["report"] == f"{candidates.config.storage.uri}/runs/{candidates.run_id}/report"
    assert candidates.report(version).verdict.promoted, "the report is where the webhook was told that it would be"
