"""How GGUF files name the way in which texts are cut before pieces are looked for (`tokenizer.ggml.pre`).

The names are those of llama.cpp, which defines what each means; transformers knows some of them, and takes GPT-2's way
for all others. Here are more of them, and nothing is taken for granted: a name that neither knows is none of GPT-2's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, pre_tokenizers

VERSION = 1
"""Goes up when files that were converted before would now be cut otherwise."""
UNKNOWN = "unknown_pre_tokenizer"
"""The setting in tokenizer_config.json that marks a tokenizer which cuts texts by a guess."""
MISSING = "none"

_GPT2 = (
    *("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4", "gigachat", "mellum"),
    *("a.x-4.0", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de"),
)
_DIGITS = ("starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b")
_QWEN2 = ("stablelm2", "hunyuan", "solar-open", "grok-2")
_LLAMA3 = ("chatglm-bpe", "glm4")
_DEEPSEEK3 = ("deepseek-v3", "hunyuan-dense", "joyai-llm")
_WHOLE_WORDS = ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "tekken")
"""Their words that are pieces of the vocabulary are taken whole, whatever the merges make of them."""

_DIGIT = r"\p{N}"
_UP_TO_THREE_DIGITS = r"\p{N}{1,3}"
_HAN_AND_KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_DEEPSEEK3_REST = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DEEPSEEK_CODER = (
    *(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+"),
    *("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", _DIGIT),
)


def set_pre_tokenizer(tokenizer: Tokenizer, name: str | None) -> bool:
    """Has a byte-level tokenizer that transformers made of a GGUF file cut texts as the file's name for it says.

    False where the name is not known, or there is none: then it is left as it is, and cuts texts by a guess.
    """
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    if not is_known(name):
        return False
    if name in _WHOLE_WORDS:
        tokenizer.model.ignore_merges = True
    if name in GGUF_PRE_TOKENIZER_SPLITS:
        return True
    splits = {
        **dict.fromkeys(_GPT2, ((), True)),
        **dict.fromkeys(_DIGITS, ((_DIGIT,), True)),
        **dict.fromkeys(_QWEN2, ((GGUF_PRE_TOKENIZER_SPLITS["qwen2"],), False)),
        **dict.fromkeys(_LLAMA3, ((GGUF_PRE_TOKENIZER_SPLITS["llama-bpe"],), False)),
        **dict.fromkeys(_DEEPSEEK3, ((_UP_TO_THREE_DIGITS, _HAN_AND_KANA, _DEEPSEEK3_REST), False)),
        "deepseek-coder": (_DEEPSEEK_CODER, False),
    }
    patterns, as_gpt2 = splits[str(name)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in patterns),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=as_gpt2),
        ]
    )
    return True


def is_known(name: str | None) -> bool:
    """Whether a name says how texts are cut."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    ours = (*_GPT2, *_DIGITS, *_QWEN2, *_LLAMA3, *_DEEPSEEK3, "deepseek-coder")
    return name in GGUF_PRE_TOKENIZER_SPLITS or name in ours


def read_names(file: Path) -> tuple[str, str | None]:
    """The kind of a GGUF file's tokenizer, such as `gpt2`, and its name for how texts are cut. Reads no arrays."""
    from transformers.integrations.gguf.reader import read_gguf_metadata

    metadata: dict[str, Any] = read_gguf_metadata(str(file))[0]
    return str(metadata.get("tokenizer.ggml.model")), metadata.get("tokenizer.ggml.pre")


def objection(name: str, where: Path) -> str:
    """Why a tokenizer is refused that cuts texts by a guess."""
    what = "does not name" if name == MISSING else f"names '{name}' for"
    unknown = "" if name == MISSING else ", a way that is not known here"
    return (
        f"{where}: the GGUF file {what} how its texts are cut before pieces are looked for{unknown}. Taking GPT-2's, "
        "as transformers does, would train the model on other tokens than its own. Name the model's own directory or "
        "hub name as `model:`; or copy the converted directory, put the model's own tokenizer.json and "
        "tokenizer_config.json into it, and name that."
    )
