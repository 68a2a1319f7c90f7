"""The program that the model runs in: llama.cpp's HTTP server, as a child process of the gateway's own.

`python -m archestra_gateway.upstreams.embedded_server MODEL`; the first line of stdin is the key that its
callers must have, the one line of stdout is its URL. It ends when stdin does.
"""

import os
import sys

import xllamacpp  # in this process only: it can end it by SIGILL, or take all of its memory

from archestra_gateway.providers.embedded import CONTEXT


def main() -> None:
    key = sys.stdin.readline().strip()
    server = xllamacpp.Server(parameters(sys.argv[1], key))
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # an answer that is being written would hold an orderly end up


def parameters(model: str, key: str) -> xllamacpp.CommonParams:
    wanted = xllamacpp.CommonParams()
    wanted.model.path = model
    wanted.model_alias = {os.path.basename(model).removesuffix(".gguf")}
    wanted.n_ctx = CONTEXT
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = 0
    wanted.api_keys = [key]
    wanted.ui = False
    wanted.warmup = False
    wanted.cors_origins = ""
    return wanted


if __name__ == "__main__":
    main()
