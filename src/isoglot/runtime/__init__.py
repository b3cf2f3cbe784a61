"""Encoders as a search needs them: texts to vectors, with what must be known of both, and without torch."""
