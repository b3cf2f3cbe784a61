"""The quickstart from Python: python quickstart.py MODEL PAIRS FOLDER [STEPS]."""

import sys
from pathlib import Path

import isoglot
from isoglot import save_report, verdict


def main(model_name: str, file: str, folder: Path, steps: int) -> None:
    """Hold pairs out, audit, debias, train, evaluate and report."""
    pairs, dropped = isoglot.load_pairs(file).deduplicate()
    print(dropped)
    training, held_out = pairs.split(0.2, seed=0)
    isoglot.write_pairs(training, folder / "training.jsonl")
    isoglot.write_pairs(held_out, folder / "held-out.jsonl")

    model = isoglot.load_encoder(model_name)
    base = isoglot.audit(model, held_out, name="base")
    print(*verdict(base), sep="\n")

    debiased = isoglot.debias(model, training)
    isoglot.save_model(debiased, folder / "debiased")

    config = isoglot.TrainConfig.model_validate(
        {
            "model": model_name,
            "output": str(folder / "run"),
            "data": [{"source": str(folder / "training.jsonl")}],
            "debias": {},
            "batches": {"strategy": "hybrid", "alpha": 0.5, "size": 16},
            "steps": steps,
            "validation": {"examples": 0},
        }
    )
    trained = isoglot.load_encoder(isoglot.train(config))

    results = [base]
    for name, system in (("debiased", debiased), ("trained", trained)):
        results.append(isoglot.audit(system, held_out, name=name))
        results[-1].save(folder / "results" / name)
    print(results[-1].setting("multilingual"), results[-1].bias("rank_distance"))
    save_report(results, folder / "report.html")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 200)
