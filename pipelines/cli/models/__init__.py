"""Commands about registered models: who is champion, and how it is served."""
