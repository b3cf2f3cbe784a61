"""Fine-tune a model of your own with hybrid batches, in plain sentence-transformers.

python drop_in_sampler.py MODEL OUTPUT [STEPS]      MODEL is a hub id or a folder
"""

import sys

from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from isoglot import language_batch_sampler

# Your data goes here: for each id a query and a passage in every language.
TEXTS = {
    "en": ("Which city is the capital of {}?", "{} is the capital of {}."),
    "de": ("Welche Stadt ist die Hauptstadt von {}?", "{} ist die Hauptstadt von {}."),
    "es": ("¿Qué ciudad es la capital de {}?", "{} es la capital de {}."),
}
CAPITALS = {
    "en": ["France/Paris", "Italy/Rome", "Poland/Warsaw", "Greece/Athens", "Egypt/Cairo", "Cuba/Havana"],
    "de": ["Frankreich/Paris", "Italien/Rom", "Polen/Warschau", "Griechenland/Athen", "Ägypten/Kairo", "Kuba/Havanna"],
    "es": ["Francia/París", "Italia/Roma", "Polonia/Varsovia", "Grecia/Atenas", "Egipto/El Cairo", "Cuba/La Habana"],
}


def finished_pairs() -> Dataset:
    """Every query with the passage of its id in every language: one row per pair."""
    rows = []
    for number in range(len(CAPITALS["en"])):
        texts = {}
        for language, (query, passage) in TEXTS.items():
            country, capital = CAPITALS[language][number].split("/")
            texts[language] = (query.format(country), passage.format(capital, country))
        for query_language in texts:
            for passage_language in texts:
                rows.append(
                    {
                        "id": f"capital-{number}",
                        "query_language": query_language,
                        "passage_language": passage_language,
                        "query": texts[query_language][0],
                        "passage": texts[passage_language][1],
                    }
                )
    return Dataset.from_list(rows)


def main(model_name: str, output: str, steps: int) -> None:
    """Train for some steps and save the model."""
    dataset = finished_pairs()
    model = SentenceTransformer(model_name)
    prompts = {"query": model.prompts.get("query", ""), "passage": model.prompts.get("document", "")}
    args = SentenceTransformerTrainingArguments(
        output_dir=f"{output}/checkpoints",
        max_steps=steps,
        per_device_train_batch_size=4,
        batch_sampler=language_batch_sampler(dataset, strategy="hybrid", alpha=0.5),
        prompts=prompts if any(prompts.values()) else None,
        save_strategy="no",
        report_to="none",
    )
    trainer = SentenceTransformerTrainer(
        model,
        args,
        # The trainer would tokenise the other columns as text, so it gets these two only.
        train_dataset=dataset.select_columns(["query", "passage"]),
        loss=MultipleNegativesRankingLoss(model, scale=1 / 0.05),
    )
    trainer.train()
    model.save_pretrained(f"{output}/model")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 100)
