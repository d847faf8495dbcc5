"""ONNX files of all sorts as extractors, and files that are none, or mean harm."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.extractors import foreign as module
from cardigan.extractors.foreign import foreign
from cardigan.extractors.weights import sha256

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, numpy_helper, FLOAT = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT

KERNEL = np.random.default_rng(0).normal(size=(5, 3, 3, 3)).astype(np.float32)
MATRIX = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


def model(
    path: Path,
    shape: tuple[int | str, ...] = ("n", 3, 16, 16),
    kernel: np.ndarray = KERNEL,
    logits: bool = False,
    pooled: bool = True,
    kind: int = FLOAT,
    outside: str = "",
    domain: str = "",
) -> Path:
    """A convolution and a mean over all pixels; with logits a product with `MATRIX` too."""
    nodes = [helper.make_node("Conv", ["x", "kernel"], ["conv"], pads=[1, 1, 1, 1])]
    nodes.append(helper.make_node("GlobalAveragePool" if pooled else "Relu", ["conv"], ["features"], domain=domain))
    outputs = [helper.make_tensor_value_info("features", FLOAT, None)]
    stored = [numpy_helper.from_array(kernel, "kernel")]
    if logits:
        nodes.append(helper.make_node("Flatten", ["features"], ["flat"]))
        nodes.append(helper.make_node("MatMul", ["flat", "matrix"], ["logits"]))
        outputs.append(helper.make_tensor_value_info("logits", FLOAT, None))
        stored.append(numpy_helper.from_array(MATRIX, "matrix"))
    if outside:
        onnx.external_data_helper.set_external_data(stored[0], location=outside)
        stored[0].ClearField("raw_data")
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, shape)], outputs, stored)
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    return path


def by_torch(pictures: Tensor, kernel: np.ndarray = KERNEL) -> Tensor:
    return F.conv2d(pictures, torch.from_numpy(kernel), padding=1).mean((2, 3))


def samples(count: int, channels: int, height: int, width: int) -> Tensor:
    drawn = torch.randint(0, 256, (count, channels, height, width), generator=torch.Generator().manual_seed(7))
    return drawn.float() / 127.5 - 1


def test_features_are_those_of_the_model(tmp_path: Path) -> None:
    extractor = foreign(model(tmp_path / "mine.onnx"))
    seen = samples(5, 3, 16, 16)
    found = extractor(seen)
    assert found.logits is None and found.values.dtype == torch.float32
    assert torch.allclose(found.values, by_torch(seen), atol=1e-5)
    assert (extractor.name, extractor.dimension, extractor.classes) == ("mine.onnx", 5, ())
    assert extractor.digest == sha256(tmp_path / "mine.onnx")


def test_logits_are_the_second_output(tmp_path: Path) -> None:
    path = model(tmp_path / "mine.onnx", logits=True)
    seen = samples(3, 3, 16, 16)
    found = foreign(path, classes=["cat", "dog", "bird", "fish"])(seen)
    assert found.logits is not None
    assert torch.allclose(found.logits, by_torch(seen) @ torch.from_numpy(MATRIX), atol=1e-5)
    assert foreign(path).classes == ("0", "1", "2", "3")
    with pytest.raises(CardiganError, match="knows 4 classes, but 2 names"):
        foreign(path, classes=["a", "b"])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_fixed_number_of_pictures_works(tmp_path: Path, count: int) -> None:
    extractor = foreign(model(tmp_path / "mine.onnx", (count, 3, 16, 16), logits=True))
    seen = samples(5, 3, 16, 16)
    found = extractor(seen)
    assert found.logits is not None and len(found.logits) == 5
    assert torch.allclose(found.values, by_torch(seen), atol=1e-5)


def test_samples_are_resized_to_a_fixed_size(tmp_path: Path) -> None:
    extractor = foreign(model(tmp_path / "mine.onnx", ("n", 3, 16, 24)))
    seen = samples(2, 3, 50, 40)
    small = F.interpolate(seen, (16, 24), mode="bilinear", antialias=True)
    assert torch.allclose(extractor(seen).values, by_torch(small), atol=1e-5)
    assert "antialiased bilinear to 16x24" in extractor.resizing


def test_open_sizes_take_samples_as_they_are(tmp_path: Path) -> None:
    extractor = foreign(model(tmp_path / "mine.onnx", ("n", 3, "h", "w")))
    for side in (8, 20):
        seen = samples(2, 3, side, side)
        assert torch.allclose(extractor(seen).values, by_torch(seen), atol=1e-5)
    assert "; none;" in extractor.resizing


def test_features_that_depend_on_the_size_are_refused(tmp_path: Path) -> None:
    extractor = foreign(model(tmp_path / "mine.onnx", ("n", 3, "h", "w"), pooled=False))
    with pytest.raises(CardiganError, match=r"80 features for pictures of 4x4, but .* height and width fixed"):
        extractor(samples(1, 3, 4, 4))


def test_channels_are_matched_or_refused(tmp_path: Path) -> None:
    colour = foreign(model(tmp_path / "colour.onnx"))
    grey = samples(2, 1, 16, 16)
    assert torch.equal(colour(grey).values, colour(grey.expand(-1, 3, -1, -1)).values)
    clear = torch.cat([grey.expand(-1, 3, -1, -1), -torch.ones_like(grey)], 1)
    assert torch.equal(colour(clear).values, colour(torch.ones(2, 3, 16, 16)).values)
    one = foreign(model(tmp_path / "grey.onnx", ("n", 1, 16, 16), kernel=KERNEL[:, :1]))
    with pytest.raises(CardiganError, match="have 3 channels, but the extractor sees 1"):
        one(samples(1, 3, 16, 16))
    with pytest.raises(CardiganError, match="no pictures"):
        one(torch.zeros(4, 2))


def test_values_lie_in_the_range_that_is_asked_for(tmp_path: Path) -> None:
    path, seen = model(tmp_path / "mine.onnx"), samples(2, 3, 16, 16)
    for low, high in [(0.0, 1.0), (0.0, 255.0)]:
        wanted = by_torch((seen + 1) / 2 * (high - low) + low)
        extractor = foreign(path, value_range=(low, high))
        assert torch.allclose(extractor(seen).values, wanted, rtol=1e-4, atol=1e-4)
        assert f"values in [{low:g}, {high:g}]" in extractor.resizing


def test_model_exported_by_torch_works(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)).eval()
    torch.onnx.export(network, (torch.zeros(2, 3, 16, 16),), tmp_path / "mine.onnx", verbose=False)
    seen = samples(3, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(foreign(tmp_path / "mine.onnx")(seen).values, network(seen).flatten(1), atol=1e-5)


def test_tensors_beside_the_model_are_read_and_counted(tmp_path: Path) -> None:
    path = model(tmp_path / "mine.onnx", outside="kernel.bin")
    with pytest.raises(CardiganError, match=r"needs the file .*kernel\.bin, which is missing"):
        foreign(path)
    (tmp_path / "kernel.bin").write_bytes(KERNEL.tobytes())
    first, seen = foreign(path), samples(2, 3, 16, 16)
    assert torch.allclose(first(seen).values, by_torch(seen), atol=1e-5)
    (tmp_path / "kernel.bin").write_bytes((KERNEL + 1).tobytes())
    assert foreign(path).digest != first.digest != sha256(path)
    (tmp_path / "kernel.bin").write_bytes(KERNEL.tobytes()[:7])
    with pytest.raises(CardiganError, match=r"mine\.onnx"):
        foreign(path)


@pytest.mark.parametrize("location", ["../secret.bin", "{folder}/secret.bin", "link.bin", "inner/../../secret.bin"])
def test_tensors_outside_the_folder_are_not_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(KERNEL.tobytes())
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link.bin").symlink_to(tmp_path / "secret.bin")
    path = model(tmp_path / "in/mine.onnx", outside=location.format(folder=tmp_path))
    with pytest.raises(CardiganError, match="names a file outside its folder"):
        foreign(path)


def test_tensors_in_memory_are_not_read(tmp_path: Path) -> None:
    """onnxruntime takes this name for an address in the process's memory."""
    with pytest.raises(CardiganError, match="which is missing"):
        foreign(model(tmp_path / "mine.onnx", outside="*/_ORT_MEM_ADDR_/*"))


def test_operators_of_other_libraries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CardiganError, match="cannot be run by onnxruntime as it is"):
        foreign(model(tmp_path / "mine.onnx", domain="com.nobody"))


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 9, b"PK\x03\x04" + bytes(99)])
def test_files_that_are_no_onnx_are_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.onnx").write_bytes(content)
    with pytest.raises(CardiganError, match=r"mine\.onnx (is no ONNX model|cannot be run)") as caught:
        foreign(tmp_path / "mine.onnx")
    assert "\n" not in str(caught.value)


def single(path: Path, operator: str, shape: tuple[int | str, ...], kind: int = FLOAT, **attributes: Any) -> Path:
    """A model of one operator."""
    info = helper.make_tensor_value_info
    node = helper.make_node(operator, ["x"], ["y"], **attributes)
    graph = helper.make_graph([node], "g", [info("x", kind, shape)], [info("y", kind, None)])
    opset = [helper.make_opsetid("", 14)]
    path.write_bytes(helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString())
    return path


def test_inputs_and_outputs_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    with pytest.raises(CardiganError, match=r"\(N, C, H, W\) float32; found x tensor\(float\) \['n', 3, 16\]"):
        foreign(single(path, "Relu", ("n", 3, 16)))
    with pytest.raises(CardiganError, match=r"\(N, C, H, W\) float32; found x tensor\(double\)"):
        foreign(single(path, "Relu", ("n", 3, 16, 16), onnx.TensorProto.DOUBLE))
    with pytest.raises(CardiganError, match=r"outputs should be \(N, features\) .*found \(\) for 2 pictures"):
        foreign(single(path, "ReduceMean", ("n", 3, 16, 16), keepdims=0))
    with pytest.raises(CardiganError, match=r"absent\.onnx is no file"):
        foreign(tmp_path / "absent.onnx")


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["mine.pt2", "mine.pt", "mine.pth", "mine.pkl", "mine.onnx"])
def test_files_that_could_run_code_are_refused_unread(tmp_path: Path, name: str) -> None:
    mark = tmp_path / "ran"
    torch.save(Hostile(mark), tmp_path / "inputs.pt")
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("mine/data/sample_inputs/model.pt", (tmp_path / "inputs.pt").read_bytes())
        archive.writestr("mine/data.pkl", pickle.dumps(Hostile(mark)))
    with pytest.raises(CardiganError, match=r"an ONNX file|no ONNX model"):
        foreign(tmp_path / name)
    assert not mark.exists()


def test_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(tmp_path / "mine.onnx")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(CardiganError, match=r"pip install 'cardigan\[extractors\]'"):
        foreign(path)
