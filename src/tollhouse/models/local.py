"""Serves the embedded language model: `python -m tollhouse.models.local PORT`.

llama.cpp's own HTTP server, OpenAI-compatible, on loopback. One thread: with more it spins at its
barriers and takes the core from the gateway. It ends when standard input ends, that is with the node.
"""

import sys

from tollhouse.models.files import SMOLLM2_NAME, smollm2


def main(port: int) -> int:
    """Serves until standard input ends."""
    import xllamacpp

    path = smollm2()
    if path is None:
        return 1
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {SMOLLM2_NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = 8192
    params.n_parallel = 4
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.endpoint_props = False
    params.ui = False
    server = xllamacpp.Server(params)
    sys.stdin.buffer.read()
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
