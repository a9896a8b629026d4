"""Trains the whole network, or its later layers, from a fitted head on.

AdamW with a warm-up and a cosine (Loshchilov and Hutter), smaller steps for earlier layers, a moving average of the
weights that is what validation judges, label smoothing, class weights, and mixed precision where CUDA is. The schedule
follows the time that is left where that is shorter than the epochs: a run that is bounded in time still cools down.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from sosie.training.classifier.augmentation import Augmentation
from sosie.training.classifier.backbones import Classifier
from sosie.training.classifier.batches import Learned, count_steps, make_batches
from sosie.training.classifier.metrics import f1_scores, measure_loss
from sosie.training.classifier.progress import Plan, Progress, save_progress
from sosie.training.classifier.running import TOLD_EVERY, explain_memory, predict
from sosie.training.errors import ClassifierError

WARM_UP = 0.08
"""The share of the steps in which the learning rate rises."""
LAST_RATE = 0.01
"""What is left of the learning rate in the end."""
FIRST_LAYER_RATE = 0.2
"""The first layer's share of the learning rate; those between rise geometrically: what edges look like is known."""
WEIGHT_DECAY = 0.02
AVERAGE = 0.99
"""How much of the moving average stays at each step; less in the first ones."""
MAX_NORM = 5.0
"""Of the gradient."""


@dataclass(frozen=True)
class Settings:
    """How it is trained: `smoothing` of labels 0..1, `patience` in epochs, `deadline` in seconds of the run's clock."""

    smoothing: float
    patience: int
    deadline: float | None
    augmentation: Augmentation


def train_network(
    model: Classifier,
    data: Learned,
    plan: Plan,
    progress: Progress,
    settings: Settings,
    *,
    folder: Path,
    clock: Callable[[], float],
    tell: Callable[[str], None],
) -> Progress:
    """Trains from where `progress` stands to the last epoch, the deadline, or where validation gains no more.

    A checkpoint is written to `folder` after each epoch. `clock` gives the seconds that the run has taken so far. The
    weights that validation liked best are `progress.best`. Raises ClassifierError.
    """
    trainer = _Trainer(model, data, plan=plan, progress=progress, settings=settings, clock=clock, tell=tell)
    while progress.epoch < plan.epochs and progress.epoch - progress.best_epoch < settings.patience:
        if trainer.is_late():
            break
        with explain_memory(plan.batch_size):
            trainer.run_epoch()
            figures = trainer.watch()
        save_progress(folder, plan, trainer.note())
        tell(figures)  # once it is told, no interruption can undo it
    if progress.epoch < plan.epochs:
        reason = "the time is up" if trainer.is_late() else f"validation gained nothing in {settings.patience} epochs"
        tell(f"ended after epoch {progress.epoch}: {reason}")
    return progress


class _Trainer:
    def __init__(
        self,
        model: Classifier,
        data: Learned,
        *,
        plan: Plan,
        progress: Progress,
        settings: Settings,
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self.device = next(model.parameters()).device
        self.model, self.data, self.plan, self.progress = model, data, plan, progress
        self.settings, self.clock, self.tell = settings, clock, tell
        self.steps = count_steps(data, plan)
        self.optimiser = torch.optim.AdamW(group_weights(model, plan.learning_rate, plan.frozen))
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        half = torch.bfloat16 if self.device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float16
        self.autocast = torch.autocast(self.device.type, half, enabled=self.device.type == "cuda")
        self.scaler = torch.amp.GradScaler(enabled=self.device.type == "cuda" and half is torch.float16)
        self.weights = torch.from_numpy(data.class_weights).to(self.device)
        self.watching = 0.0
        if progress.state:
            model.load_state_dict(progress.state)
            progress.average = {name: value.to(self.device) for name, value in progress.average.items()}
            self.optimiser.load_state_dict(progress.optimiser)
            self.scaler.load_state_dict(progress.scaler)
            torch.set_rng_state(progress.generator)
        else:
            progress.average, progress.began = _copy(model), clock()

    def is_late(self) -> bool:
        """Whether no time is left but for judging."""
        deadline = self.settings.deadline
        return deadline is not None and self.clock() + self.watching >= deadline

    def run_epoch(self) -> None:
        progress, data, plan, told, losses = self.progress, self.data, self.plan, self.clock(), []
        self.model.train()
        started = self.clock()
        for done, (views, truth) in enumerate(make_batches(data, plan, progress.epoch, self.settings.augmentation), 1):
            self._set_rate()
            losses.append(self._step(views.to(self.device), truth.to(self.device)))
            progress.step += 1
            self._average()
            if not math.isfinite(losses[-1]):
                raise ClassifierError("training diverged: the loss is no number; give a smaller --learning-rate")
            if self.clock() - told > TOLD_EVERY:
                told = self.clock()
                self.tell(self._describe(done, losses, started))
            if self.is_late():
                break
        progress.epoch += 1
        progress.history.append({"epoch": progress.epoch, "loss": float(np.mean(losses))})

    def watch(self) -> str:
        """Judges the moving average on validation, and keeps it where it is the best so far; what to tell of it."""
        began = self.clock()
        progress, data = self.progress, self.data
        state = _copy(self.model)
        self.model.load_state_dict(progress.average)
        logits = predict(self.model, data.pictures, data.validation)
        truth = data.truth[data.validation]
        macro, weighted = f1_scores(logits.argmax(1), truth, self.model.head.out_features)
        loss = measure_loss(logits, truth)
        progress.history[-1] |= {"validation_loss": loss, "f1_macro": macro, "f1_weighted": weighted}
        better = weighted > progress.best_score
        if better:
            progress.best, progress.best_epoch, progress.best_score = _copy(self.model), progress.epoch, weighted
        self.model.load_state_dict(state)
        self.watching = self.clock() - began
        return (
            f"epoch {progress.epoch} of {self.plan.epochs}: loss {progress.history[-1]['loss']:.3f}, validation "
            f"{loss:.3f}, F1 weighted {weighted:.4f}, macro {macro:.4f}{', the best so far' if better else ''}; "
            f"{self._left(self.plan.epochs - progress.epoch)}"
        )

    def note(self) -> Progress:
        """The progress, with all that going on needs."""
        progress = self.progress
        progress.state = self.model.state_dict()
        progress.optimiser, progress.scaler = self.optimiser.state_dict(), self.scaler.state_dict()
        progress.generator, progress.seconds = torch.get_rng_state(), self.clock()
        return progress

    def _step(self, views: torch.Tensor, truth: torch.Tensor) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        with self.autocast:
            logits = self.model(views)
        loss = functional.cross_entropy(logits.float(), truth, self.weights, label_smoothing=self.settings.smoothing)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return float(loss.detach())

    def _average(self) -> None:
        step = self.progress.step
        kept = min(AVERAGE, (1 + step) / (10 + step))
        for name, value in self.model.state_dict().items():
            mean = self.progress.average[name]
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - kept)
            else:
                mean.copy_(value)

    def _set_rate(self) -> None:
        share = self._share()
        rise = min(share / WARM_UP, 1.0)
        fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * max(rise, LAST_RATE) * fall

    def _share(self) -> float:
        """How much of the training is behind it, 0..1: by steps, or by time where that is further."""
        share = self.progress.step / (self.steps * self.plan.epochs)
        if self.settings.deadline is not None:
            whole = self.settings.deadline - self.progress.began
            share = max(share, (self.clock() - self.progress.began) / max(whole, 1e-9))
        return min(share, 1.0)

    def _describe(self, done: int, losses: list[float], started: float) -> str:
        pace = done * self.plan.batch_size / max(self.clock() - started, 1e-9)
        return (
            f"epoch {self.progress.epoch + 1}, step {done} of {self.steps}: loss {np.mean(losses[-20:]):.3f}, "
            f"{pace:.1f} pictures/s, {self._left(self.plan.epochs - self.progress.epoch - done / self.steps)}"
        )

    def _left(self, epochs: float) -> str:
        share = self._share()
        spent = self.clock() - self.progress.began
        epochs_done = max(self.plan.epochs - epochs, 1e-9)
        seconds = spent * epochs / epochs_done if share else 0.0
        if self.settings.deadline is not None:
            seconds = min(seconds, max(self.settings.deadline - self.clock(), 0.0))
        return f"at most {seconds / 60:.1f} minutes left"


def group_weights(model: Classifier, rate: float, frozen: float) -> list[dict[str, object]]:
    """AdamW's parameter groups: a layer each with its own learning rate; vectors do not decay.

    The first `frozen` of the backbone's layers, a share of 0..1, are not trained at all.
    """
    layers = model.layers()
    first = round(frozen * len(layers))
    groups: list[dict[str, object]] = []
    for number, layer in enumerate(layers):
        share = number / max(len(layers) - 1, 1)
        _add_groups(groups, layer, rate * FIRST_LAYER_RATE ** (1 - share), learns=number >= first)
    _add_groups(groups, model.head, rate, learns=True)
    return groups


def _add_groups(groups: list[dict[str, object]], layer: torch.nn.Module, rate: float, *, learns: bool) -> None:
    own = list(layer.parameters(recurse=False))
    for parameter in own:
        parameter.requires_grad_(learns)
    matrices = [parameter for parameter in own if parameter.dim() > 1]
    vectors = [parameter for parameter in own if parameter.dim() <= 1]
    if learns and matrices:
        groups.append({"params": matrices, "lr": rate, "weight_decay": WEIGHT_DECAY})
    if learns and vectors:
        groups.append({"params": vectors, "lr": rate, "weight_decay": 0.0})


def _copy(model: Classifier) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
