"""Servers of others, for comparison: llama.cpp's llama-server and vLLM, each from a Python environment of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from common import Server, running

PEER_PYTHON = Path(".venvs/peers/bin/python")

LLAMA = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], 0
params.n_parallel, params.n_ctx = int(sys.argv[2]), int(sys.argv[3])
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[4])
server = xllamacpp.Server(params)
print("ready at", server.listening_address, flush=True)
while True:
    time.sleep(3600)
"""
# vLLM does not run quantised GGUF files on CPUs: it gets the same weights, as numbers.
DEQUANTISE = """
import sys
from pathlib import Path
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
gguf, target = Path(sys.argv[1]), sys.argv[2]
read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16)
# A model that was read from a GGUF file refuses to be saved; one like it with the same weights does not.
del read.config.quantization_config
plain = AutoModelForCausalLM.from_config(read.config, dtype=torch.bfloat16)
plain.load_state_dict(read.state_dict())
plain.tie_weights()
plain.save_pretrained(target)
AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(target)
"""


def llama_server(
    python: Path, gguf: Path, threads: int, slots: int, slot_tokens: int
) -> AbstractContextManager[Server]:
    """llama-server with `slots` requests at a time, each with room for `slot_tokens` of prompt and answer."""
    arguments = [str(gguf), str(slots), str(slots * slot_tokens), str(threads)]
    # Without its log, which several threads write: nothing shall come between the words of the line that we wait for.
    return running([str(python), "-c", LLAMA, *arguments], r"ready at (http://\S+)", log=subprocess.DEVNULL)


def genai_model(gguf: Path, imported: Path, target: Path) -> None:
    """A model directory with the graph that GenAI's own converter makes of `gguf`, and the rest of `imported`."""
    shutil.copytree(imported, target, ignore=shutil.ignore_patterns("openvino_*", "native_*"))
    own = target / gguf.name
    own.symlink_to(gguf)
    convert = "import sys, openvino_genai as g; g.LLMPipeline(sys.argv[1], 'CPU', enable_save_ov_model=True)"
    subprocess.run([sys.executable, "-c", convert, str(own)], check=True, stdout=subprocess.DEVNULL)


def dequantise(python: Path, gguf: Path, target: Path) -> None:
    """The weights of `gguf` as a Hugging Face directory."""
    command = [str(python), "-c", DEQUANTISE, str(gguf), str(target)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the weights for vLLM could not be written: {done.stdout[-2000:]}")


@contextmanager
def vllm_server(python: Path, model: Path, threads: int, slot_tokens: int) -> Iterator[Server]:
    """vLLM with room for `slot_tokens` of prompt and answer in each request. Its first start compiles for minutes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The module is what `vllm serve` starts; the command itself is missing from the packages for CPUs.
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "default", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--max-model-len", str(slot_tokens)]
    env = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": f"0-{threads - 1}",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with running(command, rf"on (http://127\.0\.0\.1:{port})", env) as server:
        # It says so a moment before it listens.
        deadline = time.monotonic() + 30
        while not _listens(port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"vLLM does not listen at {server.url}")
            time.sleep(0.01)
        yield server


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
