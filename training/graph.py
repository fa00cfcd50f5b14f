"""The encoder as an ONNX graph without its weights: those come at load, from the model's file.

Every matrix is multiplied in eight bits with scales taken from the input at hand, by onnxruntime's
own operators (domain com.microsoft).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import TensorProto, helper

from vectorstore.e5 import DIMENSIONS
from vectorstore.prompt_encoder import HEAD, HEADS, WIDTH

EPSILON = 1e-12
_OWN = "com.microsoft"
_STANDARD = ("Add", "LayerNormalization", "Split", "ReduceMean", "Concat")


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[object] = []
        self.weights: list[object] = []

    def node(self, kind: str, inputs: list[str], outputs: int = 1, **settings: object) -> list[str]:
        names = [f"n{len(self.nodes)}.{number}" for number in range(outputs)]
        domain = "" if kind in _STANDARD else _OWN
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **settings))
        return names

    def weight(self, name: str, kind: int, *shape: int) -> str:
        tensor = TensorProto(name=name, data_type=kind, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="given at load")
        self.weights.append(tensor)
        return name

    def times(self, states: str, name: str, inputs: int, outputs: int) -> str:
        return self.node(
            "DynamicQuantizeMatMul",
            [
                states,
                self.weight(f"{name}.w", TensorProto.INT8, inputs, outputs),
                self.weight(f"{name}.s", TensorProto.FLOAT, outputs),
                self.weight(f"{name}.z", TensorProto.INT8, outputs),
                self.weight(f"{name}.b", TensorProto.FLOAT, outputs),
            ],
        )[0]

    def normal(self, name: str) -> list[str]:
        return [self.weight(f"{name}.{part}", TensorProto.FLOAT, DIMENSIONS) for part in "wb"]

    def layer(self, states: str, name: str, heads: int, neurons: int) -> str:
        seen = heads * HEAD
        both = self.times(states, f"{name}.qkv", DIMENSIONS, 3 * seen)
        parts = self.node("Split", [both], 3, axis=2)
        attended = self.node("MultiHeadAttention", parts, num_heads=heads)[0]
        attended = self.times(attended, f"{name}.ao", seen, DIMENSIONS)
        states = self.added(states, attended, f"{name}.aln")
        wide = self.node("Gelu", [self.times(states, f"{name}.fi", DIMENSIONS, neurons)])[0]
        change = self.times(wide, f"{name}.fo", neurons, DIMENSIONS)
        return self.added(states, change, f"{name}.oln")

    def added(self, states: str, change: str, name: str) -> str:
        """Not by onnxruntime's fused operator, which takes six times as long as these two."""
        return self.normalised(self.node("Add", [states, change])[0], name)

    def normalised(self, states: str, name: str) -> str:
        inputs = [states, *self.normal(name)]
        return self.node("LayerNormalization", inputs, epsilon=EPSILON, axis=-1)[0]


def widths(adapter: Mapping[str, np.ndarray]) -> list[tuple[int, int]]:
    """The heads and the neurons that an adapter keeps of each layer."""

    def count(name: str, all_: int) -> int:
        return len(adapter[name]) if name in adapter else all_

    return [
        (count(f"l{number}.heads", HEADS), count(f"l{number}.wide", WIDTH))
        for number in range(int(adapter["layers"]))
    ]


def encoder(topic: int, widths: Sequence[tuple[int, int]]) -> bytes:
    """A graph from embedded tokens (1, tokens, 384) to a vector (1, 768): the mean over the tokens
    after the last layer, then the one after layer number `topic`.

    `widths` are the heads and the neurons of each layer.
    """
    made = _Builder()
    states = made.normalised("states", "emb.ln")
    means = []
    for number, (heads, neurons) in enumerate(widths):
        states = made.layer(states, f"l{number}", heads, neurons)
        if number + 1 in (topic, len(widths)):
            means.append(made.node("ReduceMean", [states], axes=[1], keepdims=0)[0])
    made.nodes.append(helper.make_node("Concat", means[::-1], ["vector"], axis=1))
    graph = helper.make_graph(
        made.nodes,
        "prompt-encoder",
        [helper.make_tensor_value_info("states", TensorProto.FLOAT, [1, "tokens", DIMENSIONS])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 2 * DIMENSIONS])],
        made.weights,
    )
    sets = [helper.make_opsetid("", 17), helper.make_opsetid(_OWN, 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=9)
    data: bytes = model.SerializeToString()
    return data
