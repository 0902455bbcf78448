"""Leads that a server accepts, made from its own `/openapi.json`."""

import math
import random
from collections.abc import Callable
from typing import Any

Maker = Callable[[random.Random], object]


class Leads:
    """Makes leads; the same seed makes the same ones."""

    def __init__(self, openapi: dict[str, Any], seed: int) -> None:
        schema = openapi["components"]["schemas"]["Features"]
        self._required = frozenset(schema.get("required", []))
        self._makers = {name: maker(rule) for name, rule in schema["properties"].items()}
        # Not for secrets.
        self._random = random.Random(seed)  # nosec B311

    def lead(self, lead_id: str) -> dict[str, object]:
        """A fifth of the values that may be missing are null, a fifth are left out."""
        features: dict[str, object] = {}
        for name, make in self._makers.items():
            turn = 1.0 if name in self._required else self._random.random()
            if turn >= 0.2:
                features[name] = None if turn < 0.4 else make(self._random)
        return {"lead_id": lead_id, "features": features}


def maker(rule: dict[str, Any]) -> Maker:
    """What makes a value of a property."""
    if "enum" in rule:
        words = [word for word in rule["enum"] if word is not None]
        return lambda chance: chance.choice(words)
    if choices := rule.get("anyOf", rule.get("oneOf")):
        return maker(next(choice for choice in choices if choice.get("type") != "null"))
    # Between 0 and 100, or as near as the model's range allows.
    low = max(rule.get("minimum", rule.get("exclusiveMinimum", 0)), min(0, rule.get("maximum", 0)))
    high = min(rule.get("maximum", rule.get("exclusiveMaximum", 100)), max(100, low))
    types = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
    if "integer" in types:
        return lambda chance: chance.randint(math.ceil(low), math.floor(high))
    if "number" in types:
        width = high - low
        return lambda chance: low + width * (0.0005 + 0.999 * chance.random())
    raise ValueError(f"no value can be made for {rule}")
