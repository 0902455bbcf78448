"""Makes pairs.csv and expected.json: what scikit-learn, NumPy and the definitions say of these pairs of predictions.

    python scoring/src/comparison/tests/make.py

DeLong's variance is computed from the matrix of all pairs of leads, as the paper defines it; the code under test never
has that matrix.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
import sklearn.metrics

FOLDER = Path(__file__).parent
ROWS, BINS = 700, 10
EDGES = [0.2, 0.4, 0.6, 0.8]


def pairs() -> pd.DataFrame:
    """Two models of one truth; the champion's predictions have three digits, so that many are equal."""
    dice = np.random.default_rng(20)
    truth = dice.normal(-0.5, 1.4, ROWS)
    champion = (1 / (1 + np.exp(-truth - dice.normal(0, 0.9, ROWS)))).round(2)
    other = 1 / (1 + np.exp(-1.2 * truth - dice.normal(0.2, 0.6, ROWS)))
    other[::7] = champion[::7]
    outcome = (dice.uniform(0, 1, ROWS) < 1 / (1 + np.exp(-truth))).astype(object)
    outcome[5::6] = None
    return pd.DataFrame({"champion": champion, "other": other, "outcome": outcome})


def psi(champion: np.ndarray, other: np.ndarray) -> float:
    """Cut at the champion's deciles; what fills more than one bin has a bin of its own."""
    ordered = np.sort(champion)
    cuts = [ordered[number * len(ordered) // BINS] for number in range(1, BINS)]
    edges = sorted(set(cuts) | {np.nextafter(cut, np.inf) for cut in cuts if cuts.count(cut) > 1})
    counts = [np.bincount(np.digitize(values, edges), minlength=len(edges) + 1) for values in (champion, other)]
    before, after = ((count + 0.5) / (len(champion) + 0.5 * len(count)) for count in counts)
    return float(np.sum((after - before) * np.log(after / before)))


def delong(frame: pd.DataFrame) -> dict[str, object]:
    is_converted = frame["outcome"].astype(bool).to_numpy()
    areas, converted, not_converted = [], [], []
    for name in ("champion", "other"):
        of = frame[name].to_numpy()
        kernel = np.heaviside(of[is_converted][:, None] - of[~is_converted][None, :], 0.5)
        assert np.isclose(kernel.mean(), sklearn.metrics.roc_auc_score(is_converted, of), rtol=0, atol=1e-12)
        areas.append(float(sklearn.metrics.roc_auc_score(is_converted, of)))
        converted.append(kernel.mean(axis=1))
        not_converted.append(kernel.mean(axis=0))
    covariance = np.cov(converted) / len(converted[0]) + np.cov(not_converted) / len(not_converted[0])
    contrast = np.array([-1, 1])
    error = np.sqrt(contrast @ covariance @ contrast)
    difference = areas[1] - areas[0]
    margin = float(scipy.stats.norm.ppf(0.975) * error)
    return {
        "converted": int(is_converted.sum()),
        "not_converted": int((~is_converted).sum()),
        "champion": areas[0],
        "other": areas[1],
        "difference": difference,
        "interval_95": [difference - margin, difference + margin],
    }


def main() -> None:
    frame = pairs()
    champion, other = frame["champion"].to_numpy(), frame["other"].to_numpy()
    bands = [1 + np.digitize(values, EDGES) for values in (champion, other)]
    off = other - champion
    expected = {
        "rows": ROWS,
        "equal": int((off == 0).sum()),
        "mean_abs_difference": float(np.abs(off).mean()),
        "max_abs_difference": float(np.abs(off).max()),
        "mean_difference": float(off.mean()),
        "band_agreement": float(sklearn.metrics.accuracy_score(*bands)),
        "bands": sklearn.metrics.confusion_matrix(*bands, labels=[1, 2, 3, 4, 5]).tolist(),
        "moved_down": int(((bands[0] >= 4) & (bands[1] <= 3)).sum()),
        "moved_up": int(((bands[0] <= 3) & (bands[1] >= 4)).sum()),
        "prediction_psi": psi(champion, other),
        "auc": delong(frame.dropna(subset=["outcome"])),
    }
    table = frame.assign(champion_band=bands[0], other_band=bands[1])
    table["outcome"] = table["outcome"].map({True: "1", False: "0"}).fillna("")
    table.to_csv(FOLDER / "pairs.csv", index=False, float_format="%.17g")
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
