"""Tiny random checkpoints with real tokenizers, made on the spot: the models of the tests.

Each builder writes a folder as one finds it on a model hub and returns it: config.json, weights
and tokenizer files. Weights are random but fixed by `seed`. Nothing here needs the network.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

WORDS_TEXT = (
    "the of a and is in to by with protein kinase disease cell receptor gene binding acute"
    " chronic syndrome pathway alpha beta deficiency factor response brain cancer inhibitor"
    " encodes tumor regulator cycle compound treats central nervous system organ progressive"
    " disorder opioid antagonist relation associated anemia sickle"
)
WORDS = WORDS_TEXT.split()
NAMES = ["TP53", "BRCA1", "EGFR", "DNA", "RNA", "Alzheimer", "Naltrexone", "The", "Encodes", "An"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SIGNS = ".,:;()[]<>/-+'\"|%&?!#"
CORPUS = [
    " ".join((WORDS + NAMES)[start::step]) + "." for step in range(1, 8) for start in range(step)
]


def tiny_bert(
    folder: Path,
    cased: bool = True,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    words: Iterable[str] = (),
    weights: str = "bin",
    tokenizer_config: bool = False,
    max_positions: int = 512,
    scale: float = 0.3,
) -> Path:
    """Write a BERT as dmis-lab/biobert-base-cased-v1.1 lies on the hub.

    That is config.json, vocab.txt and pytorch_model.bin, without tokenizer_config.json (unless
    `tokenizer_config`), so that a careless reader lower-cases it. `words` join the vocabulary.
    """
    from transformers import BertConfig, BertModel

    vocabulary = wordpieces(cased, words)
    config = BertConfig(
        vocab_size=len(vocabulary),
        max_position_embeddings=max_positions,
        **encoder_size(hidden, layers),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "vocab.txt", vocabulary)
    if tokenizer_config:
        write(folder / "tokenizer_config.json", {"do_lower_case": not cased})
    return save(folder, BertModel, config, seed, weights, scale)


def tiny_roberta(
    folder: Path,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    words: Iterable[str] = (),
    weights: str = "bin",
    max_positions: int = 514,
    scale: float = 0.3,
) -> Path:
    """Write a RoBERTa as RoBERTa-large-PM-M3-Voc-hf: vocab.json, merges.txt, no `<mask>`.

    As there, the model has 8 embedding rows more than the tokenizer has ids, and 514 positions,
    of which a text may use 512.
    """
    from transformers import RobertaConfig, RobertaModel

    folder.mkdir(parents=True, exist_ok=True)
    size = byte_bpe(folder, ["<s>", "<pad>", "</s>", "<unk>"], words)
    config = RobertaConfig(
        vocab_size=size + 8,
        max_position_embeddings=max_positions,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **encoder_size(hidden, layers),
    )
    return save(folder, RobertaModel, config, seed, weights, scale)


def tiny_mpnet(
    folder: Path,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    words: Iterable[str] = (),
    weights: str = "safetensors",
    max_positions: int = 514,
    scale: float = 0.3,
) -> Path:
    """Write an MPNet (lower-casing wordpieces between `<s>` and `</s>`; 512 usable positions)."""
    from transformers import MPNetConfig, MPNetModel

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = wordpieces(False, words, special, ["[UNK]", "<mask>"])
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "vocab.txt", vocabulary)
    write(
        folder / "tokenizer_config.json",
        {"do_lower_case": True, "tokenizer_class": "MPNetTokenizer", "model_max_length": 512},
    )
    config = MPNetConfig(
        vocab_size=len(vocabulary),
        max_position_embeddings=max_positions,
        **encoder_size(hidden, layers),
    )
    return save(folder, MPNetModel, config, seed, weights, scale)


def tiny_distilbert(
    folder: Path,
    cased: bool = False,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    words: Iterable[str] = (),
    weights: str = "safetensors",
    scale: float = 0.3,
) -> Path:
    """Write a DistilBERT: no pooler, no token types, other names in its config."""
    from transformers import DistilBertConfig, DistilBertModel

    vocabulary = wordpieces(cased, words)
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "vocab.txt", vocabulary)
    write(folder / "tokenizer_config.json", {"do_lower_case": not cased})
    config = DistilBertConfig(
        vocab_size=len(vocabulary), dim=hidden, n_layers=layers, n_heads=4, hidden_dim=2 * hidden
    )
    return save(folder, DistilBertModel, config, seed, weights, scale)


def tiny_electra(
    folder: Path,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    words: Iterable[str] = (),
    weights: str = "bin",
    scale: float = 0.3,
) -> Path:
    """Write an ELECTRA whose embeddings are narrower than its layers (a projection between)."""
    from transformers import ElectraConfig, ElectraModel

    vocabulary = wordpieces(False, words)
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "vocab.txt", vocabulary)
    write(folder / "tokenizer_config.json", {"do_lower_case": True})
    config = ElectraConfig(
        vocab_size=len(vocabulary), embedding_size=hidden // 2, **encoder_size(hidden, layers)
    )
    return save(folder, ElectraModel, config, seed, weights, scale)


def tiny_deberta_v2(
    folder: Path,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    words: Iterable[str] = (),
    weights: str = "safetensors",
    scale: float = 0.3,
) -> Path:
    """Write a DeBERTa-v2 with a unigram tokenizer.json (relative positions, no token types)."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import DebertaV2Config, DebertaV2Model

    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        special_tokens=special,
        unk_token="[UNK]",  # noqa: S106 (a token of text, no secret)
        initial_alphabet=list(LETTERS + LETTERS.upper()[:26] + SIGNS),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*CORPUS, *words], trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write(
        folder / "tokenizer_config.json",
        {"do_lower_case": False, "vocab_type": "spm", "tokenizer_class": "DebertaV2Tokenizer"},
    )
    config = DebertaV2Config(
        vocab_size=tokenizer.get_vocab_size() + 8,
        max_position_embeddings=512,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        **encoder_size(hidden, layers),
    )
    return save(folder, DebertaV2Model, config, seed, weights, scale)


def tiny_modernbert(
    folder: Path,
    seed: int = 0,
    hidden: int = 32,
    layers: int = 2,
    words: Iterable[str] = (),
    weights: str = "safetensors",
    max_positions: int = 1024,
    scale: float = 0.3,
) -> Path:
    """Write a ModernBERT: rotary positions, no biases, tokenizer.json as its only vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import ModernBertConfig, ModernBertModel

    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*CORPUS, *words], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_positions,
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "mask_token": "[MASK]",
            "model_input_names": ["input_ids", "attention_mask"],
        },
    )
    config = ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=max_positions,
        pad_token_id=3,
        cls_token_id=1,
        sep_token_id=2,
        bos_token_id=1,
        eos_token_id=2,
        **encoder_size(hidden, layers),
    )
    return save(folder, ModernBertModel, config, seed, weights, scale)


BUILDERS: dict[str, Callable[..., Path]] = {
    "bert": tiny_bert,
    "roberta": tiny_roberta,
    "mpnet": tiny_mpnet,
    "distilbert": tiny_distilbert,
    "electra": tiny_electra,
    "deberta-v2": tiny_deberta_v2,
    "modernbert": tiny_modernbert,
}


def wordpieces(
    cased: bool,
    words: Iterable[str] = (),
    special: Iterable[str] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    last: Iterable[str] = (),
) -> list[str]:
    """Return a WordPiece vocabulary: special tokens, letters and their inner forms, words."""
    letters = LETTERS + (LETTERS.upper()[:26] if cased else "")
    own = [*WORDS, *NAMES, *words]
    pieces = [*special, *SIGNS, *letters, *(f"##{letter}" for letter in letters)]
    pieces += own if cased else [word.lower() for word in own]
    return list(dict.fromkeys([*pieces, *last]))


def byte_bpe(folder: Path, special: list[str], words: Iterable[str]) -> int:
    """Train a byte-level BPE; write vocab.json and merges.txt; return the vocabulary's size."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*CORPUS, *words], trainer)
    tokenizer.model.save(str(folder))
    return int(tokenizer.get_vocab_size())


def encoder_size(hidden: int, layers: int) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 2 * hidden,
    }


def save(folder: Path, kind: Any, config: Any, seed: int, weights: str, scale: float) -> Path:
    """Write config.json and random weights, wide enough that texts get different vectors."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config)
        for name, value in model.named_parameters():
            if value.dim() == 2:
                torch.nn.init.normal_(value, std=scale)
            elif name.endswith("bias"):
                torch.nn.init.normal_(value, std=0.05)
    config.architectures = [kind.__name__]
    settings = {key: value for key, value in config.to_diff_dict().items() if value is not None}
    settings.pop("_name_or_path", None)
    write(folder / "config.json", settings)
    write_weights(folder, model.state_dict(), weights)
    return folder


def as_converted(raw: Path) -> Path:
    """Save a tiny model beside itself as convert-model does: safetensors and its tokenizer."""
    from transformers import AutoModel, AutoTokenizer

    folder = raw.parent / "model"
    AutoModel.from_pretrained(str(raw)).save_pretrained(str(folder))
    AutoTokenizer.from_pretrained(str(raw)).save_pretrained(str(folder))
    return folder


def read_weights(folder: Path) -> dict[str, Any]:
    """Return the tensors of a folder by name."""
    import torch
    from safetensors.torch import load_file

    if (folder / "model.safetensors").exists():
        return dict(load_file(folder / "model.safetensors"))
    return dict(torch.load(folder / "pytorch_model.bin", weights_only=True))


def write_weights(folder: Path, tensors: dict[str, Any], weights: str = "bin") -> None:
    """Write tensors as pytorch_model.bin (`bin`) or model.safetensors, and remove the other."""
    import torch
    from safetensors.torch import save_file

    for name in ("pytorch_model.bin", "model.safetensors"):
        (folder / name).unlink(missing_ok=True)
    if weights == "bin":
        torch.save(dict(tensors), folder / "pytorch_model.bin")
    else:
        whole = {name: value.clone().contiguous() for name, value in tensors.items()}
        save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})


def change_weights(folder: Path, change: Callable[[str, Any], tuple[str, Any] | None]) -> Path:
    """Pass every (name, tensor) through `change`; None drops it. Keeps the file's form."""
    weights = "safetensors" if (folder / "model.safetensors").exists() else "bin"
    pairs = (change(name, value) for name, value in read_weights(folder).items())
    write_weights(folder, dict(pair for pair in pairs if pair), weights)
    return folder


def write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2), "utf-8")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
