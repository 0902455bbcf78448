"""A committed baseline of instruction counts, and what counts of now are beside it."""

import argparse
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Baseline:
    path: Path
    what: str

    def judge(self, counts: dict[str, int], options: argparse.Namespace) -> int:
        """The exit code: 1 where a count is more than `options.percent` above. `options.write` keeps them instead."""
        rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        if options.write:
            self.path.write_text(json.dumps({"rustc": rustc, self.what: counts}, indent=2) + "\n")
            print(f"written: {self.path}")
            for name, now in counts.items():
                print(f"{name:<22} {now:>10,}")
            return 0
        baseline = json.loads(self.path.read_text())
        if baseline["rustc"] != rustc:
            print(f"note: the baseline was counted with {baseline['rustc']}, this is {rustc}")
        return self.compare(baseline[self.what], counts, options.percent)

    def compare(self, baseline: dict[str, int], counts: dict[str, int], percent: float) -> int:
        worse = 0
        print(f"{self.what:<22} {'baseline':>10} {'now':>10}")
        for name, now in counts.items():
            before = baseline.get(name)
            change = 100 * (now - before) / before if before else 0.0
            verdict = ""
            if before is None:
                verdict = "new: keep it with --write"
            elif change > percent:
                verdict, worse = f"WORSE by more than {percent:g} %", worse + 1
            elif change < -percent:
                verdict = "better: keep it with --write"
            print(f"{name:<22} {before or 0:>10,} {now:>10,} {change:>+7.1f} % {verdict}")
        return 1 if worse else 0
