"""WordLlama's vectors of the words that the gallery's texts have, in word2vec's binary form.

    python gallery/words.py gallery/hpo/entities.tsv gallery/hpo/wordllama.bin

The package wordllama carries 32,000 vectors of sub-words, trained from those of a large language
model; a text is the mean of its pieces. Here a word is the mean of its pieces, and `kind: words`
takes the mean of the words. Words are split as the encoder splits them.
"""

import csv
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from kgtextvec.encoders.elmo.words import split_words
from kgtextvec.evaluate.masking import NAME_MASK

TOKENS = "treebank_hyphen"  # the default of catalogue.NAME.tokens


def words_of(table: Path) -> list[str]:
    """Return the distinct words of names and definitions, and the word that masks others."""
    found = {NAME_MASK}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            for text in (row["name"], row["description"], f"{row['name']}. {row['description']}"):
                found.update(split_words(text, TOKENS))
    return sorted(found)


def main(table: Path, out: Path) -> None:
    """Write the file."""
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("gallery/words.py: the package wordllama is not installed. Run: make gallery")
    package = Path(spec.submodule_search_locations[0])
    pieces = load_file(package / "weights/l2_supercat_256.safetensors")["embedding.weight"]
    tokenizer = Tokenizer.from_file(str(package / "tokenizers/l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    words = words_of(table)
    with out.open("wb") as file:
        file.write(f"{len(words)} {pieces.shape[1]}\n".encode())
        for word, encoded in zip(
            words, tokenizer.encode_batch(words, add_special_tokens=False), strict=True
        ):
            vector = pieces[encoded.ids].astype(np.float64).mean(axis=0).astype("<f4")
            file.write(word.encode() + b" " + vector.tobytes() + b"\n")
    print(f"{out}: {len(words):,} words, {pieces.shape[1]} dims")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
