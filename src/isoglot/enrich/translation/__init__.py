"""Machine translation: parallel pairs from monolingual ones, by engines that are installed or reached, with checks."""

from isoglot.enrich.translation.engines import ENGINES, Engine, load_engine
from isoglot.enrich.translation.translating import TranslationReport, translate

__all__ = ["ENGINES", "Engine", "TranslationReport", "load_engine", "translate"]
