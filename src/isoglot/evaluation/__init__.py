"""How well and how fairly a model ranks: exact ranks, measures, language bias, results."""
