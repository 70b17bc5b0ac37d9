"""What an update would do: the model of a preview, how it is read from the engine's events, and its renderings."""
