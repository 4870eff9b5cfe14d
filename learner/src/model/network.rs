//! The network: what is seen of an object, through two hidden layers, to the odds of every span. What a group did so far is added
//! to what comes out: before it has learnt anything it says what the group's rates say.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::ops::sigmoid;

use crate::error::Error;
use crate::hazards::SPANS;
use crate::model::Model;
use crate::model::features::{CHANCES_AT, COUNT};
use crate::model::mixture::CHANCES_OF_HEADS;
use crate::model::samples::OUTPUTS;
use crate::model::train::BATCH;

/// Cells of each hidden layer.
const WIDTH: usize = 64;

/// Everything that it has learnt, in the order of the names.
#[derive(Debug)]
pub struct Network {
    pub weights: Vec<Var>,
    /// What is seen is shifted and scaled so that it is about one.
    pub mean: Tensor,
    pub scale: Tensor,
    /// Logits are corrected by it in the end: times, and plus.
    pub slopes: Tensor,
    pub offsets: Tensor,
}

/// What the weights are called, and their shapes.
pub const WEIGHTS: [(&str, &[usize]); 7] = [
    ("hidden-1", &[COUNT, WIDTH]),
    ("hidden-1-bias", &[WIDTH]),
    ("hidden-2", &[WIDTH, WIDTH]),
    ("hidden-2-bias", &[WIDTH]),
    ("output", &[WIDTH, OUTPUTS]),
    ("output-bias", &[OUTPUTS]),
    ("rates", &[OUTPUTS]),
];

impl Network {
    /// One that has learnt nothing. `random` gives numbers of a standard normal distribution.
    pub fn new(
        mean: &[f32],
        scale: &[f32],
        mut random: impl FnMut() -> f32,
    ) -> candle_core::Result<Self> {
        let mut weights = Vec::new();
        for (name, shape) in WEIGHTS {
            let count = shape.iter().product();
            // He et al., "Delving deep into rectifiers", 2015; and an output that begins with nearly nothing.
            let spread = match name {
                "hidden-1" | "hidden-2" => (2.0 / shape[0] as f32).sqrt(),
                "output" => 0.01,
                _ => 0.0,
            };
            let bias = if name == "rates" { 1.0 } else { 0.0 };
            let values: Vec<f32> =
                (0..count).map(|_| if spread > 0.0 { random() * spread } else { bias }).collect();
            weights.push(Var::from_vec(values, shape, &Device::Cpu)?);
        }
        Ok(Self {
            weights,
            mean: Tensor::new(mean, &Device::Cpu)?,
            scale: Tensor::new(scale, &Device::Cpu)?,
            slopes: Tensor::ones(OUTPUTS, DType::F32, &Device::Cpu)?,
            offsets: Tensor::zeros(OUTPUTS, DType::F32, &Device::Cpu)?,
        })
    }

    /// What it has beside its weights: means, scales, slopes and offsets.
    pub fn corrections(&self) -> [&Tensor; 4] {
        [&self.mean, &self.scale, &self.slopes, &self.offsets]
    }

    /// Logits, before they are corrected.
    pub fn logits(&self, seen: &Tensor) -> candle_core::Result<Tensor> {
        let [first, first_bias, second, second_bias, output, output_bias, rates] =
            <&[Var; 7]>::try_from(self.weights.as_slice())
                .map_err(|_| candle_core::Error::Msg("a network has seven weights".to_owned()))?;
        let scaled = seen.broadcast_sub(&self.mean)?.broadcast_mul(&self.scale)?;
        let hidden = scaled.matmul(first)?.broadcast_add(first_bias)?.relu()?;
        let hidden = hidden.matmul(second)?.broadcast_add(second_bias)?.relu()?;
        let own = hidden.matmul(output)?.broadcast_add(output_bias)?;
        own + begins_with(seen)?.broadcast_mul(rates)?
    }

    /// Chances, of corrected logits.
    fn batch(&self, seen: &[f32]) -> candle_core::Result<Vec<f32>> {
        let seen = Tensor::from_slice(seen, (seen.len() / COUNT, COUNT), &Device::Cpu)?;
        let logits = self.logits(&seen)?;
        let corrected = logits.broadcast_mul(&self.slopes)?.broadcast_add(&self.offsets)?;
        sigmoid(&corrected)?.flatten_all()?.to_vec1::<f32>()
    }
}

/// Networks that learnt from different parts.
#[derive(Debug)]
pub struct Ensemble(pub Vec<Network>);

impl Model for Ensemble {
    fn voices(&self, seen: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        let each = self.0.iter().map(|network| {
            let mut chances = Vec::with_capacity(seen.len() / COUNT * OUTPUTS);
            for seen in seen.chunks(BATCH * COUNT) {
                chances.extend(network.batch(seen).map_err(Error::Network)?);
            }
            Ok(chances)
        });
        each.collect()
    }
}

fn begins_with(seen: &Tensor) -> candle_core::Result<Tensor> {
    let heads: Result<Vec<Tensor>, _> = CHANCES_OF_HEADS
        .iter()
        .map(|place| seen.narrow(1, CHANCES_AT + place * SPANS, SPANS))
        .collect();
    Tensor::cat(&heads?, 1)
}
