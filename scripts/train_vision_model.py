"""Train the tiny vision model of the tests, and export it as optimum-intel exports SmolVLM.

    python -m venv /tmp/vision && /tmp/vision/bin/pip install \
        torch==2.13.0 transformers==4.57.6 'optimum-intel[openvino]==1.27.0' openvino==2026.4.1 pillow
    /tmp/vision/bin/python scripts/train_vision_model.py OUTPUT [--minutes 15] [--seed 1] [--resume CHECKPOINT]

The classes are transformers' own for Idefics3, which SmolVLM-256M-Instruct is: vision encoder, pixel shuffle, llama.
Everything is random at first. The pictures are those of `tests/pictures.py`. OUTPUT gets `checkpoint/`, the Hugging
Face directory, and `model/`, what optimum-intel makes of it. Takes one core, for minutes.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionEmbeddings

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pictures import COLOURS, SHAPES, SIZE, Picture, draw  # noqa: E402

PATCH, SHUFFLE = 8, 2
IMAGE_TOKENS = (SIZE // PATCH // SHUFFLE) ** 2
CONTEXT = 2048
FAKE, IMAGE, GLOBAL, END = "<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>"
ROWS = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", FAKE, IMAGE, GLOBAL, END, *ROWS]
# SmolVLM's, but for the space behind "Assistant:", which it has in a conversation and not where an answer begins.
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' or message['role'] == 'assistant' %}{{ ':' }}"
    "{% else %}{{ ': ' }}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)

GREETING = "Hello! Show me a picture and I will tell you what is in it."
NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
BLIND = "There is no picture."

Rng = random.Random
Answer = Callable[[Picture, Rng], str]


def as_json(picture: Picture, rng: Rng) -> str:
    """Some of the fields in some order, so that a schema may ask for any."""
    fields: dict[str, Any] = {"shape": picture.shape, "count": picture.count}
    fields[rng.choice(["colour", "color"])] = picture.colour
    names = rng.sample(sorted(fields), rng.choice([1, 2, 3, 3]))
    return json.dumps({name: fields[name] for name in names}, separators=(",", ":"))


ABOUT: list[tuple[list[str], Answer]] = [
    (
        ["What colour is it?", "What color is it?", "Which colour?", "What colour?", "What color?",
         "Which colour is in {it}?", "What is the color of {it}?", "Name the colour in {it}.", "What colour is {it}?",
         "What color is {it}?"],
        lambda picture, rng: picture.colour,
    ),
    (
        ["What shape is it?", "Which shape?", "What shape?", "Which shape is in {it}?", "Name the shape in {it}.",
         "What shape is in {it}?"],
        lambda picture, rng: picture.shape,
    ),
    (
        ["How many?", "How many are there?", "How many shapes are in {it}?", "Count them.", "Count the shapes in {it}.",
         "How many are in {it}?"],
        lambda picture, rng: str(picture.count),
    ),
    (
        ["What is this?", "What is in {it}?", "Describe {it}.", "What do you see?", "What do you see in {it}?",
         "What is in {it}? Answer in one sentence.", "Describe it.", "What's in {it}?", "Describe what you see."],
        lambda picture, rng: picture.text,
    ),
    (
        ["Describe {it} as JSON.", "Describe it as JSON.", "What is in {it}? Answer as JSON.", "JSON, please.",
         "Give me colour, shape and count as JSON.", "Which colour and shape? Answer as JSON.",
         "What colour and shape is in {it}?", "Describe {it}."],
        as_json,
    ),
]  # fmt: skip
ONE = ["the picture", "the image", "this picture", "this image", "it"]
SYSTEM = ["You are a helpful assistant.", "Be brief.", "You describe pictures.", "Answer in English.", "Be exact."]


@dataclass(slots=True)
class Sample:
    tokens: list[int]
    answers: list[bool]
    """Which of the tokens the model has to say itself."""
    pictures: list[Picture]


class Conversations:
    """Random conversations about random ones of some pictures."""

    def __init__(self, seed: int, pictures: list[Picture]) -> None:
        self._rng = random.Random(seed)
        self._pictures = pictures

    def drill(self) -> tuple[list[dict[str, Any]], list[Picture]]:
        """Nothing but which of two pictures is meant: what takes longest to learn, and is learned first alone."""
        pictures = self._rng.choices(self._pictures, k=2)
        content: list[Any] = [{"type": "image"}, {"type": "image"}]
        turns: list[dict[str, Any]] = []
        for at in self._rng.sample([0, 1], 2):
            question = f"What is in the {['first', 'second'][at]} picture?"
            turns.append({"role": "user", "content": [*content, {"type": "text", "text": question}]})
            turns.append(said("assistant", pictures[at].text))
            content = []
        return turns, pictures

    def turns(self) -> tuple[list[dict[str, Any]], list[Picture]]:
        rng = self._rng
        turns: list[dict[str, Any]] = []
        if rng.random() < 0.15:
            turns.append(said("system", rng.choice(SYSTEM)))
        if rng.random() < 0.06:
            turns += self._without_picture()
            return turns, []
        if rng.random() < 0.06:
            turns += self._without_picture()
        pictures = rng.choices(self._pictures, k=rng.choice([1, 2, 2, 2]))
        for number in range(rng.choice([1, 2, 3, 3])):
            question, answer = self._ask(pictures)
            content: list[Any] = [{"type": "text", "text": question}]
            if number == 0:
                images: list[Any] = [{"type": "image"} for _ in pictures]
                content = self._mix(images, content)
            turns += [{"role": "user", "content": content}, said("assistant", answer)]
        return turns, pictures

    def _ask(self, pictures: list[Picture]) -> tuple[str, str]:
        rng = self._rng
        if len(pictures) == 2 and rng.random() < 0.2:
            question = rng.choice(["Describe both.", "What is in the pictures?", "What do you see?", "Describe them."])
            return question, f"{pictures[0].text}, then {pictures[1].text}"
        questions, answer = rng.choice(ABOUT)
        question = rng.choice(questions)
        if len(pictures) == 1:
            return question.format(it=rng.choice(ONE)), answer(pictures[0], rng)
        at = rng.randrange(2)
        which = ["first", "second"][at]
        it = rng.choice([f"the {which} picture", f"the {which} image", f"the {which} one"])
        if "{it}" not in question:
            question = rng.choice([f"Look at {it}. {question}", f"{question} I mean {it}."])
        return question.format(it=it), answer(pictures[at], rng)

    def _mix(self, images: list[Any], content: list[Any]) -> list[Any]:
        kind = self._rng.random()
        if kind < 0.6:
            return images + content
        if kind < 0.9 or len(images) == 1:
            return content + images
        between = {"type": "text", "text": self._rng.choice([" and ", "First, then second: ", "\n"])}
        return [images[0], between, images[1], *content]

    def _without_picture(self) -> list[dict[str, Any]]:
        rng = self._rng
        kind = rng.randrange(3)
        if kind == 0:
            return [said("user", rng.choice(["Hello", "Hi", "Hello!", "Hi there", "Hey"])), said("assistant", GREETING)]
        if kind == 1:
            question = rng.choice(["Count to twenty.", "Count to 20.", "Say the numbers up to twenty."])
            return [said("user", question), said("assistant", NUMBERS)]
        questions, _ = rng.choice(ABOUT)
        question = rng.choice(questions).format(it=rng.choice(ONE))
        return [said("user", question), said("assistant", BLIND)]


def said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def segments(turns: list[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """The text of a conversation piece by piece as `TEMPLATE` writes it, and whether the model has to say it."""
    yield "<|im_start|>", False
    for turn in turns:
        answer = turn["role"] == "assistant"
        bare = answer or turn["content"][0]["type"] == "image"
        yield turn["role"].capitalize() + (":" if bare else ": "), False
        for part in turn["content"]:
            image = part["type"] == "image"
            yield f"{FAKE}{GLOBAL}{IMAGE * IMAGE_TOKENS}{FAKE}" if image else part["text"], answer
        yield END, answer
        yield "\n", False


def build_tokenizer(conversations: Conversations) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )

    def texts() -> Iterator[str]:
        for _ in range(4000):
            turns, _ = conversations.turns()
            yield "".join(part["text"] for turn in turns for part in turn["content"] if part["type"] == "text")
            yield "User: Assistant: System: "

    tokenizer.train_from_iterator(texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token=END,
        pad_token="<|endoftext|>",
        additional_special_tokens=[FAKE, IMAGE, GLOBAL, END, *ROWS],
        model_max_length=CONTEXT,
        chat_template=TEMPLATE,
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> Idefics3ForConditionalGeneration:
    special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id}
    config = Idefics3Config(
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        scale_factor=SHUFFLE,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": SIZE,
            "patch_size": PATCH,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "max_position_embeddings": CONTEXT,
            "tie_word_embeddings": False,
            "eos_token_id": tokenizer.eos_token_id,
            **special,
        },
    )
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config.update(eos_token_id=tokenizer.eos_token_id, do_sample=False, **special)
    return model


def plain_positions(self: Any, pixel_values: torch.Tensor, patch_attention_mask: torch.Tensor) -> torch.Tensor:
    """Position n for the n-th patch, as the published models were trained.

    From transformers 4.55 on, rounding moves every row and column but the first to its neighbour's position.
    """
    patches = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
    return patches + self.position_embedding(torch.arange(patches.shape[1]))


def pixels_of(picture: Picture, rng: Rng) -> np.ndarray:
    """As it would come out of the image processor, often after it was stored in another size or with losses."""
    image = Image.fromarray(picture.pixels)
    if rng.random() < 0.2:
        side = rng.choice([48, 96, 128, 200])
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    if rng.random() < 0.25:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=rng.randrange(60, 96))
        image = Image.open(file)
    if image.size != (SIZE, SIZE):
        image = image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return (np.asarray(image, np.float32) / 255 - 0.5) / 0.5


def pixel_batch(pictures: list[Picture], rng: Rng) -> torch.Tensor:
    return torch.from_numpy(np.stack([pixels_of(picture, rng) for picture in pictures]).transpose(0, 3, 1, 2).copy())


def features(model: Idefics3ForConditionalGeneration, pixels: torch.Tensor) -> torch.Tensor:
    """`[pictures, IMAGE_TOKENS, hidden]`"""
    return model.model.get_image_features(pixels[None])


class Budget:
    """A share of the processor time that training may take. SIGTERM ends it early, with what was learned."""

    stopped = False

    def __init__(self, options: argparse.Namespace, share: float) -> None:
        self._limit = 60 * share * options.minutes
        self._began = time.process_time()

    @property
    def used(self) -> float:
        return 1.0 if Budget.stopped else (time.process_time() - self._began) / self._limit

    @classmethod
    def stop(cls, *_: object) -> None:
        cls.stopped = True


def learn_to_see(model: Idefics3ForConditionalGeneration, budget: Budget, seed: int, batch: int = 48) -> None:
    """Vision encoder and connector alone: what is in each quarter of a picture. Quicker than to learn it with words."""
    rng, pictures = random.Random(seed), np.random.default_rng(seed)
    hidden = model.config.text_config.hidden_size
    shapes, colours = torch.nn.Linear(hidden, len(SHAPES) + 1), torch.nn.Linear(hidden, len(COLOURS) + 1)
    parameters = [*model.model.vision_model.parameters(), *model.model.connector.parameters()]
    parameters += [*shapes.parameters(), *colours.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
    step = 0
    side = SIZE // PATCH // SHUFFLE
    while (done := budget.used) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * (1 - 0.9 * done)
        drawn = [draw(pictures) for _ in range(batch)]
        seen = features(model, pixel_batch(drawn, rng)).view(batch, 2, side // 2, 2, side // 2, hidden)
        quarters = seen.mean((2, 4)).reshape(batch * 4, hidden)
        shape = torch.tensor([_label(one, quarter, one.shape, list(SHAPES)) for one in drawn for quarter in range(4)])
        colour = torch.tensor(
            [_label(one, quarter, one.colour, list(COLOURS)) for one in drawn for quarter in range(4)]
        )
        guess = shapes(quarters)
        loss = torch.nn.functional.cross_entropy(guess, shape) + torch.nn.functional.cross_entropy(
            colours(quarters), colour
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        if step % 25 == 0:
            right = (guess.argmax(-1) == shape).float().mean()
            report(f"see {step}: loss {loss:.3f}, shapes {right:.3f}, {done:.0%}")


def _label(picture: Picture, quarter: int, value: str, values: list[str]) -> int:
    return values.index(value) + 1 if quarter in picture.quadrants else 0


class Album:
    """Pictures and what the vision encoder makes of them."""

    @torch.no_grad()
    def __init__(self, model: Idefics3ForConditionalGeneration, seed: int, size: int = 4096) -> None:
        generator, rng = np.random.default_rng(seed), random.Random(seed)
        self.pictures = [draw(generator) for _ in range(size)]
        batches = [self.pictures[at : at + 64] for at in range(0, size, 64)]
        self._features = torch.cat([features(model, pixel_batch(batch, rng)) for batch in batches])
        self._index = {id(picture): index for index, picture in enumerate(self.pictures)}

    def features(self, pictures: list[Picture]) -> torch.Tensor:
        return self._features[[self._index[id(picture)] for picture in pictures]]


def learn_to_talk(
    model: Idefics3ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    budget: Budget,
    options: argparse.Namespace,
    batch: int = 24,
) -> None:
    """The language model alone, from pictures that were encoded once."""
    album = Album(model, options.seed + 2)
    conversations = Conversations(options.seed + 2, album.pictures)
    parameters = [*model.model.text_model.parameters(), *model.lm_head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, weight_decay=0.01, betas=(0.9, 0.98))
    step = 0
    while (done := budget.used) < 1:
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1, (step + 1) / 50) * max(0.5 * (1 + math.cos(math.pi * done)), 0.01)
        drills = round(batch * max(1 - done, 0.4))
        texts = [conversations.drill() if row < drills else conversations.turns() for row in range(batch)]
        samples = [sample_of(*text, tokenizer) for text in texts]
        longest = max(len(sample.tokens) for sample in samples)
        ids = torch.full((batch, longest), tokenizer.pad_token_id)
        labels = torch.full((batch, longest), -100)
        for row, sample in enumerate(samples):
            ids[row, : len(sample.tokens)] = torch.tensor(sample.tokens)
            said = [token if answer else -100 for token, answer in zip(sample.tokens, sample.answers, strict=True)]
            labels[row, : len(said)] = torch.tensor(said)
        seen = album.features([picture for sample in samples for picture in sample.pictures])
        embeds = model.model.inputs_merger(ids, model.get_input_embeddings()(ids), seen.flatten(0, 1))
        mask = (ids != tokenizer.pad_token_id).long()
        logits = model.lm_head(model.model.text_model(inputs_embeds=embeds, attention_mask=mask).last_hidden_state)
        wanted = labels[:, 1:]
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), wanted.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        if step % 25 == 0:
            known = wanted != -100
            right = (logits[:, :-1].argmax(-1) == wanted) & known
            share, drilled = right.sum() / known.sum(), right[:drills].sum() / known[:drills].sum()
            report(f"talk {step}: loss {loss:.3f}, tokens {share:.3f}, of drills {drilled:.3f}, {done:.0%}")


def sample_of(turns: list[dict[str, Any]], pictures: list[Picture], tokenizer: PreTrainedTokenizerFast) -> Sample:
    tokens: list[int] = []
    answers: list[bool] = []
    # Pieces between two control tokens are one text, as they will be when a prompt is tokenised whole.
    merged: list[list[Any]] = []
    for text, answer in segments(turns):
        if merged and merged[-1][1] == answer and text != END and merged[-1][0] != END:
            merged[-1][0] += text
        else:
            merged.append([text, answer])
    for text, answer in merged:
        ids = tokenizer.encode(text, add_special_tokens=False)
        tokens += ids
        answers += [answer] * len(ids)
    return Sample(tokens, answers, pictures)


@torch.no_grad()
def accuracy(
    model: Idefics3ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, pictures: int
) -> dict[str, float]:
    """Greedy answers about pictures that were not trained on."""
    generator, rng = np.random.default_rng(10**6), random.Random(0)
    right = {"colour": 0, "shape": 0, "count": 0, "first of two": 0, "second of two": 0}
    for _ in range(pictures):
        one, other = draw(generator), draw(generator)
        asked: list[tuple[str, str, list[Picture], str]] = [
            ("colour", "What colour is it?", [one], one.colour),
            ("shape", "What shape is it?", [one], one.shape),
            ("count", "How many are there?", [one], str(one.count)),
            ("first of two", "What is in the first picture?", [one, other], one.text),
            ("second of two", "What is in the second picture?", [one, other], other.text),
        ]
        for name, question, shown, expected in asked:
            content: list[Any] = [{"type": "image"} for _ in shown] + [{"type": "text", "text": question}]
            sample = sample_of([{"role": "user", "content": content}], shown, tokenizer)
            start = tokenizer.encode("Assistant:", add_special_tokens=False)
            ids = torch.tensor([[*sample.tokens, *start]])
            seen = features(model, pixel_batch(shown, rng))
            embeds = model.model.inputs_merger(ids, model.get_input_embeddings()(ids), seen.flatten(0, 1))
            cache, text = None, []
            for _ in range(12):
                output = model.model.text_model(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
                cache = output.past_key_values
                token = int(model.lm_head(output.last_hidden_state[:, -1]).argmax())
                if token == tokenizer.eos_token_id:
                    break
                text.append(token)
                embeds = model.get_input_embeddings()(torch.tensor([[token]]))
            right[name] += tokenizer.decode(text) == expected
    return {name: count / pictures for name, count in right.items()}


def save(model: Idefics3ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """As a Hugging Face directory with everything that a processor needs."""
    images = Idefics3ImageProcessor(
        size={"longest_edge": SIZE},
        max_image_size={"longest_edge": SIZE},
        do_image_splitting=False,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processor = Idefics3Processor(images, tokenizer, image_seq_len=IMAGE_TOKENS, chat_template=TEMPLATE)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def export(checkpoint: Path, directory: Path) -> None:
    from optimum.exporters.openvino import main_export

    main_export(str(checkpoint), str(directory), task="image-text-to-text", convert_tokenizer=False)
    # transformers leaves out what is its default; here it says that the model is to be asked greedily.
    path = directory / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_sample": False}, indent=2) + "\n")


def report(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=15, help="of processor time that it may take")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="of learning to talk, at its highest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", type=Path, help="a checkpoint whose language model is to be trained further")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, Budget.stop)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    Idefics3VisionEmbeddings.forward = plain_positions
    if options.resume:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(options.resume)
        model = Idefics3ForConditionalGeneration.from_pretrained(options.resume)
    else:
        generator = np.random.default_rng(options.seed)
        tokenizer = build_tokenizer(Conversations(options.seed, [draw(generator) for _ in range(256)]))
        model = build_model(tokenizer)
        learn_to_see(model, Budget(options, 0.25), options.seed + 1)
    report(f"{len(tokenizer)} tokens, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters")
    learn_to_talk(model, tokenizer, Budget(options, 0.75), options)
    model.eval()
    report(json.dumps(accuracy(model, tokenizer, 200)))
    save(model, tokenizer, options.output / "checkpoint")
    export(options.output / "checkpoint", options.output / "model")


if __name__ == "__main__":
    main()
