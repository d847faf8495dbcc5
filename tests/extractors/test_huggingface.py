"""DINOv2 and CLIP of random weights, saved as their makers save them and loaded the way users load them."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cardigan.data import store
from cardigan.errors import CardiganError
from cardigan.extractors import hub, weights
from cardigan.extractors.huggingface import clip, dinov2, preparation

transformers = pytest.importorskip("transformers")

ADDRESS = "http://{}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 14}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models under the names of the true ones, with processors of the true ones' settings."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    network = transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, image_size=518))
    network.save_pretrained(folder / "dinov2-base")
    processor = transformers.BitImageProcessorPil(size={"shortest_edge": 256}, **IMAGENET)
    processor.save_pretrained(folder / "dinov2-base")
    whole = transformers.CLIPModel(
        transformers.CLIPConfig(
            vision_config={**SMALL, "intermediate_size": 32, "projection_dim": 12},
            text_config={"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 9},
            projection_dim=12,
        )
    )
    whole.save_pretrained(folder / "clip-vit-large-patch14")
    old = {"size": 224, "crop_size": 224, "do_resize": True, "do_center_crop": True, "do_normalize": True}
    old |= {"resample": 3, "image_mean": [0.48, 0.458, 0.408], "image_std": [0.269, 0.261, 0.276]}
    (folder / "clip-vit-large-patch14/preprocessor_config.json").write_text(json.dumps(old))
    return folder


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", ADDRESS.format("127.0.0.1:9"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)


@pytest.fixture
def placed(models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.VARIABLE, str(models))
    return models


def pictures(count: int, channels: int, height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (count, channels, height, width), generator=torch.Generator().manual_seed(7)).byte()


SIZES = [(28, 28), (32, 48), (224, 224), (256, 256), (300, 517)]


@pytest.mark.parametrize("size", SIZES)
def test_preparation_equals_the_processors_of_transformers(placed: Path, size: tuple[int, int]) -> None:
    for name, kind in [("dinov2-base", "BitImageProcessorPil"), ("clip-vit-large-patch14", "CLIPImageProcessorPil")]:
        theirs = getattr(transformers, kind).from_pretrained(placed / name)
        seen = pictures(2, 3, *size)
        wanted = theirs([each.numpy() for each in seen], input_data_format="channels_first", return_tensors="pt")
        found = preparation(placed / name / hub.PREPARATION)(seen.float() / 127.5 - 1)
        assert found.shape == wanted["pixel_values"].shape
        assert (found - wanted["pixel_values"]).abs().max() < 1e-5


def test_dinov2_is_the_class_token_after_the_last_norm(placed: Path) -> None:
    extractor = dinov2()
    seen = pictures(3, 3, 40, 40)
    found = extractor(seen.float() / 127.5 - 1)
    theirs = transformers.Dinov2Model.from_pretrained(placed / "dinov2-base").eval()
    processor = transformers.BitImageProcessorPil.from_pretrained(placed / "dinov2-base")
    prepared = processor([each.numpy() for each in seen], input_data_format="channels_first", return_tensors="pt")
    with torch.no_grad():
        wanted = theirs(**prepared).pooler_output
    assert found.logits is None and found.values.shape == (3, 16) == (3, extractor.dimension)
    assert torch.allclose(found.values, wanted, atol=1e-5)
    assert (found.values[0] - found.values[1]).abs().max() > 1e-4


def test_clip_is_the_projected_embedding_of_unit_length(placed: Path) -> None:
    extractor = clip()
    seen = pictures(2, 3, 40, 60)
    found = extractor(seen.float() / 127.5 - 1).values
    whole = transformers.CLIPModel.from_pretrained(placed / "clip-vit-large-patch14").eval()
    with torch.no_grad():
        prepared = extractor.prepare(seen.float() / 127.5 - 1)
        wanted = whole.visual_projection(whole.vision_model(pixel_values=prepared).pooler_output)
    assert found.shape == (2, 12)
    assert torch.allclose(found, wanted / wanted.norm(dim=1, keepdim=True), atol=1e-5)


def test_extractors_say_what_they_are(placed: Path) -> None:
    extractor = dinov2()
    assert extractor.name == "dinov2" and extractor.classes == ()
    assert extractor.digest == weights.sha256(placed / "dinov2-base" / hub.TENSORS)
    assert extractor.facts == {"model": "facebook/dinov2-base", "revision": "placed by hand"}
    assert "256" in extractor.resizing and "224x224" in extractor.resizing and "bicubic" in extractor.resizing


def test_gradients_reach_the_samples(placed: Path) -> None:
    samples = torch.rand(1, 1, 30, 30, generator=torch.Generator().manual_seed(3)).requires_grad_()
    dinov2().extract(samples).values[0, 0].backward()
    assert samples.grad is not None and samples.grad.abs().sum() > 0


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a model's files ask for."""

    def do_GET(self) -> None:
        owner, name, _, revision, *file = self.path.strip("/").split("/")
        path = self.server.folder / name / "/".join(file)  # type: ignore[attr-defined]
        self.server.asked.append(f"{self.command} {self.path}")  # type: ignore[attr-defined]
        commit = COMMIT if revision == "main" else revision
        if owner != "facebook":
            return self._answer(404, {"X-Error-Code": "RepoNotFound"})
        if not path.is_file():
            return self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        content = path.read_bytes()
        return self._answer(200, {"ETag": f'"{weights.sha256(path)}"', "X-Repo-Commit": commit}, content)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder, server.asked = models, []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = ADDRESS.format(f"127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address)
    yield server
    server.shutdown()
    server.server_close()


def test_model_comes_from_the_hub_once_at_its_revision(site: Any, models: Path) -> None:
    told: list[tuple[str, int, int]] = []
    extractor = dinov2(lambda *each: told.append(each))
    pinned = hub.REVISIONS["facebook/dinov2-base"]
    assert all(f"/facebook/dinov2-base/resolve/{pinned}/" in each for each in site.asked)
    assert extractor.facts == {"model": "facebook/dinov2-base", "revision": pinned}
    assert extractor.digest == weights.sha256(models / "dinov2-base" / hub.TENSORS)
    size = (models / "dinov2-base" / hub.TENSORS).stat().st_size
    assert ("downloading facebook/dinov2-base", size, size) in told
    site.asked.clear()
    assert dinov2().digest == extractor.digest and site.asked == []


def test_models_without_a_fixed_revision_say_which_commit_they_are(site: Any, models: Path) -> None:
    (models / "other").symlink_to(models / "dinov2-base")
    assert dinov2(model="facebook/other").facts == {"model": "facebook/other", "revision": COMMIT}


def test_what_the_hub_lacks_is_one_line(site: Any, models: Path) -> None:
    with pytest.raises(CardiganError, match=r"the hub has no public model 'nobody/nothing'"):
        dinov2(model="nobody/nothing")
    (models / "pickled").mkdir()
    for file in ("config.json", "preprocessor_config.json"):
        (models / "pickled" / file).write_bytes((models / "dinov2-base" / file).read_bytes())
    torch.save({}, models / "pickled/pytorch_model.bin")
    with pytest.raises(CardiganError, match=r"facebook/pickled .*lacks one of .*pickled weights are not read"):
        dinov2(model="facebook/pickled")


def test_offline_says_what_to_place_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "mine"))
    for make, model in [(dinov2, "facebook/dinov2-base"), (clip, "openai/clip-vit-large-patch14")]:
        with pytest.raises(CardiganError) as caught:
            make()
        told = str(caught.value)
        assert "\n" not in told and f"https://huggingface.co/{model}/tree/{hub.REVISIONS[model]}" in told
        assert str(tmp_path / "mine" / model.rpartition("/")[2]) in told and "model.safetensors" in told


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    with pytest.raises(CardiganError, match=r"pip install 'cardigan\[extractors\]'"):
        dinov2()


def copy(models: Path, name: str, folder: Path, **changes: object) -> Path:
    """The model `name` in `folder`, with changes to its config.json."""
    (folder / name).mkdir(parents=True)
    for file in hub.FILES:
        (folder / name / file).write_bytes((models / name / file).read_bytes())
    config = json.loads((folder / name / "config.json").read_text())
    (folder / name / "config.json").write_text(json.dumps({**config, **changes}))
    return folder / name


def test_code_that_comes_with_a_model_is_not_run(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    names = {"AutoConfig": "hostile.Config", "AutoModel": "hostile.Model"}
    folder = copy(models, "dinov2-base", tmp_path, auto_map=names, attn_implementation="nobody/kernel")
    code = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    (folder / "hostile.py").write_text(code)
    assert dinov2().dimension == 16
    assert not (tmp_path / "ran").exists()


def test_tensors_that_do_not_fit_are_refused(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers would make up what is missing, at random."""
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    copy(models, "dinov2-base", tmp_path, num_hidden_layers=3)
    with pytest.raises(CardiganError, match=r"lacks .* tensors of the network, such as"):
        dinov2()


@pytest.mark.parametrize("damage", [hub.TENSORS, hub.CONFIG, hub.PREPARATION])
def test_damaged_files_are_one_line(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    folder = copy(models, "dinov2-base", tmp_path)
    (folder / damage).write_bytes(b"what is this")
    with pytest.raises(CardiganError, match=r"dinov2-base.*(damaged|cannot be loaded)"):
        dinov2()
    (folder / damage).unlink()
    with pytest.raises(CardiganError, match=f"lacks {damage} of facebook/dinov2-base"):
        dinov2()


def test_other_kinds_and_other_preparations_are_refused(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.VARIABLE, str(models))
    with pytest.raises(CardiganError, match="is of a clip model; allowed: dinov2"):
        dinov2(model="openai/clip-vit-large-patch14")
    config = json.loads((models / "dinov2-base" / hub.PREPARATION).read_text())
    for change in [{"resample": 2}, {"do_center_crop": False}, {"size": {"shortest_edge": 100}}, {"rescale_factor": 1}]:
        (tmp_path / "p.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(CardiganError, match="asks for another preparation"):
            preparation(tmp_path / "p.json")
    (tmp_path / "p.json").write_text(json.dumps({**config, "size": {"height": 224, "width": 224}}))
    with pytest.raises(CardiganError, match="does not say"):
        preparation(tmp_path / "p.json")
