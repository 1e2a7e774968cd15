"""Runs one peer for `lethedb bench compare`: a JSON command a line on standard input, a JSON answer a line on standard
output.

    {"do": "describe", "grid": "small" or "full", "rows": n, "dimension": d, "metric": m}
        -> {"version", "batched", "builds": [{"engine", "label", "setting", "searches": [{"label", "setting"}]}]}
    {"do": "build", "setting": {...}, "threads": t}
        -> {"index", "seconds", "rss_before", "disk_bytes"}
    {"do": "search", "index": i, "k": k, "setting": {...}, "passes": p, "ids": FILE}
        -> {"seconds" of the last pass, "rss"}
    {"do": "forget", "index": i}
        -> {}

An answer `{"error": text}` means that the command failed and that the next may be tried. The ids go to a file as
little-endian int64, k a query, -1 where fewer were found: who asks scores them, so that one scorer judges all.

Usage: runner.py PEER FOLDER HOME CORE, where FOLDER holds train.npy and test.npy, HOME is an empty directory of this
process, and CORE is the one processor on which queries run. Builds may use all. Needs Python 3.10, numpy, and the
package of the peer.
"""

import ctypes
import gc
import json
import os
import shutil
import signal
import sys
import time

import numpy
from peers import PEERS

PR_SET_PDEATHSIG = 1


def resident():
    """Bytes of memory of its own in use, after whatever can be given back was; pages of mapped files left out."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:
        pass  # Only glibc keeps what was freed, and can be asked for it.
    with open("/proc/self/statm") as statm:
        resident, of_files = map(int, statm.read().split()[1:3])
    return (resident - of_files) * os.sysconf("SC_PAGE_SIZE")


def bind(cores):
    """Lets every thread run on `cores` alone, those too that a library keeps from one call to the next."""
    for thread in os.listdir("/proc/self/task"):
        try:
            os.sched_setaffinity(int(thread), cores)
        except ProcessLookupError:
            pass  # It has ended.


def disk_bytes(folder):
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(folder) for name in names)


def unit(rows):
    lengths = numpy.linalg.norm(rows, axis=1, keepdims=True)
    return rows / numpy.where(lengths > 0, lengths, 1)


def how_to_install(package):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "requirements.txt")) as requirements:
        pinned = [line.strip() for line in requirements if line.startswith(f"{package}==")]
    return f"{sys.executable} -m pip install {(pinned or [package])[0]}"


def label(setting):
    return " ".join(f"{name}={value}" for name, value in setting.items())


class Runner:
    def __init__(self, name, folder, home, core):
        self.folder, self.home, self.core = folder, home, core
        self.everywhere = os.sched_getaffinity(0)
        self.peer = PEERS[name]()
        self.indexes, self.built = {}, 0

    def vectors(self, file):
        vectors = numpy.load(os.path.join(self.folder, file))
        return numpy.ascontiguousarray(unit(vectors) if self.metric == "cosine" else vectors, dtype=numpy.float32)

    def describe(self, grid, rows, dimension, metric):
        try:
            self.peer.load()
        except ModuleNotFoundError:
            return {"error": f"not installed: {how_to_install(self.peer.package or self.peer.module)}"}
        self.metric = metric
        self.test = self.vectors("test.npy")
        builds = self.peer.grid(grid == "small", rows, dimension, metric)
        return {
            "version": self.peer.version(),
            "batched": self.peer.batched,
            "builds": [
                {
                    "engine": build.engine,
                    "label": label(build.setting),
                    "setting": build.setting,
                    "searches": [{"label": label(search), "setting": search} for search in build.searches],
                }
                for build in builds
            ],
        }

    def build(self, setting, threads):
        number, self.built = self.built, self.built + 1
        folder = os.path.join(self.home, str(number))
        os.mkdir(folder)
        # Measured without the rows, so that a peer that keeps them has them counted.
        rss_before = resident()
        bind(self.everywhere)
        try:
            train = self.vectors("train.npy")
            self.peer.prepare(train, self.metric, folder)
            start = time.perf_counter()
            index = self.peer.build(train, self.metric, setting, threads, folder)
            seconds = time.perf_counter() - start
            self.peer.save(index, folder)
        finally:
            bind({self.core})
        self.indexes[number] = index, folder
        return {"index": number, "seconds": seconds, "rss_before": rss_before, "disk_bytes": disk_bytes(folder)}

    def search(self, index, k, setting, passes, ids):
        for _ in range(passes):
            start = time.perf_counter()
            found = self.peer.search(self.indexes[index][0], self.test, k, setting)
            seconds = time.perf_counter() - start
        rows = numpy.full((len(self.test), k), -1, dtype="<i8")
        for row, answer in zip(rows, found):
            answer = numpy.asarray(answer)[:k]
            row[: len(answer)] = answer.astype(numpy.int64)
        rows.tofile(ids)
        return {"seconds": seconds, "rss": resident()}

    def forget(self, index):
        shutil.rmtree(self.indexes.pop(index)[1], ignore_errors=True)
        gc.collect()
        return {}


def main():
    # Whatever the libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    runner = Runner(*sys.argv[1:4], int(sys.argv[4]))
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(runner, command.pop("do"))(**command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
