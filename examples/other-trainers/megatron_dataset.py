"""The files of `sapwood export --format megatron` as a dataset for Megatron-LM that keeps their order.

Megatron's own GPTDataset shuffles, and has no setting against it. In a copy of `pretrain_gpt.py`, let
`train_valid_test_datasets_provider` return `(StreamFiles("runs/NAME/export/megatron"), None, None)`, and train with
`--dataloader-type single`: its sampler goes through the dataset in order, and resumes at the samples consumed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from megatron.core.datasets.indexed_dataset import IndexedDataset
from torch.utils.data import Dataset


class StreamFiles(Dataset):
    """Sequence after sequence, as `sapwood train` would train on them.

    Without `attention_mask`, which takes a byte for every pair of tokens, documents see each other unless the model is
    told otherwise; Megatron then needs `--no-create-attention-mask-in-dataloader`.
    """

    def __init__(self, directory: str | Path, *, attention_mask: bool = True) -> None:
        self.attention_mask = attention_mask
        account = json.loads((Path(directory) / "stream.json").read_text())
        self.end_of_text = account["end_of_text"]
        self.isolate_documents = account["isolate_documents"]
        self.parts = [
            IndexedDataset(str(path.with_suffix(""))) for path in sorted(Path(directory).glob("stream-*.idx"))
        ]
        self.starts = np.cumsum([0, *(len(part) for part in self.parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        part = int(np.searchsorted(self.starts, number, side="right")) - 1
        tokens = torch.from_numpy(self.parts[part][number - int(self.starts[part])].astype(np.int64))
        length = len(tokens)
        positions, documents = torch.arange(length), torch.zeros(length, dtype=torch.int64)
        loss_mask = torch.ones(length)
        loss_mask[-1] = 0  # what follows the last token is in another sequence
        if self.isolate_documents:
            ends = tokens == self.end_of_text
            loss_mask[ends] = 0  # a document does not predict the next one
            documents[1:] = ends.cumsum(0)[:-1]
            first = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1].nonzero()[:, 0] + 1])
            positions = positions - first[documents]
        item = {"tokens": tokens, "labels": tokens.roll(-1), "loss_mask": loss_mask, "position_ids": positions}
        if self.attention_mask:
            hidden = torch.ones(length, length).triu(1).bool() | (documents[:, None] != documents[None, :])
            item["attention_mask"] = hidden[None]  # True where Megatron must not look
        return item
