"""Studies: recipes of many training runs that answer one question, with the statistics to trust the answer."""

from isoglot.studies.forecasting import Forecast, forecast
from isoglot.studies.reading import load_study, study_names
from isoglot.studies.recipe import Study
from isoglot.studies.runner import run_study

__all__ = ["Forecast", "Study", "forecast", "load_study", "run_study", "study_names"]
