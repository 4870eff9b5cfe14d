"""What `gradient_boosting.py` computes, on samples of which one knows what comes out. `run` begins with it."""

import argparse
import io

import numpy

import gradient_boosting

ROWS, FEATURES = 6_000, 4


def frame(kind, *parts):
    head = numpy.array([kind, 7, 1, ROWS], "<u4")
    return b"".join(part.tobytes() for part in (head, *parts))


def platt():
    random = numpy.random.default_rng(1)
    logits, weights = random.normal(0.0, 2.0, 200_000), random.uniform(0.2, 1.0, 200_000)
    for wanted in ((1.0, 0.0), (0.5, -1.0), (1.5, 2.0)):
        happened = (random.random(len(logits)) < gradient_boosting.chances(wanted[0] * logits + wanted[1])).astype(float)
        found = gradient_boosting.fitted(logits, happened, weights)
        assert numpy.allclose(found, wanted, atol=0.03), (found, wanted)
        # It is the best that can be said, as the loss tells.
        best = gradient_boosting.loss(found[0] * logits + found[1], happened, weights)
        for other in ((0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1)):
            slope, offset = found[0] + other[0], found[1] + other[1]
            assert gradient_boosting.loss(slope * logits + offset, happened, weights) > best, other


def far_off():
    """What is far more often than was foretold: plain steps of Newton's method would leave for infinity."""
    logits = numpy.full(10_000, -8.0)
    happened = (numpy.arange(len(logits)) % 10 < 3).astype(float)
    slope, offset = gradient_boosting.fitted(logits, happened, numpy.ones(len(logits)))
    said = gradient_boosting.chances(slope * logits + offset)
    assert abs(said.mean() - 0.3) < 0.01, (slope, offset)


def served():
    """Of two outputs one is what no sum of features says, and the other is known of nothing: its group has to do."""
    random = numpy.random.default_rng(2)
    features = random.normal(0.0, 1.0, (ROWS, FEATURES)).astype("<f4")
    comes = (features[:, 0] > 0) != (features[:, 1] > 0)
    happened = numpy.stack([comes, comes], axis=1).astype("<f4")
    known = numpy.stack([numpy.ones(ROWS), numpy.zeros(ROWS)], axis=1).astype("<f4")
    weights, parts = numpy.ones(ROWS, "<f4"), random.integers(0, 3, ROWS).astype("<u4")
    args = argparse.Namespace(features=FEATURES, begins_with="2,3", parts=3, samples_min=500, threads=2)
    asked = frame(gradient_boosting.TRAIN, features, happened, known, weights, parts) + frame(gradient_boosting.PREDICT, features)
    said = []
    for _ in range(2):
        answers = io.BytesIO()
        gradient_boosting.serve(args, io.BytesIO(asked), answers)
        said.append(answers.getvalue())
    assert said[0] == said[1], "the same samples taught something else"
    assert said[0][:16] == asked[:16], "the answer to a frame begins as the frame does"
    for chances in numpy.frombuffer(said[0][16:], "<f4").reshape(args.parts, ROWS, 2):
        assert chances[comes, 0].mean() > 0.9 and chances[~comes, 0].mean() < 0.1, chances[comes, 0].mean()
        assert numpy.allclose(chances[:, 1], gradient_boosting.chances(features[:, 3]), atol=1e-6)


platt()
far_off()
served()
