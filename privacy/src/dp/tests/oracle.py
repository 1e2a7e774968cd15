"""What OpenDP's samplers draw, counted in cells: the oracle of ours. Its table, oracle.txt, is kept beside this file.

    pip install opendp && python oracle.py > oracle.txt

One line a distribution: its name, s and t (Laplace of scale t/s) or 1 and sigma, then how many of a million draws fell
into each cell. A draw y is in cell floor(4 y s / t), of -24 to 24, the ends taking in what lies beyond.
"""

from importlib.metadata import version

import opendp.prelude as dp

DRAWS = 1_000_000
BATCH = 100_000
EDGE = 24
LAPLACE = [(2, 1), (1, 1), (2, 3), (1, 10), (1, 3 << 20), (1, 1 << 24)]
GAUSSIAN = [1, 2, 3, 17, 1 << 20]

dp.enable_features("contrib")
whole_numbers = dp.vector_domain(dp.atom_domain(T="i64"))


def cells(measurement, s, t):
    counts = [0] * (2 * EDGE + 1)
    for _ in range(DRAWS // BATCH):
        for y in measurement([0] * BATCH):
            counts[max(-EDGE, min(EDGE, 4 * y * s // t)) + EDGE] += 1
    return " ".join(map(str, counts))


print("# opendp", version("opendp"))
for s, t in LAPLACE:
    laplace = dp.m.make_laplace(whole_numbers, dp.l1_distance(T="i64"), scale=t / s)
    print("laplace", s, t, cells(laplace, s, t), flush=True)
for sigma in GAUSSIAN:
    gaussian = dp.m.make_gaussian(whole_numbers, dp.l2_distance(T="i64"), scale=float(sigma))
    print("gaussian", 1, sigma, cells(gaussian, 1, sigma), flush=True)
