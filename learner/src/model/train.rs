//! Training: from a seed, on one thread, in the same order each time.

use candle_core::{Device, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

use crate::error::Error;
use crate::model::features::COUNT;
use crate::model::network::{Ensemble, Network};
use crate::model::samples::{Labels, OUTPUTS, Sample};

/// Samples in one step, and questions at once. (Kernels hand tensors of 65,536 numbers and more to threads of their own, which
/// spin: on a busy machine that was fifty times slower.)
pub const BATCH: usize = 512;

/// Steps at least, and times over all samples at most.
const STEPS: usize = 800;
const EPOCHS_MAX: usize = 30;

/// Of fewer nothing is learnt, and the rates of groups have to do.
pub const SAMPLES_MIN: usize = 500;

/// The largest step; it falls to nothing along half a cosine.
const RATE: f64 = 2e-3;

/// Weights shrink by it.
const DECAY: f64 = 0.3;

/// After so many times over all that made it no better, it ends.
const PATIENCE: usize = 4;

/// As many networks are trained, each on all of these parts but one.
pub const PARTS: u64 = 3;

/// What it learns from, and what came of each.
pub struct Example<'a> {
    pub sample: &'a Sample,
    pub labels: Labels,
    pub weight: f32,
}

impl Example<'_> {
    /// One network is calibrated on it, and the others learn from it.
    pub fn part(&self) -> u64 {
        self.sample.season % PARTS
    }
}

/// Networks that have learnt from these: each from another part, and calibrated on the rest.
pub fn train(examples: &[Example<'_>], seed: u64) -> Result<Ensemble, Error> {
    let (mean, scale) = standard(examples);
    let each = (0..PARTS).map(|part| {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(PARTS).wrapping_add(part));
        let network = Network::new(&mean, &scale, || random.sample(StandardNormal))?;
        let parts = examples.iter().partition(|example| example.part() == part);
        let (held_out, learnt): (Vec<&Example<'_>>, Vec<&Example<'_>>) = parts;
        match held_out.is_empty() || learnt.len() < SAMPLES_MIN {
            true => Ok(network),
            false => one(network, learnt, &held_out, random),
        }
    });
    each.collect::<Result<_, _>>().map(Ensemble).map_err(Error::Network)
}

fn one(
    mut network: Network,
    mut learnt: Vec<&Example<'_>>,
    held_out: &[&Example<'_>],
    mut random: ChaCha8Rng,
) -> candle_core::Result<Network> {
    let steps_of_epoch = learnt.len().div_ceil(BATCH);
    let epochs = STEPS.div_ceil(steps_of_epoch).min(EPOCHS_MAX);
    let params = ParamsAdamW { lr: RATE, weight_decay: DECAY, ..ParamsAdamW::default() };
    let mut optimizer = AdamW::new(network.weights.clone(), params)?;
    let all = (epochs * steps_of_epoch) as f64;
    let mut step = 0;
    let loss_before = validation_loss(&network, held_out)?;
    let mut best = Best { loss: loss_before, epoch: 0, weights: copies(&network)? };
    for epoch in 1..=epochs {
        learnt.shuffle(&mut random);
        for batch in learnt.chunks(BATCH) {
            let angle = std::f64::consts::PI * f64::from(step) / all;
            optimizer.set_learning_rate(RATE * (1.0 + angle.cos()) / 2.0);
            optimizer.backward_step(&loss(&network, batch)?)?;
            step += 1;
        }
        let now = validation_loss(&network, held_out)?;
        if now < best.loss {
            best = Best { loss: now, epoch, weights: copies(&network)? };
        } else if epoch >= best.epoch + PATIENCE {
            break;
        }
    }
    for (weight, copy) in network.weights.iter().zip(&best.weights) {
        weight.set(copy)?;
    }
    calibrate(&mut network, held_out)?;
    Ok(network)
}

/// What did best on what it had not learnt from.
struct Best {
    loss: f64,
    epoch: usize,
    weights: Vec<Tensor>,
}

fn copies(network: &Network) -> candle_core::Result<Vec<Tensor>> {
    network.weights.iter().map(|weight| weight.as_tensor().copy()).collect()
}

fn validation_loss(network: &Network, held_out: &[&Example<'_>]) -> candle_core::Result<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for batch in held_out.chunks(BATCH) {
        let weight = batch.iter().map(|example| f64::from(example.weight)).sum::<f64>();
        sum += f64::from(loss(network, batch)?.to_scalar::<f32>()?) * weight;
        weights += weight;
    }
    Ok(sum / weights)
}

/// Masked binary cross-entropy, in the mean over samples.
pub fn loss(network: &Network, batch: &[&Example<'_>]) -> candle_core::Result<Tensor> {
    let count = batch.len();
    let of = |values: fn(&Labels) -> &[f32; OUTPUTS]| {
        let flat: Vec<f32> = batch.iter().flat_map(|example| *values(&example.labels)).collect();
        Tensor::from_vec(flat, (count, OUTPUTS), &Device::Cpu)
    };
    let (happened, known) = (of(|labels| &labels.happened)?, of(|labels| &labels.is_known)?);
    let weights: Vec<f32> = batch.iter().map(|example| example.weight).collect();
    let weights = Tensor::from_vec(weights, (count, 1), &Device::Cpu)?;
    let logits = network.logits(&seen(batch)?)?;
    // max(x, 0) - x y + ln(1 + exp(-|x|)), which is large nowhere.
    let tail = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    let each = ((logits.relu()? - (&logits * happened)?)? + tail)?;
    (each * known)?.broadcast_mul(&weights)?.sum_all()?
        / batch.iter().map(|example| f64::from(example.weight)).sum::<f64>()
}

fn seen(batch: &[&Example<'_>]) -> candle_core::Result<Tensor> {
    let flat: Vec<f32> = batch.iter().flat_map(|example| example.sample.features).collect();
    Tensor::from_vec(flat, (batch.len(), COUNT), &Device::Cpu)
}

/// The mean of what is seen, and one by its standard deviation.
fn standard(examples: &[Example<'_>]) -> (Vec<f32>, Vec<f32>) {
    let count = examples.len().max(1) as f64;
    let mut sums = [(0.0_f64, 0.0_f64); COUNT];
    for example in examples {
        for (sum, value) in sums.iter_mut().zip(example.sample.features) {
            let value = f64::from(value);
            *sum = (sum.0 + value, sum.1 + value * value);
        }
    }
    let mean = sums.map(|(sum, _)| (sum / count) as f32);
    let scale = sums.map(|(sum, squares)| {
        let variance = squares / count - (sum / count).powi(2);
        // What never changes says nothing, and may say too much when it does.
        if variance < 1e-6 { 0.0 } else { (1.0 / variance.sqrt()) as f32 }
    });
    (mean.to_vec(), scale.to_vec())
}

/// Steps of Newton's method, how often each may be halved, and how little it wants to change.
const CORRECTIONS: usize = 12;
const HALVINGS: i32 = 20;
const RELUCTANCE: f64 = 20.0;

/// Fits a slope and an offset to each output on objects from which it did not learn (Platt, "Probabilistic outputs for
/// support vector machines", 1999).
fn calibrate(network: &mut Network, held_out: &[&Example<'_>]) -> candle_core::Result<()> {
    let mut logits: Vec<f32> = Vec::new();
    for batch in held_out.chunks(BATCH) {
        logits.extend(network.logits(&seen(batch)?)?.flatten_all()?.to_vec1::<f32>()?);
    }
    let (mut slopes, mut offsets) = ([1.0_f32; OUTPUTS], [0.0_f32; OUTPUTS]);
    for output in 0..OUTPUTS {
        let rows = held_out
            .iter()
            .enumerate()
            .filter(|(_, example)| example.labels.is_known[output] > 0.0);
        let rows = rows.map(|(place, example)| {
            let weight = f64::from(example.weight);
            (
                f64::from(logits[place * OUTPUTS + output]),
                f64::from(example.labels.happened[output]),
                weight,
            )
        });
        let (slope, offset) = fitted(&rows.collect::<Vec<_>>());
        (slopes[output], offsets[output]) = (slope as f32, offset as f32);
    }
    network.slopes = Tensor::new(&slopes, &Device::Cpu)?;
    network.offsets = Tensor::new(&offsets, &Device::Cpu)?;
    Ok(())
}

/// A slope and an offset for logits, by what happened and how much each of them counts.
pub fn fitted(rows: &[(f64, f64, f64)]) -> (f64, f64) {
    let mut best = (1.0, 0.0);
    let mut least = surprise(rows, best);
    for _ in 0..CORRECTIONS {
        let (slope, offset) = newton(rows, best);
        // Far from the best a whole step may lead away from it: then a half of it is tried, and a half of that.
        let parts = (0..HALVINGS).map(|halvings| 0.5_f64.powi(halvings));
        let mut tried = parts.map(|part| {
            let next = (best.0 - part * slope, best.1 - part * offset);
            (surprise(rows, next), next)
        });
        match tried.find(|(surprise, _)| *surprise < least) {
            Some((surprise, next)) => (least, best) = (surprise, next),
            None => break,
        }
    }
    best
}

/// The loss that is made small.
fn surprise(rows: &[(f64, f64, f64)], (slope, offset): (f64, f64)) -> f64 {
    let each = rows.iter().map(|(logit, happened, weight)| {
        let logit = slope * logit + offset;
        weight * (logit.max(0.0) - logit * happened + (-logit.abs()).exp().ln_1p())
    });
    each.sum::<f64>() + RELUCTANCE / 2.0 * ((slope - 1.0).powi(2) + offset * offset)
}

/// What Newton's method takes away.
fn newton(rows: &[(f64, f64, f64)], (slope, offset): (f64, f64)) -> (f64, f64) {
    let mut gradient = [RELUCTANCE * (slope - 1.0), RELUCTANCE * offset];
    let mut curvature = [RELUCTANCE, 0.0, RELUCTANCE];
    for (logit, happened, weight) in rows {
        let chance = 1.0 / (1.0 + (-(slope * logit + offset)).exp());
        let (error, steep) = (weight * (chance - happened), weight * chance * (1.0 - chance));
        gradient = [gradient[0] + error * logit, gradient[1] + error];
        curvature = [
            curvature[0] + steep * logit * logit,
            curvature[1] + steep * logit,
            curvature[2] + steep,
        ];
    }
    let determinant = curvature[0] * curvature[2] - curvature[1] * curvature[1];
    (
        (curvature[2] * gradient[0] - curvature[1] * gradient[1]) / determinant,
        (curvature[0] * gradient[1] - curvature[1] * gradient[0]) / determinant,
    )
}
