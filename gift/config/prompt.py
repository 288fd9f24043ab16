"""How a model is asked."""

from gift.config.section import Section

CHAT = "chat"


class PromptFormat(Section):
    """A run's `prompt` and `system`: a text with {question} in it, or the model's own chat template."""

    template: str
    """With {question}; or `chat`."""
    system: str | None = None
    """The system message of a chat."""

    @property
    def chat(self) -> bool:
        """Whether the model's own chat template asks the question."""
        return self.template == CHAT
