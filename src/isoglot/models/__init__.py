"""Encoders: where they come from, texts to vectors, free remedies, smaller vocabularies."""
