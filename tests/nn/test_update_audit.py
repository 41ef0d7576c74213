"""The audit of an update, against matrices worked by hand."""

import json

import pytest
import torch
from safetensors.torch import save_file

from kochat.nn.update_audit import audit_update, effective_rank


def folder(path, tensors, config=None):
    path.mkdir()
    save_file(tensors, path / "model.safetensors")
    if config:
        (path / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return path


def test_the_effective_rank_by_hand():
    assert effective_rank(torch.tensor([1.0, 1.0, 1.0, 0.0])) == pytest.approx(3)
    assert effective_rank(torch.tensor([5.0, 0.0])) == pytest.approx(1)
    assert effective_rank(torch.zeros(3)) == 0


def test_a_full_update(tmp_path):
    base = folder(
        tmp_path / "base", {"h.0.weight": torch.eye(4) * 2, "h.0.bias": torch.zeros(4), "same.weight": torch.ones(2, 2)}
    )
    changed = torch.eye(4) * 2 + torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0]))
    export = folder(
        tmp_path / "export",
        {
            "h.0.weight": changed,
            "h.0.bias": torch.ones(4),
            "same.weight": torch.ones(2, 2),
            "score.weight": torch.ones(1, 4),
        },
    )
    first, same = audit_update(export, base)
    assert (first.name, first.norm, first.relative) == ("h.0", pytest.approx(2**0.5), pytest.approx(2**0.5 / 4))
    assert first.effective_rank == pytest.approx(2)
    assert (same.name, same.norm, same.effective_rank) == ("same", 0, 0)


@pytest.mark.parametrize(("more", "scale"), [({}, 4.0), ({"use_rslora": True}, 8 / 2**0.5)])
def test_an_adapter_is_scaled_as_peft_scales_it(tmp_path, more, scale):
    down, up = torch.randn(2, 5), torch.randn(3, 2)
    base = folder(tmp_path / "base", {"h.0.weight": torch.randn(5, 3)})
    tensors = {"base_model.model.h.0.lora_A.weight": down, "base_model.model.h.0.lora_B.weight": up}
    export = folder(tmp_path / "export", tensors, {"r": 2, "lora_alpha": 8, **more})
    [found] = audit_update(export, base)
    update = scale * up @ down
    assert found.norm == pytest.approx(update.norm().item(), rel=1e-5)
    assert found.effective_rank == pytest.approx(effective_rank(torch.linalg.svdvals(update)[:2]), rel=1e-4)
    assert 1 < found.effective_rank <= 2
