"""Gradient-boosted trees (LightGBM) in the place of a network: they learn from the same samples, and answer the same questions.

`vaultaire-reference` starts this and asks over stdin, in frames of little-endian numbers of four bytes. A frame begins with what
is asked (1 or 2), the number of a model, a seed and a number of rows, and goes on with rows of floats:

    1 train    features, what happened (of each output), whether it is known, weights; and the part of each row, an integer
               -> the same four numbers
    2 predict  features -> for each part, the chance of each output of each row

There is a booster for each output and part: it learns from what is known in the other parts, ends early by its own part and is
calibrated on it, as the networks are. Each begins with the logit of what the object's group did so far, which is among the
features too, as the networks do.
"""

import argparse
import concurrent.futures
import sys

import lightgbm
import numpy
import scipy.special

TRAIN, PREDICT = 1, 2

ROUNDS_MAX = 1000
PATIENCE = 20
PARAMETERS = {
    "objective": "binary",
    "metric": "binary_logloss",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}

# As in learner/src/model/train.rs.
RELUCTANCE = 20.0
CORRECTIONS = 30
HALVINGS = 30


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, required=True)
    parser.add_argument("--begins-with", required=True, help="for each output: the feature that is its group's logit")
    parser.add_argument("--parts", type=int, required=True)
    parser.add_argument("--samples-min", type=int, required=True, help="of fewer nothing is learnt")
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def chances(logits):
    return scipy.special.expit(logits)


def loss(logits, happened, weights):
    """The mean binary cross-entropy, as LightGBM tells it."""
    return (weights * (numpy.logaddexp(0.0, logits) - happened * logits)).sum() / weights.sum()


def fitted(logits, happened, weights):
    """A slope and an offset that make logits right (Platt, 1999): the same that `train::fitted` seeks, wherever that is."""
    at = numpy.array([1.0, 0.0])

    def wrong(at):
        reluctance = RELUCTANCE * ((at[0] - 1.0) ** 2 + at[1] ** 2) / 2.0
        said = at[0] * logits + at[1]
        return reluctance + (weights * (numpy.logaddexp(0.0, said) - happened * said)).sum()

    now = wrong(at)
    for _ in range(CORRECTIONS):
        said = chances(at[0] * logits + at[1])
        error, steep = weights * (said - happened), weights * said * (1.0 - said)
        gradient = RELUCTANCE * (at - [1.0, 0.0]) + [(error * logits).sum(), error.sum()]
        slant = (steep * logits).sum()
        curvature = RELUCTANCE * numpy.eye(2) + [[(steep * logits * logits).sum(), slant], [slant, steep.sum()]]
        step = numpy.linalg.solve(curvature, gradient)
        # Newton's method goes too far where chances are far from what came, and then never finds back.
        for _ in range(HALVINGS):
            then = wrong(at - step)
            if then <= now:
                at, now = at - step, then
                break
            step /= 2.0
    return at[0], at[1]


class Samples:
    """What a model learns from, as one frame brings it."""

    def __init__(self, features, happened, known, weights, parts, seed):
        self.features, self.happened, self.known = features, happened, known > 0
        self.weights, self.parts, self.seed = weights, parts, seed
        # Into the bins of the histograms once, and not for each output.
        bins = {key: PARAMETERS[key] for key in ("max_bin", "num_threads", "verbosity")}
        self.binned = lightgbm.Dataset(features, numpy.zeros(len(features)), params={**bins, "feature_pre_filter": False})
        self.binned.construct()

    def rows(self, output, of_part):
        return numpy.flatnonzero(self.known[:, output] & of_part)

    def dataset(self, rows, output, begins):
        part = self.binned.subset(rows)
        part.construct()
        part.set_label(self.happened[rows, output])
        part.set_weight(self.weights[rows])
        part.set_init_score(begins[rows])
        return part


def learn(learnt, held_out, seed):
    early = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train({**PARAMETERS, "seed": seed}, learnt, ROUNDS_MAX, valid_sets=[held_out], callbacks=[early])


class Expert:
    """What is said of one output by who has not learnt from one part."""

    def __init__(self, samples, output, part, begins_with, samples_min):
        self.begins_with, self.booster, self.slope, self.offset = begins_with, None, 1.0, 0.0
        own = samples.parts == part
        # Just as the network: of too little it learns nothing at all.
        if not own.any() or (~own).sum() < samples_min:
            return
        learnt, held_out = samples.rows(output, ~own), samples.rows(output, own)
        begins = samples.features[:, begins_with].astype(numpy.float64)
        both = 0 < samples.happened[learnt, output].sum() < len(learnt)
        happened, weights = samples.happened[held_out, output], samples.weights[held_out].astype(numpy.float64)
        if both and len(held_out) and len(learnt) >= samples_min:
            booster = learn(samples.dataset(learnt, output, begins), samples.dataset(held_out, output, begins), samples.seed)
            # The best round may still be worse than none.
            if booster.best_score["valid_0"]["binary_logloss"] < loss(begins[held_out], happened, weights):
                self.booster = booster
        self.slope, self.offset = fitted(self._raw(samples.features[held_out]), happened, weights)

    def _raw(self, features):
        logits = features[:, self.begins_with].astype(numpy.float64)
        if self.booster is not None:
            logits += self.booster.predict(features, raw_score=True, num_iteration=self.booster.best_iteration)
        return logits

    def logits(self, features):
        return self.slope * self._raw(features) + self.offset


def trained(args, samples, pool):
    """For each output its experts."""
    begins_with = [int(feature) for feature in args.begins_with.split(",")]
    jobs = [(output, part) for output in range(len(begins_with)) for part in range(args.parts)]
    experts = pool.map(lambda job: Expert(samples, *job, begins_with[job[0]], args.samples_min), jobs)
    experts = list(experts)
    return [experts[at : at + args.parts] for at in range(0, len(experts), args.parts)]


def foretold(model, features, pool):
    of_output = pool.map(lambda experts: [expert.logits(features) for expert in experts], model)
    return chances(numpy.stack(list(of_output), axis=-1))


def numbers(pipe, count, kind="<f4"):
    """The next ones; nothing at the end."""
    found = pipe.read(4 * count)
    if found and len(found) < 4 * count:
        raise EOFError("a frame has no end")
    return numpy.frombuffer(found, kind)


def serve(args, asked, answers):
    outputs = args.begins_with.count(",") + 1
    models = {}
    with concurrent.futures.ThreadPoolExecutor(args.threads) as pool:
        while len(head := numbers(asked, 4, "<u4")):
            kind, model, seed, rows = (int(number) for number in head)
            features = numbers(asked, rows * args.features).reshape(rows, args.features)
            if kind == TRAIN:
                happened, known = (numbers(asked, rows * outputs).reshape(rows, outputs) for _ in range(2))
                weights, parts = numbers(asked, rows), numbers(asked, rows, "<u4")
                models[model] = trained(args, Samples(features, happened, known, weights, parts, seed), pool)
                answers.write(head.tobytes())
            elif kind == PREDICT:
                answers.write(foretold(models[model], features, pool).astype("<f4").tobytes())
            else:
                raise ValueError(f"{kind} is nothing that is known")
            answers.flush()


if __name__ == "__main__":
    serve(arguments(), sys.stdin.buffer, sys.stdout.buffer)
