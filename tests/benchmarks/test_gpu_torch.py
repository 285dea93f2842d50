"""PyTorch's side of ``python -m benchmarks gpu``, on the CPU: the step that
`tests/benchmarks/test_benchmarks.py` has compared.
"""

import pytest

from benchmarks.workloads import WORKLOADS

torch = pytest.importorskip("torch")


@pytest.fixture
def as_it_was():
    """Undo what the steps set for the whole process."""
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags], torch.backends.cudnn.benchmark
    yield
    for flag, value in zip(flags, before[0], strict=True):
        flag.allow_tf32 = value
    torch.backends.cudnn.benchmark = before[1]


@pytest.mark.parametrize(("name", "precision"), [("toy", "float32"), ("mnist-dcgan", "tf32")])
def test_the_step_on_a_gpu_is_that_on_the_cpu(name, precision, as_it_was):
    from benchmarks.rivals import torch_gpu, torch_step

    workload = WORKLOADS[name]
    there = torch_gpu.Step(workload, batch=3, precision=precision, compiled=False, device="cpu")
    torch.manual_seed(1)
    there()
    here = torch_step.Step(workload, channels_last=True, adam="fused", batch=3)
    torch.manual_seed(1)
    here()
    assert (
        torch.backends.cuda.matmul.allow_tf32
        == torch.backends.cudnn.allow_tf32
        == (precision == "tf32")
    )
    for ours, theirs in ((there.g, here.g), (there.d, here.d)):
        for name_, p in theirs.named_parameters():
            torch.testing.assert_close(
                dict(ours.named_parameters())[name_], p, rtol=1e-4, atol=1e-6
            )
            assert p.requires_grad
    first = torch_step.Step(workload, channels_last=True, adam="fused", batch=3)
    for moved, begun in ((there.g, first.g), (there.d, first.d)):
        assert all(
            (a != b).any() for a, b in zip(moved.parameters(), begun.parameters(), strict=True)
        )
