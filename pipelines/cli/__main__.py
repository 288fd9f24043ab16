"""`python -m pipelines.cli` is `gift`, from whichever checkout Python finds first."""

from pipelines.cli.main import app

app()
