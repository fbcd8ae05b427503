"""How far PyTorch's autocast goes from f32: makes fixtures/autocast_KIND from fixtures/train_KIND.

python3 autocast.py            (torch and safetensors)
Runs the trajectory of each fixture again, in f32 to see that it is the fixture's own, then under torch.autocast in bf16, and in f16
with GradScaler. Each half runs several times, with the samples of all batches in another order: that changes nothing but where sums
are rounded, and so it says how far such a trajectory goes by chance. Kept are the largest deviations: of losses and norms the norm of
the difference over the norm of f32's, of the last weights and averages the distance from f32's as a share of the way that training
went; and the losses and norms of the first order. A step that the scaler leaves out is none for the average either."""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file

from sit_reference import SiT, mlp

torch.set_num_threads(1)
FIXTURES = Path(__file__).parent.parent / "fixtures"
HALVES = {"bf16": torch.bfloat16, "f16": torch.float16}
ORDERS = 6


def load(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["json"])


def group(tensors, name):
    return {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(name + ".")}


def network(said, weights):
    model = SiT(**{**said["model"], "z_dims": []}, qk_norm=said["qk_norm"])
    model.load_state_dict(weights, strict=True)
    return model


def guidance(kind, feats, said, features, head):
    """Per sample; f32, whatever its inputs are."""
    minus_cosine = lambda a, b: -F.cosine_similarity(a.float(), b.float(), dim=-1).mean(1)
    if kind == "repa":
        return minus_cosine(head(feats[said["student_depth"] - 1]), features)
    if kind == "layersync":
        return minus_cosine(feats[said["student_depth"] - 1], feats[said["teacher_depth"] - 1].detach())
    return torch.zeros(said["batch"])


def train(kind, tensors, said, half=None, order=slice(None)):
    model, ema = (network(said, group(tensors, "init.model")) for _ in range(2))
    weights, head = group(tensors, "init.head"), None
    if weights:
        head = mlp(said["model"]["hidden_size"], said["model"]["projector_dim"], said["model"]["z_dims"][0])
        head.load_state_dict(weights, strict=True)
    trained = [p for p in model.parameters() if p.requires_grad] + (list(head.parameters()) if head else [])
    adamw = torch.optim.AdamW(trained, said["lr"], said["betas"], said["eps"], said["weight_decay"])
    scaler = torch.amp.GradScaler("cpu", enabled=half == torch.float16)
    record = {"denoising": [], "guidance": [], "grad_norm": []}
    for step in range(said["steps"]):
        x, noise, t, features = (tensors[f"steps.{name}"][step][order] for name in ("x", "noise", "t", "features"))
        y = tensors["steps.y"][step][1][order]
        s = t[:, None, None, None]
        with torch.autocast("cpu", half, enabled=half is not None):
            out, _, feats = model((1 - s) * x + s * noise, t, y)
            denoising = (out.float() - (noise - x)).square().flatten(1).mean(1)
            guided = guidance(kind, feats, said, features, head)
        adamw.zero_grad()
        scaler.scale(denoising.mean() + said["coefficient"] * guided.mean()).backward()
        scaler.unscale_(adamw)
        norm = torch.nn.utils.clip_grad_norm_(trained, said["max_grad_norm"])
        scaler.step(adamw)
        scaler.update()
        if norm.isfinite():
            with torch.no_grad():
                for mean, p in zip(ema.parameters(), model.parameters()):
                    mean.lerp_(p, 1 - said["ema_decay"])
        for name, value in zip(record, (denoising, guided, norm)):
            record[name].append(value.detach())
    steps = {f"steps.{name}": torch.stack(values) for name, values in record.items()}
    final = {"model": model.state_dict(), "ema": ema.state_dict(), "head": head.state_dict() if head else {}}
    return steps, final, scaler.get_scale()


def flat(state):
    return torch.cat([value.double().flatten() for _, value in sorted(state.items())])


for kind in ("none", "repa", "layersync"):
    tensors, said = load(FIXTURES / f"train_{kind}.safetensors")
    exact, weights, _ = train(kind, tensors, said)
    for name, found in exact.items():
        off = (found - tensors[name]).abs().max() / tensors[name].abs().max().clamp_min(1)
        assert off < 1e-5, f"{kind}: {name} is off by {off:.1e}"
    began = flat(group(tensors, "init.model"))
    kept, deviations = {}, {}
    for half, dtype in HALVES.items():
        found = []
        for seed in range(ORDERS):
            order = torch.randperm(said["batch"], generator=torch.Generator().manual_seed(seed)) if seed else torch.arange(said["batch"])
            steps, final, scale = train(kind, tensors, said, dtype, order)
            back = {name: value[:, order.argsort()] if value.dim() > 1 else value for name, value in steps.items()}
            off = {name.removeprefix("steps."): ((value - exact[name]).norm() / exact[name].norm().clamp_min(1e-30)).item() for name, value in back.items()}
            for part in ("model", "ema"):
                wanted = flat(weights[part])
                off[part] = ((flat(final[part]) - wanted).norm() / (wanted - began).norm()).item()
            found.append({**off, "scale": scale})
            if not seed:
                kept.update({f"{half}.{name}": value for name, value in steps.items()})
        deviations[half] = {key: max(off[key] for off in found) for key in found[0]}
        print(kind, half, {key: [f"{pick(off[key] for off in found):.2e}" for pick in (min, max)] for key in found[0]})
    save_file(kept, FIXTURES / f"autocast_{kind}.safetensors", {"json": json.dumps({"torch": torch.__version__, **deviations})})
