"""State of models that learning goes on from by one table of items: users are folded in, or learned anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.encoders.user_encoder import Arrays
from models.fallback_model import FallbackModel


class ItemTable(FallbackModel):
    """A model with a trained table of items."""

    item_tables = frozenset({"item"})
    _item: Tensor
    """(items, dimensions) the table."""

    def state(self) -> Arrays:
        """Return the table, as a copy."""
        return {"item": self._item.numpy().copy()}

    def restore(self, items: Sequence[str], state: Arrays) -> None:
        """Continue a new model from a state; what is made of the table is made at the next fit.

        Args:
            items: Ids of the items in the table.
            state: The state.

        Raises:
            KeyError: the state is that of another model.
        """
        self.know(items)
        self._item = torch.from_numpy(np.array(state["item"]))
