"""Loads a converted file into the reference network with strict=True, and compares its outputs.

python3 load_checkpoint.py CONVERTED.safetensors EXPECTED.safetensors OUTPUT
Needs torch alone: the header of a safetensors file is eight bytes of length and JSON."""
import json
import struct
import sys

import torch

from sit_reference import SiT

KINDS = {"F32": torch.float32, "I64": torch.int64}


def load_file(path):
    """What safetensors.torch.load_file gives, and the metadata."""
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header, tensors = json.loads(data[8 : 8 + length]), {}
    metadata = header.pop("__metadata__", {})
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        kind = KINDS[entry["dtype"]]
        tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=kind).reshape(entry["shape"])
    return tensors, json.loads(metadata["json"])


weights, said = load_file(sys.argv[1])
expected, _ = load_file(sys.argv[2])
network = SiT(**said["network"], encoder_depth=1, z_dims=[], projector_dim=1)
network.load_state_dict(weights, strict=True)
with torch.no_grad():
    output, _, _ = network.eval()(expected["in.x"], expected["in.t"], expected["in.y"])
off = (output - expected[sys.argv[3]]).abs().max().item()
print(f"largest difference {off:.2e}")
sys.exit(0 if off < 1e-4 else 1)
