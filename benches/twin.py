"""What encryption costs: queries a second of lethedb over those of its twin that seals nothing.

    python3 benches/twin.py DATASET [--ef 16,32,64,128] [--rounds 7] [--core 0]

Builds the bench `twin` twice, into `target/sealed` and `target/plaintext`, the second time with
`--cfg lethedb_plaintext`. In each round each leg fills a store of its own in a temporary directory and is measured on it,
with whatever graph the secret rotation of that store gives it. They take turns on one core, the first one changing from
round to round, so that a disturbance of the machine meets both; the ratio at a width is the median over the rounds of
the ratio in each. The server cannot be built with that flag.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path

FLAGS = {"sealed": "", "plaintext": "--cfg lethedb_plaintext"}
ROOT = Path(__file__).resolve().parent.parent


def build(leg):
    """The path of the leg's program, built."""
    environment = dict(os.environ, RUSTFLAGS=FLAGS[leg])
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / leg
    command = ["cargo", "bench", "-p", "lethedb-benches", "--bench", "twin", "--no-run", "--message-format", "json"]
    lines = subprocess.run(
        [*command, "--target-dir", str(target)], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE
    ).stdout.splitlines()
    built = [json.loads(line) for line in lines if line.startswith(b"{")]
    return next(item["executable"] for item in built if item.get("executable") and item["target"]["name"] == "twin")


def measure(program, leg, options, folder):
    """Queries a second of one turn, by width."""
    # A throw-away key for a throw-away store.
    environment = dict(os.environ, LETHEDB_ROOT_KEY="0" * 64)
    command = ["taskset", "-c", str(options.core), program, options.dataset, f"{folder}/{leg}", *options.ef.split(",")]
    report = json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
    assert report["encrypted"] == (leg == "sealed")
    return {point["ef"]: point for point in report["points"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=os.path.abspath)
    parser.add_argument("--ef", default="16,32,64,128")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--core", type=int, default=0)
    options = parser.parse_args()
    programs = {leg: build(leg) for leg in FLAGS}
    turns = {leg: [] for leg in FLAGS}
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for leg in sorted(FLAGS, reverse=number % 2 == 1):
                turns[leg].append(measure(programs[leg], leg, options, folder))
    print(f"{'ef':>6} {'recall':>8} {'sealed q/s':>11} {'plain q/s':>11} {'sealed/plain':>13}")
    for ef, point in turns["sealed"][0].items():
        sealed, plain = ([turn[ef]["qps"] for turn in turns[leg]] for leg in FLAGS)
        ratio = statistics.median(a / b for a, b in zip(sealed, plain))
        medians = f"{statistics.median(sealed):>11.0f} {statistics.median(plain):>11.0f}"
        print(f"{ef:>6} {point['recall']:>8.4f} {medians} {ratio:>13.3f}")


if __name__ == "__main__":
    main()
