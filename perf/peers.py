"""Times third-party engines on the models and rows of `train.py`, and prints nanoseconds a row as JSON.

Called by `perf/kernels`, after our kernels. One thread. Batches of 1,024 distinct rows through
each package's Python interface; what the interpreter adds is spread over the batch. One row a call is timed too where the
package is commonly called so, and says `python` because the interpreter is in it: it is no measure of the engine.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy  # noqa: E402

FEATURES = 50
BATCH = 1024
SINGLE_CALLS = 500


def xgboost_engine(path):
    import xgboost

    booster = xgboost.Booster(model_file=path)
    booster.set_param({"nthread": 1})
    return lambda rows: booster.inplace_predict(rows, predict_type="margin")


def lightgbm_engine(path):
    import lightgbm

    booster = lightgbm.Booster(model_file=path)
    return lambda rows: booster.predict(rows, raw_score=True, num_threads=1)


def lleaves_engine(path):
    import lleaves

    model = lleaves.Model(model_file=path)
    model.compile(cache=path + ".lleaves")
    return lambda rows: model.predict(rows, n_jobs=1)


def onedal_engine(path):
    import daal4py

    daal4py.daalinit(1)
    if path.endswith(".json"):
        import xgboost

        model = daal4py.mb.convert_model(xgboost.Booster(model_file=path))
    else:
        import lightgbm

        model = daal4py.mb.convert_model(lightgbm.Booster(model_file=path))
    return model.predict


def tl2cgen_engine(path):
    import tl2cgen
    import treelite

    library = path + ".so"
    if not Path(library).exists():
        load = treelite.frontend.load_xgboost_model if path.endswith(".json") else treelite.frontend.load_lightgbm_model
        parameters = {"parallel_comp": 8, "quantize": 1}
        tl2cgen.export_lib(load(path), toolchain="gcc", libpath=library, params=parameters, nthread=2)
    predictor = tl2cgen.Predictor(library, nthread=1)
    dtype = "float32" if path.endswith(".json") else "float64"
    return lambda rows: predictor.predict(tl2cgen.DMatrix(rows, dtype=dtype), pred_margin=True)


def engines(path):
    own = [("xgboost", xgboost_engine)] if path.endswith(".json") else [("lightgbm", lightgbm_engine)]
    # Compilers, and daal4py's conversion, take many minutes over the two large models.
    if "1000x8" in path or "500x255" in path:
        return own
    if path.endswith(".txt"):
        own.append(("lleaves", lleaves_engine))
    return [*own, ("onedal", onedal_engine), ("tl2cgen", tl2cgen_engine)]


def nanoseconds(predict, batches):
    start = time.perf_counter_ns()
    for batch in batches:
        predict(batch)
    return (time.perf_counter_ns() - start) / sum(len(batch) for batch in batches)


def main(folder):
    rows = numpy.fromfile(folder / "rows.f32", dtype=numpy.float32).reshape(-1, FEATURES)
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.txt")]):
        typed = rows if path.suffix == ".json" else rows.astype(numpy.float64)
        batches = [typed[first : first + BATCH] for first in range(0, len(typed), BATCH)]
        singles = [typed[row : row + 1] for row in range(SINGLE_CALLS)]
        for name, build in engines(str(path)):
            try:
                predict = build(str(path))
                predict(batches[0])
                batch = min(nanoseconds(predict, batches) for _ in range(3))
                single = min(nanoseconds(predict, singles) for _ in range(3))
            except Exception as error:  # an engine that cannot take a model is reported, not hidden
                print(json.dumps({"model": path.name, "engine": name, "error": str(error)[:200]}), flush=True)
                continue
            result = {"model": path.name, "engine": name, "batch_ns": round(batch, 1), "single_python_ns": round(single, 1)}
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
