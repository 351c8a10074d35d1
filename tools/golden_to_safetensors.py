#!/usr/bin/env python3
"""Convert golden tensors from a NumPy archive (.npz) to safetensors, so that the C tests can read them with the library's own reader.

  golden_to_safetensors.py demo.npz tests/data/golden/demo.safetensors

Every array must be float32; names and shapes are kept. The result is read back and compared bit by bit.
Needs the packages of tools/requirements.txt (tools/venv.sh makes .venv with them).
"""
import argparse
import sys

import numpy as np
from safetensors.numpy import load_file, save_file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("npz")
    parser.add_argument("safetensors")
    args = parser.parse_args()

    with np.load(args.npz) as archive:
        tensors = {name: np.ascontiguousarray(archive[name]) for name in archive.files}
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            sys.exit(f"tensor '{name}' is {tensor.dtype}, expected float32")

    save_file(tensors, args.safetensors)
    stored = load_file(args.safetensors)
    if stored.keys() != tensors.keys():
        sys.exit(f"'{args.safetensors}' does not have the same names as '{args.npz}'")
    for name, tensor in tensors.items():
        if stored[name].shape != tensor.shape or stored[name].tobytes() != tensor.tobytes():
            sys.exit(f"tensor '{name}' differs after it was read back from '{args.safetensors}'")
    print(f"{args.safetensors}: {len(tensors)} tensors, {sum(t.nbytes for t in tensors.values())} bytes of values")


if __name__ == "__main__":
    main()
