"""The same prediction as a BentoML service: one worker, an `async` API with a Pydantic model, no access log."""

import os
from bisect import bisect_right

import bentoml
import numpy as np
import xgboost as xgb
from pydantic import BaseModel, ConfigDict, create_model

FEATURES = 50
EDGES = [0.2, 0.4, 0.6, 0.8]
STRICT = ConfigDict(extra="forbid")
Features = create_model(
    "Features", __config__=STRICT, **{f"f{column}": (float | None, None) for column in range(FEATURES)}
)


class Answer(BaseModel):
    lead_id: str
    score: int
    probability: float


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Leads:
    def __init__(self) -> None:
        self.booster = xgb.Booster(model_file=os.environ["PEER_MODEL"])
        self.booster.set_param({"nthread": 1})

    @bentoml.api
    async def score(self, lead_id: str, features: Features) -> Answer:
        row = np.array([list(features.__dict__.values())], dtype=np.float32)
        probability = float(self.booster.inplace_predict(row)[0])
        return Answer(lead_id=lead_id, score=1 + bisect_right(EDGES, probability), probability=probability)
