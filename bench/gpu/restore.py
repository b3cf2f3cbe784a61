"""The trained model, from the initial one and what training changed.

    python bench/gpu/restore.py MODEL CHANGE OUT

MODEL is the model that was packed, whole or trimmed; CHANGE is a file `change-1024.safetensors` that `run.sh` wrote.
"""

import argparse
from pathlib import Path

from packing import add_change

from isoglot import load_encoder, save_model

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("change", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    save_model(add_change(load_encoder(arguments.model), arguments.change), arguments.out)
