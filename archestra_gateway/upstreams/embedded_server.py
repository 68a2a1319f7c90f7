"""The program that the model runs in: llama.cpp's HTTP server, as a child process of the gateway's own.

`python -P embedded_server.py MODEL SOCKET CONTEXT MOST_TOKENS`; the first line of stdin is the key that its
callers must have, the one line of stdout says that it listens. It ends when stdin does. It imports nothing
of the gateway, so that it need not be shown it.
"""

import os
import sys

import xllamacpp  # in this process only: it can end it by SIGILL, or take all of its memory


def main(model: str, socket: str, context: int, most_tokens: int) -> None:
    key = sys.stdin.readline().strip()
    server = xllamacpp.Server(parameters(model, socket, context, most_tokens, key))
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)  # an answer that is being written would hold an orderly end up


def parameters(model: str, socket: str, context: int, most_tokens: int, key: str) -> xllamacpp.CommonParams:
    wanted = xllamacpp.CommonParams()
    wanted.model.path = model
    wanted.model_alias = {os.path.basename(model).removesuffix(".gguf")}
    wanted.n_ctx = context
    wanted.n_predict = most_tokens or -1
    wanted.hostnames = [socket]
    wanted.port = 0
    wanted.api_keys = [key]
    wanted.ui = False
    wanted.warmup = False
    wanted.cors_origins = ""
    return wanted


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
