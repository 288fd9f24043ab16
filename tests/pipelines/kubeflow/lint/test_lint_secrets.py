"""The rule about secrets in plain values: what it finds, and never shows."""

from collections.abc import Callable

import pytest
from kfp import dsl
from linting import IMAGE, echo, found, sound


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "abc/def"),
        ("GITHUB_TOKEN", "abc"),
        ("DB_PASSWORD", "abc"),
        ("SLACK_SECRET", "abc"),
        ("SOME_SETTING", "AKIAABCDEFGHIJKLMNOP"),
        ("TRACKER", "https://me:abc@mlflow.internal/"),
        ("SOME_JSON", '{"deep": [{"api_key": "abc"}]}'),
        ("KEY_FILE", "-----BEGIN RSA PRIVATE KEY-----\nabc"),
        ("HUB", "hf_" + "abcdefghij" * 4),
    ],
)
def test_a_secret_in_the_environment_is_found_and_not_shown(
    compiled: Callable[..., str], name: str, value: str
) -> None:
    def build() -> None:
        sound(echo()).set_env_variable(name, value)

    (line,) = found(compiled(build), "plain-secret")
    assert line.startswith(f"echo: the environment variable {name} holds ")
    assert "abc" not in line
    assert "AKIA" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_REGION", "eu-central-1"),
        ("MAX_NEW_TOKENS", "1024"),
        ("MAX_TOKEN", "1024"),
        ("SETTINGS", '{"pad_token": "<pad>", "tokenizer.eos_token": "<eos>"}'),
        ("GITHUB_TOKEN", ""),
        ("SETTINGS", '{"s3_secret": "gift-s3", "max_new_tokens": 1024, "token": null}'),
        ("TRACKER", "https://mlflow.internal:443/path@v1"),
    ],
)
def test_what_only_looks_like_a_secret_passes(compiled: Callable[..., str], name: str, value: str) -> None:
    def build() -> None:
        sound(echo()).set_env_variable(name, value)

    assert found(compiled(build), "plain-secret") == []


def test_secrets_in_defaults_and_inputs_and_commands_are_found(compiled: Callable[..., str]) -> None:
    @dsl.container_component
    def fetch(token: str) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image=IMAGE, command=["curl", "https://me:abc@example.com/"], args=[token])

    def build(password: str = "abc", secret_name: str = "gift-s3") -> None:
        sound(fetch(token="abc"))
        sound(fetch(token=password))

    assert {line.partition(";")[0] for line in found(compiled(build), "plain-secret")} == {
        "parameter password: its default holds a literal password",
        "fetch: the input token holds a literal token",
        "fetch: its command holds an address with a password",
        "fetch-2: its command holds an address with a password",
    }
