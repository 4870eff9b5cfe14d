//! A network as bytes: safetensors, in the order of names, so that the same weights have the same hash; and with a hash of what
//! its inputs and outputs mean, since weights of other ones would say something without any sense.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::hazards::BOUNDS_DAYS;
use crate::model::features::{self, COUNT};
use crate::model::network::{Ensemble, Network, WEIGHTS};
use crate::model::samples::OUTPUTS;

/// Where the hash of the meanings is.
const SCHEMA: &str = "schema";

/// What a network has beside its weights.
const CORRECTIONS: [(&str, usize); 4] =
    [("mean", COUNT), ("scale", COUNT), ("slopes", OUTPUTS), ("offsets", OUTPUTS)];

/// No more networks speak in the mean.
const NETWORKS_MAX: usize = 16;

/// No file of weights is larger.
const BYTES_MAX: u64 = 16 << 20;

/// A hash of what a network sees and says.
pub fn schema() -> String {
    let mut hash = Sha256::new();
    for name in features::names() {
        hash.update(name);
        hash.update([0]);
    }
    hash.update(format!("{BOUNDS_DAYS:?} {WEIGHTS:?}"));
    hex::encode(hash.finalize())
}

/// The name of a network: the hash of its bytes.
pub fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// As bytes.
pub fn to_bytes(ensemble: &Ensemble) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    for (number, network) in ensemble.0.iter().enumerate() {
        let weights = WEIGHTS.iter().map(|(name, _)| *name);
        let weights = weights.zip(network.weights.iter().map(Var::as_tensor));
        let corrections = CORRECTIONS.iter().map(|(name, _)| *name).zip(network.corrections());
        for (name, tensor) in weights.chain(corrections) {
            let numbers = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
            let bytes = numbers.map_err(Error::Network)?.into_iter().flat_map(f32::to_le_bytes);
            all.push((called(number, name), tensor.dims().to_vec(), bytes.collect::<Vec<u8>>()));
        }
    }
    all.sort();
    let views: Result<Vec<_>, _> = all
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect();
    let named = HashMap::from([(SCHEMA.to_owned(), schema())]);
    views.and_then(|views| serialize(views, Some(named))).map_err(unreadable)
}

/// What a tensor of one of the networks is called.
fn called(number: usize, name: &str) -> String {
    format!("{number}.{name}")
}

fn unreadable(source: safetensors::SafeTensorError) -> Error {
    Error::Weights { why: source.to_string() }
}

/// What bytes say.
pub fn from_bytes(bytes: &[u8]) -> Result<Ensemble, Error> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
    let found = metadata.metadata().as_ref().and_then(|named| named.get(SCHEMA));
    if found != Some(&schema()) {
        let found = found.cloned().unwrap_or_else(|| "none".to_owned());
        return Err(Error::WeightsSchema { found, wanted: schema() });
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(unreadable)?;
    let count = tensors.len() / (WEIGHTS.len() + CORRECTIONS.len());
    if !(1..=NETWORKS_MAX).contains(&count) {
        return Err(Error::Weights { why: format!("it has {} tensors", tensors.len()) });
    }
    (0..count).map(|number| one(&tensors, number)).collect::<Result<_, _>>().map(Ensemble)
}

fn one(tensors: &SafeTensors<'_>, number: usize) -> Result<Network, Error> {
    let tensor = |name: &str, shape: &[usize]| {
        let name = called(number, name);
        tensor(tensors.tensor(&name).map_err(unreadable)?, &name, shape)
    };
    let weights: Result<Vec<Var>, Error> = WEIGHTS
        .iter()
        .map(|(name, shape)| Var::from_tensor(&tensor(name, shape)?).map_err(Error::Network))
        .collect();
    let [mean, scale, slopes, offsets] = CORRECTIONS.map(|(name, count)| tensor(name, &[count]));
    Ok(Network {
        weights: weights?,
        mean: mean?,
        scale: scale?,
        slopes: slopes?,
        offsets: offsets?,
    })
}

fn tensor(view: TensorView<'_>, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(Error::Weights { why: format!("{name} has another shape") });
    }
    let numbers = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let numbers: Vec<f32> = numbers.collect();
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err(Error::Weights { why: format!("{name} has what is no number") });
    }
    Tensor::from_vec(numbers, shape, &Device::Cpu).map_err(Error::Network)
}

/// From a file.
pub fn read(path: &Path) -> Result<Ensemble, Error> {
    let failed = |source| Error::File { path: path.display().to_string(), source };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > BYTES_MAX {
        return Err(Error::Weights { why: format!("{} has {length} bytes", path.display()) });
    }
    from_bytes(&std::fs::read(path).map_err(failed)?)
}
