"""Pretrained weights: fetched, verified, filled by stages, or refused in one line."""

from __future__ import annotations

import hashlib
import io
import pickle
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from cxrscreen.config import ResNet50Config, ScratchCNNConfig
from cxrscreen.errors import ConfigError
from cxrscreen.model.bundle import DEFAULT_BUNDLE, WEIGHTS, packaged_bundles
from cxrscreen.model.network import build_network, stage_of
from cxrscreen.training.pretrained import load_pretrained
from cxrscreen.training.published import (
    PUBLISHED_RESNET50,
    PublishedFile,
    cache_folder,
    fetched,
)

SMALL = ScratchCNNConfig(architecture="scratch_cnn", widths=(4, 8), dense_units=6)
RESNET = ResNet50Config(architecture="resnet50")


def network(config=SMALL, seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(config, in_channels=3)


def refused(path: Path, *said: str, config=SMALL) -> None:
    target = network(config)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(ConfigError) as caught:
        load_pretrained(target, config, str(path))
    for text in (path.name, *said):
        assert text in caught.value.one_line()
    assert caught.value.hint
    for name, value in target.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    """Of a network that is not the one under test."""
    state = network(seed=2).state_dict()
    return {
        name: torch.rand(value.shape) if value.is_floating_point() else value
        for name, value in state.items()
    }


def only(weights: dict[str, torch.Tensor], *stages: str) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights.items() if stage_of(SMALL, name) in stages}


def saved(path: Path, weights: object) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt", "W.PTH"])
@pytest.mark.parametrize("stages", [("stage1",), ("stage1", "stage2"), SMALL.stages, ("head",)])
def test_the_stages_of_a_file_are_filled_and_the_others_stay_fresh(tmp_path, weights, name, stages):
    path = saved(tmp_path / name, only(weights, *stages))
    target, fresh = network(), network().state_dict()
    record = load_pretrained(target, SMALL, str(path))
    assert record.source == name
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record.filled == stages
    assert record.fresh == tuple(stage for stage in SMALL.stages if stage not in stages)
    for key, value in target.state_dict().items():
        expected = weights if stage_of(SMALL, key) in stages else fresh
        torch.testing.assert_close(value, expected[key], rtol=0, atol=0)


def test_the_sentence_names_both(tmp_path, weights):
    path = saved(tmp_path / "w.safetensors", only(weights, "stage1"))
    said = load_pretrained(network(), SMALL, str(path)).sentence()
    assert said == "w.safetensors fills stage1; stage2, head start fresh"
    saved(path, only(weights, "stage1", "stage2"))
    said = load_pretrained(network(), SMALL, str(path)).sentence()
    assert said == "w.safetensors fills stage1, stage2; head starts fresh"
    saved(path, weights)
    said = load_pretrained(network(), SMALL, str(path)).sentence()
    assert said == "w.safetensors fills every stage: stage1, stage2, head"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_another_precision_are_converted(tmp_path, weights, dtype):
    other = {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}
    target = network()
    load_pretrained(target, SMALL, str(saved(tmp_path / "w.safetensors", other)))
    for name, value in target.state_dict().items():
        assert value.dtype == weights[name].dtype
        torch.testing.assert_close(value, other[name].to(value.dtype), rtol=0, atol=0)


@pytest.mark.parametrize("wrap", [lambda w: {"state_dict": w, "epoch": 3}, lambda w: w])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_what_a_training_script_saves_is_unwrapped(tmp_path, weights, wrap, prefix):
    content = wrap({prefix + name: value for name, value in weights.items()})
    record = load_pretrained(network(), SMALL, str(saved(tmp_path / "w.pth", content)))
    assert record.fresh == ()


def test_counters_of_batches_may_be_missing(tmp_path, weights):
    without = {k: v for k, v in weights.items() if "num_batches" not in k}
    path = saved(tmp_path / "w.pth", without)
    assert load_pretrained(network(), SMALL, str(path)).fresh == ()


def test_a_half_filled_stage_is_refused_and_the_missing_key_named(tmp_path, weights):
    del weights["features.1.running_var"]
    refused(saved(tmp_path / "w.pth", weights), "a part of stage1", "features.1.running_var")


def test_a_key_that_belongs_to_nothing_is_refused(tmp_path, weights):
    weights["features.99.weight"] = torch.zeros(1)
    refused(saved(tmp_path / "w.pth", weights), "no features.99.weight")


def test_the_head_of_the_published_network_may_belong_to_nothing(tmp_path, weights):
    weights["fc.weight"], weights["fc.bias"] = torch.zeros(1000, 8), torch.zeros(1000)
    path = saved(tmp_path / "w.pth", weights)
    assert load_pretrained(network(), SMALL, str(path)).fresh == ()


def test_a_shape_of_another_network_is_refused(tmp_path, weights):
    weights["features.0.weight"] = torch.zeros(4, 1, 5, 5)
    path = saved(tmp_path / "w.pth", weights)
    refused(path, "features.0.weight", "(4, 1, 5, 5)", "(4, 3, 5, 5)")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_numbers_that_are_not_finite_are_refused(tmp_path, weights, value):
    weights["head.6.bias"] = torch.full((1,), value, dtype=torch.float64)
    refused(saved(tmp_path / "w.pth", weights), "head.6.bias", "not finite")


def test_integers_are_no_weights(tmp_path, weights):
    weights["head.6.bias"] = torch.zeros(1, dtype=torch.int64)
    refused(saved(tmp_path / "w.pth", weights), "head.6.bias", "torch.int64")


@pytest.mark.parametrize("content", [{}, {"fc.weight": torch.zeros(3, 3)}])
def test_a_file_that_fills_nothing_is_refused(tmp_path, content):
    refused(saved(tmp_path / "w.safetensors", content), "fills no stage")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        3,
        torch.zeros(2),
        {"epoch": 3},
        {"state_dict": {}},
        {1: torch.zeros(1)},
        {"a": torch.zeros(2).to_sparse()},
        {"a": torch.zeros(2, device="meta")},
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    refused(saved(tmp_path / "w.pth", content), "no state dict")


class Malicious:
    """Its unpickling leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize(
    "save", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))]
)
def test_code_in_a_pickle_is_not_run(tmp_path, weights, save):
    trace = tmp_path / "trace"
    path = tmp_path / "w.pth"
    save({**weights, "x": Malicious(trace)}, path)
    refused(path, "never unpickled")
    assert not trace.exists()
    # The trap works.
    torch.load(path, weights_only=False) if save is torch.save else pickle.loads(path.read_bytes())  # noqa: S301
    assert trace.exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, weights, name, share):
    path = saved(tmp_path / name, weights)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "is damaged")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_fills_or_is_refused_by_name(tmp_path, weights, data):
    name = data.draw(st.sampled_from(["w.safetensors", "w.pth"]))
    path = saved(tmp_path / name, weights)
    content = bytearray(path.read_bytes())
    # Where the structure stands: at the beginning, or (the directory of a zip) at the end.
    where = data.draw(st.integers(0, 1500)) * data.draw(st.sampled_from([1, -1]))
    content[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        load_pretrained(network(), SMALL, str(path))
    except ConfigError as error:
        assert name in error.one_line()  # noqa: PT017 - either outcome is right


def test_other_files_are_refused(tmp_path, weights):
    refused(tmp_path / "no.pth", "No such file")
    (tmp_path / "folder.pth").mkdir()
    refused(tmp_path / "folder.pth", "no regular file")
    saved(tmp_path / "w.pth", weights).rename(tmp_path / "w.bin")
    refused(tmp_path / "w.bin", "neither in .safetensors")
    refused(tmp_path / ("x" * 300 + ".pth"), "too long")


def test_a_bundle_is_a_start(packaged):
    path = packaged_bundles()[DEFAULT_BUNDLE] / WEIGHTS
    config = packaged.document.network
    target = network(config)
    record = load_pretrained(target, config, str(path))
    assert (record.filled, record.fresh) == (config.stages, ())
    assert record.sha256 == packaged.document.files[WEIGHTS]
    for name, value in packaged.network.state_dict().items():
        assert torch.equal(value, target.state_dict()[name])


def test_the_shared_weights_fill_the_early_stages(real_data):
    path = real_data / "weights" / "resnet50_imagenet_stages1to3.safetensors"
    target = network(RESNET)
    record = load_pretrained(target, RESNET, str(path))
    assert record.sentence() == (
        "resnet50_imagenet_stages1to3.safetensors fills stem, layer1, layer2, layer3; "
        "layer4, head start fresh"
    )
    stored = safetensors.torch.load_file(path)
    state = target.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in stored.items())
    assert len(stored) == 215


class Server:
    """A publisher on this machine."""

    def __init__(self) -> None:
        self.content = b""
        self.promised: int | None = None
        self.status = 200
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                self.send_response(outer.status)
                length = len(outer.content) if outer.promised is None else outer.promised
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def publish(self, content: bytes) -> PublishedFile:
        self.content = content
        url = f"http://127.0.0.1:{self._server.server_port}/models/weights.pth"
        return PublishedFile(url, hashlib.sha256(content).hexdigest())

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def published_like(config: ResNet50Config) -> bytes:
    """Made-up weights in the shape of the published ones: a head of a thousand classes."""
    state = network(config, seed=5).state_dict()
    state["fc.weight"], state["fc.bias"] = torch.ones(1000, 2048), torch.ones(1000)
    buffer = io.BytesIO()
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, buffer)
    return buffer.getvalue()


def test_imagenet_is_fetched_once_and_fills_all_but_the_head(server, tmp_path):
    published = server.publish(published_like(RESNET))
    cache = tmp_path / "a" / "cache"
    for _ in range(2):
        target = network(RESNET)
        record = load_pretrained(target, RESNET, "imagenet", published=published, cache=cache)
        assert record.sentence() == (
            "imagenet fills stem, layer1, layer2, layer3, layer4; head starts fresh"
        )
        assert record.sha256 == published.sha256
        expected = network(RESNET, seed=5).state_dict()["layer4.2.conv3.weight"].half().float()
        assert torch.equal(target.state_dict()["layer4.2.conv3.weight"], expected)
        assert torch.equal(
            target.state_dict()["fc.weight"], network(RESNET).state_dict()["fc.weight"]
        )
    assert server.requests == ["/models/weights.pth"]
    assert [path.name for path in cache.iterdir()] == ["weights.pth"]


def not_fetched(published: PublishedFile, folder: Path, *said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fetched(published, folder)
    line = caught.value.one_line()
    for text in (published.url, str(folder / "weights.pth"), "--set pretrained=FILE", *said):
        assert text in line
    assert list(folder.iterdir()) == []
    assert socket.getdefaulttimeout() is None


def test_other_content_is_not_kept(server, tmp_path):
    published = server.publish(b"the weights")
    server.content = b"something else"
    not_fetched(published, tmp_path, "invalid hash value")


def test_a_broken_connection_leaves_nothing(server, tmp_path):
    published = server.publish(b"the weights" * 1000)
    server.content, server.promised = b"the wei", 11000
    not_fetched(published, tmp_path)


def test_a_page_that_is_not_there(server, tmp_path):
    published = server.publish(b"the weights")
    server.status = 404
    not_fetched(published, tmp_path, "Not Found")


def test_a_server_that_does_not_answer(server, tmp_path):
    published = server.publish(b"the weights")
    server.close()
    not_fetched(published, tmp_path, "(Connection refused)")


def test_ctrl_c_leaves_nothing(tmp_path):
    # A publisher that never sends the end: the interrupt comes while it is waited for.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/weights.pth"

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")
                # What the terminal does.
                signal.raise_signal(signal.SIGINT)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            fetched(PublishedFile(url, "0" * 64), tmp_path)
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_damage_in_the_cache_is_found_at_the_next_use(server, tmp_path):
    published = server.publish(b"the weights")
    path = fetched(published, tmp_path)
    path.write_bytes(b"the w3ights")
    with pytest.raises(ConfigError, match=r"weights\.pth: its content is not that of"):
        fetched(published, tmp_path)
    path.unlink()
    assert fetched(published, tmp_path).read_bytes() == b"the weights"


def test_a_cache_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be used"):
        fetched(server.publish(b"the weights"), tmp_path / "file" / "cache")
    assert server.requests == []


def test_imagenet_is_for_the_resnet50(tmp_path):
    with pytest.raises(ConfigError, match="resnet50, not for a scratch_cnn"):
        load_pretrained(network(), SMALL, "imagenet", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_downloads_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder({"CXRSCREEN_CACHE": "/c", "XDG_CACHE_HOME": "/x"}) == Path("/c")
    assert cache_folder({"CXRSCREEN_CACHE": "", "XDG_CACHE_HOME": "/x"}) == Path("/x/cxrscreen")
    for home in ({}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}):
        assert cache_folder(home) == tmp_path / ".cache" / "cxrscreen"


def test_the_published_name_carries_the_beginning_of_its_digest():
    assert PUBLISHED_RESNET50.name == f"resnet50-{PUBLISHED_RESNET50.sha256[:8]}.pth"
