import torch

from fmrifm.masking import MASKERS
from fmrifm.model.draws import Draw, draw, draw_tokens


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_as_many_are_drawn_as_every_row_has_and_never_twice():
    choice = torch.tensor([[1, 1, 0, 1, 0], [0, 1, 1, 0, 0]], dtype=torch.bool)
    index = draw(choice, None, generator())
    assert index.shape == (2, 2)
    assert choice.gather(1, index).all()
    assert all(len(set(row.tolist())) == 2 for row in index)
    assert draw(choice, 1, generator()).shape == (2, 1)


def test_the_windows_of_two_processes_are_together_those_of_one(tokenizer):
    hidden = MASKERS["region"](tokenizer.pool, 0.6)(4, generator())
    whole = draw_tokens(hidden, generator(1), 3)
    first, second = whole.rows(slice(0, None, 2)), whole.rows(slice(1, None, 2))
    for mine, yours, all_of_us in zip(first, second, whole, strict=True):
        assert torch.equal(torch.stack([mine, yours], dim=1).flatten(0, 1), all_of_us)


def test_what_is_visible_is_not_hidden_and_what_is_predicted_is(tokenizer):
    hidden = MASKERS["random"](tokenizer.pool, 0.6)(3, generator())
    drawn = draw_tokens(hidden, generator(1))
    assert isinstance(drawn, Draw)
    assert not hidden.gather(1, drawn.visible).any()
    assert hidden.gather(1, drawn.query).all()
