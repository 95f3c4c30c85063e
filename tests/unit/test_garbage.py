import gc

from gen_dist.garbage import USUAL, collect_as_usual, collect_seldom


def test_garbage_is_looked_for_seldom_until_training_begins():
    before = gc.get_threshold()
    try:
        collect_seldom()
        assert gc.get_threshold()[0] > 10 * USUAL[0]
        collect_as_usual()
        assert gc.get_threshold() == USUAL
    finally:
        gc.set_threshold(*before)
