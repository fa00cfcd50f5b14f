"""The encoder as an ONNX graph without its weights: those come at load, from the model's file.

Every matrix is multiplied in eight bits with scales taken from the input at hand, by onnxruntime's
own operators (domain com.microsoft).
"""

from __future__ import annotations

from onnx import TensorProto, helper

from vectorstore.e5 import DIMENSIONS
from vectorstore.prompt_encoder import WIDTH

HEADS = 12
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

    def layer(self, states: str, name: str) -> str:
        both = self.times(states, f"{name}.qkv", DIMENSIONS, 3 * DIMENSIONS)
        parts = self.node("Split", [both], 3, axis=2)
        seen = self.node("MultiHeadAttention", parts, num_heads=HEADS)[0]
        seen = self.times(seen, f"{name}.ao", DIMENSIONS, DIMENSIONS)
        states = self.added(states, seen, f"{name}.aln")
        wide = self.node("Gelu", [self.times(states, f"{name}.fi", DIMENSIONS, WIDTH)])[0]
        return self.added(states, self.times(wide, f"{name}.fo", WIDTH, DIMENSIONS), f"{name}.oln")

    def added(self, states: str, change: str, name: str) -> str:
        """Not by onnxruntime's fused operator, which takes six times as long as these two."""
        return self.normalised(self.node("Add", [states, change])[0], name)

    def normalised(self, states: str, name: str) -> str:
        inputs = [states, *self.normal(name)]
        return self.node("LayerNormalization", inputs, epsilon=EPSILON, axis=-1)[0]


def encoder(topic: int, layers: int) -> bytes:
    """A graph from embedded tokens (1, tokens, 384) to a vector (1, 768): the mean over the tokens
    after the last layer, then the one after layer number `topic`."""
    made = _Builder()
    states = made.normalised("states", "emb.ln")
    means = []
    for number in range(layers):
        states = made.layer(states, f"l{number}")
        if number + 1 in (topic, layers):
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
