"""The engines that `lethedb bench compare` measures beside lethedb: how each is built, searched and saved.

A peer is a class with `module` (what to import), `package` (what to install, if that is called otherwise), `batched`
(whether one call takes all queries), `grid` (which settings to try), `build`, `search` and `save`. Rows and queries
come as float32 arrays; under the metric `cosine` they have length 1, so that an inner product orders them. `folder` is
an empty directory of the build, for those that work on files. What is not the peer's own work, such as writing the
file that it wants to read, belongs into `prepare`, which no clock sees.
"""

import importlib.metadata
import json
import math
import os

import numpy

WIDTHS = (10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 200, 256, 320, 400, 512, 640, 800, 1024)


class Build:
    """One index to build: `engine` names the row of the report that it competes for."""

    def __init__(self, engine, setting, searches):
        self.engine, self.setting, self.searches = engine, setting, searches


def each(**values):
    """Every combination of the given values, as settings."""
    settings = [{}]
    for name, options in values.items():
        settings = [{**setting, name: option} for setting in settings for option in options]
    return settings


def widths(name="ef"):
    return each(**{name: WIDTHS})


def lists(rows, factor):
    """A number of lists in proportion to the root of the number of rows."""
    return max(16, int(factor * math.sqrt(rows)))


class Peer:
    module = None
    package = None
    batched = True

    def version(self):
        return importlib.metadata.version(self.package or self.module)

    def load(self):
        self.library = importlib.import_module(self.module)

    def prepare(self, rows, metric, folder):
        pass


class Hnswlib(Peer):
    module = "hnswlib"

    def grid(self, small, rows, dimension, metric):
        builds = (
            each(M=(16,), ef_construction=(200,)) if small else each(M=(8, 16, 24, 32), ef_construction=(100, 200, 400))
        )
        return [Build("hnswlib", setting, widths()) for setting in builds]

    def build(self, rows, metric, setting, threads, folder):
        index = self.library.Index("l2" if metric == "l2" else "ip", rows.shape[1])
        index.init_index(len(rows), random_seed=1, **setting)
        index.add_items(rows, num_threads=threads)
        return index

    def search(self, index, queries, k, setting):
        index.set_ef(setting["ef"])
        return index.knn_query(queries, k, num_threads=1)[0]

    def save(self, index, folder):
        index.save_index(os.path.join(folder, "index"))


class Rabitqlib(Peer):
    """SymphonyQG, HNSW-RaBitQ and IVF-RaBitQ."""

    module = "rabitqlib"

    def grid(self, small, rows, dimension, metric):
        graphs = each(
            kind=("symqg",),
            degree=(32,) if small else (32, 64),
            ef_construction=(200,) if small else (200, 400),
            bits=(0,) if small else (0, 8),
        )
        nets = each(
            kind=("hnsw",), M=(16,) if small else (16, 32), ef_construction=(200,), bits=(8,) if small else (5, 8, 9)
        )
        files = each(
            kind=("ivf",),
            clusters=[lists(rows, factor) for factor in ((4,) if small else (2, 4, 8))],
            bits=(8,) if small else (5, 8, 32),
        )
        probes = each(probes=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512))
        searches = {"symqg": widths(), "hnsw": widths(), "ivf": probes}
        return [
            Build(f"rabitqlib {setting['kind']}", setting, searches[setting["kind"]])
            for setting in graphs + nets + files
        ]

    def build(self, rows, metric, setting, threads, folder):
        library, dimension, kind = self.library, rows.shape[1], setting["kind"]
        # Unit vectors are ordered alike by both; SymphonyQG steers better by Euclidean distances.
        near = "ip" if metric == "dot" else "l2"
        if kind == "symqg":
            index = library.SymqgIndex(dimension, setting["degree"], near, setting["bits"])
            index.build(rows, setting["ef_construction"], threads)
            return index
        if kind == "hnsw":
            means = library.RaBitQKMeans(dimension, 16, num_threads=threads)
            index = library.HnswIndex(
                dimension, len(rows), setting["M"], setting["ef_construction"], setting["bits"], near
            )
        else:
            means = library.QGKMeans(dimension, setting["clusters"], num_threads=threads)
            index = library.IvfIndex(dimension, len(rows), setting["clusters"], setting["bits"], near)
        means.train(rows)
        index.build(rows, means.centroids, means.assignments, threads)
        return index

    def search(self, index, queries, k, setting):
        return index.search(queries, k, setting.get("ef") or setting["probes"], num_threads=1)[0]

    def save(self, index, folder):
        index.save(os.path.join(folder, "index"))


class Faiss(Peer):
    """HNSW on plain vectors and on 8-bit codes (re-ranked), and inverted files of 4-bit products (re-ranked)."""

    module = "faiss"
    package = "faiss-cpu"

    def grid(self, small, rows, dimension, metric):
        subspaces = max(part for part in range(1, dimension // 2 + 1) if dimension % part == 0)
        factors = (2,) if small else (1, 2, 4)
        degrees = each(M=(16,) if small else (12, 16, 24, 32), ef_construction=(200,))
        refined = each(refine=(1, 2, 4), ef=WIDTHS)
        probes = each(refine=(4, 10, 25), probes=(1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256))
        return (
            [Build("faiss hnsw", {"factory": f"HNSW{setting['M']}", **setting}, widths()) for setting in degrees]
            + [
                Build("faiss hnsw-sq8", {"factory": f"HNSW{setting['M']}_SQ8,RFlat", **setting}, refined)
                for setting in degrees
            ]
            + [
                Build("faiss ivf-pq", {"factory": f"IVF{lists(rows, factor)},PQ{subspaces}x4fs,RFlat"}, probes)
                for factor in factors
            ]
        )

    def build(self, rows, metric, setting, threads, folder):
        faiss = self.library
        faiss.omp_set_num_threads(threads)
        near = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        index = faiss.index_factory(rows.shape[1], setting["factory"], near)
        graph = self.graph(index)
        if graph is not None:
            graph.efConstruction = setting["ef_construction"]
        index.train(rows)
        index.add(rows)
        faiss.omp_set_num_threads(1)
        return index

    def graph(self, index):
        inner = self.library.downcast_index(getattr(index, "base_index", index))
        return getattr(inner, "hnsw", None)

    def search(self, index, queries, k, setting):
        if "refine" in setting:
            index.k_factor = setting["refine"]
        if "ef" in setting:
            self.graph(index).efSearch = setting["ef"]
        else:
            self.library.extract_index_ivf(index).nprobe = setting["probes"]
        return index.search(queries, k)[1]

    def save(self, index, folder):
        self.library.write_index(index, os.path.join(folder, "index"))


class Usearch(Peer):
    module = "usearch.index"
    package = "usearch"

    def grid(self, small, rows, dimension, metric):
        builds = each(
            dtype=("f32", "bf16", "i8"),
            connectivity=(16,) if small else (8, 16, 32),
            expansion_add=(128,) if small else (128, 256),
        )
        # 8-bit values stand for numbers from -1 to 1 there, so only unit vectors fit.
        fits = [setting for setting in builds if setting["dtype"] != "i8" or metric == "cosine"]
        return [Build(f"usearch {setting['dtype']}", setting, widths()) for setting in fits]

    def build(self, rows, metric, setting, threads, folder):
        index = self.library.Index(ndim=rows.shape[1], metric="l2sq" if metric == "l2" else "ip", **setting)
        index.add(numpy.arange(len(rows), dtype=numpy.uint64), rows, threads=threads)
        return index

    def search(self, index, queries, k, setting):
        index.expansion_search = setting["ef"]
        return index.search(queries, k, threads=1).keys

    def save(self, index, folder):
        index.save(os.path.join(folder, "index"))


class Scann(Peer):
    module = "scann"

    def grid(self, small, rows, dimension, metric):
        builds = each(
            leaves=[lists(rows, factor) for factor in ((1.5,) if small else (1, 2, 4))], threshold=(0.2,), block=(2,)
        )
        searches = each(
            leaves=(1, 2, 3, 5, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256), reorder=(20, 40, 80, 160, 320)
        )
        return [Build("scann", setting, searches) for setting in builds]

    def build(self, rows, metric, setting, threads, folder):
        near = "squared_l2" if metric == "l2" else "dot_product"
        builder = self.library.scann_ops_pybind.builder(rows, 10, near).set_n_training_threads(threads)
        builder = builder.tree(
            num_leaves=setting["leaves"], num_leaves_to_search=10, training_sample_size=min(len(rows), 250_000)
        )
        # Anisotropic quantization is made for inner products.
        threshold = {} if metric == "l2" else {"anisotropic_quantization_threshold": setting["threshold"]}
        return builder.score_ah(setting["block"], **threshold).reorder(100).build()

    def search(self, index, queries, k, setting):
        return index.search_batched(queries, k, max(k, setting["reorder"]), setting["leaves"])[0]

    def save(self, index, folder):
        index.serialize(folder)


class Svs(Peer):
    """Vamana on half-precision vectors, and on those compressed by LVQ, which needs a processor of its maker."""

    module = "svs"
    package = "scalable-vs"

    def grid(self, small, rows, dimension, metric):
        codes = ("f16", "lvq4x8", "lvq8x0") if small else ("f16", "lvq4x4", "lvq4x8", "lvq8x0")
        builds = each(codes=codes, degree=(32,) if small else (32, 64), window=(200,))
        return [Build(f"svs {setting['codes']}", setting, widths()) for setting in builds]

    def prepare(self, rows, metric, folder):
        self.file = os.path.join(folder, "rows.fvecs")
        self.library.write_vecs(rows, self.file)

    def build(self, rows, metric, setting, threads, folder):
        svs, codes, degree = self.library, setting["codes"], setting["degree"]
        if codes == "f16":
            vectors = rows.astype(numpy.float16)
        else:
            with open("/proc/cpuinfo") as processors:
                if "GenuineIntel" not in processors.read():
                    raise RuntimeError("LVQ needs an Intel processor")
            file = svs.VectorDataLoader(self.file, svs.DataType.float32, rows.shape[1])
            vectors = svs.LVQLoader(file, int(codes[3]), int(codes[5]), padding=32)
        shape = svs.VamanaBuildParameters(
            alpha=0.95 if metric == "dot" else 1.2,
            graph_max_degree=degree,
            window_size=setting["window"],
            max_candidate_pool_size=3 * setting["window"],
            prune_to=degree - 4,
        )
        near = svs.DistanceType.MIP if metric == "dot" else svs.DistanceType.L2
        index = svs.Vamana.build(shape, vectors, near, num_threads=threads)
        index.num_threads = 1
        os.remove(self.file)
        return index

    def search(self, index, queries, k, setting):
        index.search_window_size = setting["ef"]
        return index.search(queries, k)[0]

    def save(self, index, folder):
        index.save(*(os.path.join(folder, name) for name in ("config", "graph", "data")))


class Vsag(Peer):
    """HGraph on 8-bit and on 1-bit codes, both re-ranked by plain vectors."""

    module = "pyvsag"
    batched = False

    def grid(self, small, rows, dimension, metric):
        builds = each(
            base=("sq8", "rabitq"), degree=(32,) if small else (32, 64), ef_construction=(200,) if small else (200, 400)
        )
        return [Build(f"vsag {setting['base']}", setting, widths()) for setting in builds]

    def build(self, rows, metric, setting, threads, folder):
        shape = {
            "base_quantization_type": setting["base"],
            "max_degree": setting["degree"],
            "ef_construction": setting["ef_construction"],
            "use_reorder": True,
            "precise_quantization_type": "fp32",
            "build_thread_count": threads,
        }
        whole = {
            "dtype": "float32",
            "metric_type": "l2" if metric == "l2" else "ip",
            "dim": rows.shape[1],
            "index_param": shape,
        }
        index = self.library.Index("hgraph", json.dumps(whole))
        index.build(
            vectors=rows.ravel(),
            ids=numpy.arange(len(rows), dtype=numpy.int64),
            num_elements=len(rows),
            dim=rows.shape[1],
        )
        return index

    def search(self, index, queries, k, setting):
        parameters = json.dumps({"hgraph": {"ef_search": max(k, setting["ef"])}})
        return [index.knn_search(query, k, parameters)[0] for query in queries]

    def save(self, index, folder):
        index.save(os.path.join(folder, "index"))


class Zvec(Peer):
    """HNSW on plain vectors and on 8-bit codes (re-ranked). It counts its rows in the order of insertion."""

    module = "zvec"
    batched = False

    def load(self):
        super().load()
        self.library.init(log_level=self.library.LogLevel.ERROR, query_threads=1)

    def grid(self, small, rows, dimension, metric):
        builds = each(
            quantize=("UNDEFINED", "INT8"),
            m=(32,) if small else (16, 32, 50),
            ef_construction=(200,) if small else (200, 500),
        )
        names = {"UNDEFINED": "zvec f32", "INT8": "zvec int8"}
        return [Build(names[setting["quantize"]], setting, widths()) for setting in builds]

    def build(self, rows, metric, setting, threads, folder):
        zvec = self.library
        near = zvec.MetricType.L2 if metric == "l2" else zvec.MetricType.IP
        quantize = getattr(zvec.QuantizeType, setting["quantize"])
        graph = zvec.HnswIndexParam(
            near, setting["m"], setting["ef_construction"], quantize, use_contiguous_memory=True
        )
        vector = zvec.VectorSchema("v", zvec.DataType.VECTOR_FP32, rows.shape[1], graph)
        path = os.path.join(folder, "index")
        index = zvec.create_and_open(path, zvec.CollectionSchema("rows", vectors=[vector]))
        for start in range(0, len(rows), 1000):
            batch = enumerate(rows[start : start + 1000], start)
            index.insert([zvec.Doc(str(position), vectors={"v": row}) for position, row in batch])
        index.optimize(zvec.OptimizeOption(threads))
        index.close()
        index = zvec.open(path, zvec.CollectionOption(read_only=True))
        positions = numpy.array(index.resolve_internal_ids(range(len(rows))), dtype=numpy.int64)
        return index, positions, setting["quantize"] != "UNDEFINED"

    def search(self, index, queries, k, setting):
        (collection, positions, is_coded), zvec = index, self.library
        parameters = zvec.HnswQueryParam(setting["ef"], is_using_refiner=is_coded)
        found = [
            collection.query_internal_ids(zvec.Query("v", vector=query, param=parameters), topk=k) for query in queries
        ]
        return [positions[numpy.asarray(ids, dtype=numpy.int64)] for ids in found]

    def save(self, index, folder):
        pass


class Ngt(Peer):
    """ONNG. The quantized graphs of NGT are made by its command line tools, which the package does not bring."""

    module = "ngtpy"
    package = "ngt"
    batched = False

    def grid(self, small, rows, dimension, metric):
        # Tuning how far it prefetches takes minutes, whatever the data.
        builds = each(
            edges=(30,) if small else (50, 100),
            outgoing=(10,),
            incoming=(30,) if small else (50, 120),
            prefetch=(not small,),
        )
        searches = each(epsilon=[round(-0.06 + 0.02 * step, 2) for step in range(19)])
        return [Build("ngt onng", setting, searches) for setting in builds]

    def build(self, rows, metric, setting, threads, folder):
        ngtpy = self.library
        plain, optimized = os.path.join(folder, "anng"), os.path.join(folder, "onng")
        near = {"cosine": "Normalized Cosine", "dot": "Inner Product", "l2": "L2"}[metric]
        ngtpy.create(plain, rows.shape[1], edge_size_for_creation=setting["edges"], distance_type=near)
        index = ngtpy.Index(plain)
        index.batch_insert(rows, num_threads=threads)
        index.save()
        index.close()
        shape = ngtpy.Optimizer(
            num_of_outgoings=setting["outgoing"], num_of_incomings=setting["incoming"], log_disabled=True
        )
        shape.set_processing_modes(
            search_parameter_optimization=False,
            accuracy_table_generation=False,
            prefetch_parameter_optimization=setting["prefetch"],
        )
        shape.execute(plain, optimized)
        for root, _, names in os.walk(plain):
            for name in names:
                os.remove(os.path.join(root, name))
        return ngtpy.Index(optimized, read_only=True)

    def search(self, index, queries, k, setting):
        return [index.search(query, k, setting["epsilon"], with_distance=False) for query in queries]

    def save(self, index, folder):
        pass


PEERS = {
    "hnswlib": Hnswlib,
    "rabitqlib": Rabitqlib,
    "faiss": Faiss,
    "usearch": Usearch,
    "scann": Scann,
    "svs": Svs,
    "vsag": Vsag,
    "zvec": Zvec,
    "ngt": Ngt,
}
