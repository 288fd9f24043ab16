"""`gift check`: a model or a file of data alone, and experiments that come out the same way on every machine."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from gift.config import load_profile
from gift.data.survey import DataSurvey, survey_file
from gift.models.folder_check import check_model_folder
from gift.preflight.inputs import check_run
from pipelines.cli.session import (
    MlflowPort,
    Overrides,
    Profile,
    Runs,
    S3Port,
    StateDir,
    console,
    escape,
    local_disks,
    one_line_errors,
    session_services,
)

app = typer.Typer(help="Check your model or data, or what the algorithm rests on.", no_args_is_help=True)


PRECISIONS = {"F32": "fp32", "BF16": "bf16", "F16": "fp16", "F64": "fp64"}
"""What safetensors calls number formats, in the words of the configuration."""


@app.command()
def model(
    folder: Annotated[Path, typer.Argument(help="A folder with safetensors, config.json and a tokenizer.")],
) -> None:
    """Check that a model folder is whole and loads as it was saved, without reading its weights."""
    with one_line_errors("interrupted"):
        check_model_folder(folder)
        # torch and transformers take seconds to import; a damaged folder is answered before that.
        from gift.models.deep_check import check_model_loads

        facts = check_model_loads(folder)
        tied = "tied to the head" if facts.tied else "the head is separate"
        precisions = ", ".join(PRECISIONS.get(name, name) for name in facts.precisions)
        console.print(f"model       {facts.architecture}, {facts.parameters:,} parameters, {facts.layers} layers")
        console.print(f"vocabulary  {facts.tokens:,} tokens, {facts.embedding_rows:,} rows of embeddings, {tied}")
        console.print(f"ends with   {escape(', '.join(facts.ends))}", soft_wrap=True)
        console.print(f"template    {'for chats' if facts.chat_template else 'none'}")
        console.print(f"precision   {precisions}")
        console.print(f"[green]ok[/green]          {escape(str(folder))}", soft_wrap=True)


@app.command()
def normalization(
    profile: Profile,
    override: Overrides = None,
    runs: Runs = Path("runs"),
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Train a policy, then show that log Z(x) drops out of its normalised implicit rewards.

    A second check of the same configuration reuses the trained policy.
    """
    with one_line_errors():
        config = load_profile(profile, tuple(override or ()))
        # kfp takes seconds to import; a mistake in the profile is answered before that.
        from pipelines.check_normalization import check_normalization
        from pipelines.local import runner as local

        run_id = f"check-normalization-{config.digest()[:12]}"
        folder, disks = runs / run_id, local_disks(state_dir, runs)
        check_run(config, (runs, state_dir), **disks)
        with local.stages_end_with_us(), session_services(state_dir, s3_port, mlflow_port) as mlflow_page:
            local.check_services(config)
            console.print(f"run [bold]{run_id}[/bold]: {escape(config.description)}", soft_wrap=True)
            folder.mkdir(parents=True, exist_ok=True)
            local.run_stages(check_normalization, config, run_id, folder)
        console.print(f"log         {folder / 'run.log'}", soft_wrap=True)
        console.print(f"MLflow UI   {escape(mlflow_page)}", soft_wrap=True)


@app.command()
def resume(
    kills: Annotated[int, typer.Option(min=1, help="How often the training is killed.")] = 25,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the moments; a random one is printed.")] = None,
    override: Overrides = None,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Kill a tiny training at random moments, and show that it ends with the same weights, bit for bit."""
    with one_line_errors("interrupted; the training was stopped"):
        from gift.fault_injection.kill import random_kills
        from gift.fault_injection.resume_check import check_resume, tiny_training
        from pipelines.local import runner as local  # kfp takes seconds to import

        config = tiny_training(kills, tuple(override or ()))
        check_run(config, (state_dir,))
        chosen = secrets.randbelow(2**31) if seed is None else seed
        console.print(f"seed {chosen}, {config.rl.steps} steps on {config.compute.ranks} ranks")
        with local.stages_end_with_us(), session_services(state_dir, s3_port, mlflow_port):
            local.check_services(config)
            drawn = random_kills(chosen, kills, config.compute.ranks)
            check_resume(config, drawn, lambda line: console.print(line, soft_wrap=True, highlight=False))
        console.print(f"[green]ok[/green] after {kills} kills: the same weights as without any, bit for bit")


@app.command("data")
def data_command(
    path: Annotated[Path, typer.Argument(help="JSON Lines: problems, or questions with scored responses.")],
) -> None:
    """Read a file of your own data: what is in it, and which final answers can be earned where they are looked for."""
    with one_line_errors("interrupted"):
        for line in _lines(survey_file(path)):
            console.print(escape(line), soft_wrap=True, highlight=False)


def _lines(found: DataSurvey) -> list[str]:
    rows = "questions with scored responses" if found.scored else "problems"
    return [
        f"{found.rows} {rows}; {found.repeated_questions} repeat a question, and {found.repeated_ids} an id",
        f"{found.worked_answers} worked answers, {found.final_answers} final answers",
        f"longest: question {found.longest_question} characters, answer {found.longest_answer}",
        *(
            f"{len(lost)} final answers can't be earned with {reads}; the first is {lost[0].final_answer!r:.60} of "
            f"problem {lost[0].id}"
            if lost
            else f"every final answer can be earned with {reads}"
            for reads, lost in found.unearnable.items()
        ),
    ]
