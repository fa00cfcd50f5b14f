"""`--route`: the dry run. The category, the reasons, and the order of the models."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

from config.redaction import json_text
from graph.router import Router
from race.state import Route


def run(args: argparse.Namespace) -> int:
    router = Router.from_config(args.config, args.data)
    try:
        route = router.route(args.route)
    finally:
        router.close()
    print(json_text(json.dumps(route, ensure_ascii=False)) if args.json else render(route))
    return 0


def render(route: Route) -> str:
    """A route as lines of text."""
    probabilities = sorted(route["probabilities"].items(), key=lambda item: -item[1])
    lines = [
        f"category   {route['category']} (confidence {route['confidence']:.2f}, "
        f"margin {route['margin']:.2f})",
        "           " + "  ".join(f"{name} {share:.2f}" for name, share in probabilities),
    ]
    evidence = route["evidence"]
    for rule in _listed(evidence.get("rules")):
        lines.append(f"rule       {rule}")
    for near in _listed(evidence.get("nearest")):
        if isinstance(near, Mapping):
            place = f"{near['similarity']:.2f} {near['category']}"
            lines.append(f"nearest    {place}: {near['example']}")
    lines.append("order      " + (" > ".join(route["order"]) or "no provider is enabled"))
    return "\n".join(lines)


def _listed(evidence: object) -> Sequence[object]:
    return evidence if isinstance(evidence, list | tuple) else ()
