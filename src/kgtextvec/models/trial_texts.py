"""Texts that a new model is tried with: English, or of its own vocabulary where that has no words.

The two texts of a trial begin alike: a model that looks at their beginning alone shows.
"""

from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.progress import say

SENTENCE = "Encodes tumor protein p53 (TP53), a regulator of the cell cycle in the brain."
OTHER_SENTENCE = "Encodes tumor protein p53 (TP53), a regulator of the cell cycle in acute disease."
# A vocabulary of words has some of these, or their pieces.
COMMON = {"the", "of", "and", "in", "is", "to", "with"}
PIECE_MARKS = "#▁Ġ"  # of a piece inside a word, or after a space
OWN_TOKENS = 12


def trial_texts(folder: Path, tokenizer: Any) -> tuple[str, str]:
    """Return two texts that the tokenizer knows; they begin alike.

    Raises InputError if it knows no word although its vocabulary is one of words, or nothing.
    """
    if tells_apart(tokenizer, SENTENCE, OTHER_SENTENCE):
        return SENTENCE, OTHER_SENTENCE
    special = set(tokenizer.all_special_ids)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    own = [
        token for token, ident in vocabulary if ident not in special and token.strip(PIECE_MARKS)
    ]
    if not COMMON & {token.strip(PIECE_MARKS).lower() for token in own}:
        letters = [token for token in own if token.isalnum()][: OWN_TOKENS + 2]
        for between in ("", " "):
            texts = (
                between.join([*letters[:OWN_TOKENS], letters[-2]]) if len(letters) > 3 else "",
                between.join([*letters[:OWN_TOKENS], letters[-1]]) if len(letters) > 3 else "",
            )
            if tells_apart(tokenizer, *texts):
                say(f"{folder}: no vocabulary of words; tried with its own tokens: {texts[0]!r}")
                return texts
    raise InputError(
        f"{folder}: the tokenizer knows no word of {SENTENCE!r}. Its vocabulary is missing or not"
        " of this model. Get the model's own."
    )


def tells_apart(tokenizer: Any, *texts: str) -> bool:
    """Return whether the texts have ids of their own, and at least two known tokens each."""
    from kgtextvec.models.tokenizer import ids_of

    unknown = set(tokenizer.all_special_ids) | {tokenizer.unk_token_id}
    found = [ids_of(tokenizer, text) for text in texts]
    return found[0] != found[1] and all(len(set(ids) - unknown) > 1 for ids in found)
