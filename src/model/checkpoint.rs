//! Checkpoints: safetensors files whose metadata says what the model is and where it came from.
//!
//! Layouts and names are torch's (linear weights out×in), so that the files open in Python as they are. Written to a temporary
//! file beside the target and renamed, so that no reader ever sees half a checkpoint. Nothing in a file is executed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{Classifier, arch, layers, tensors::NamedTensor};
use crate::context::Recipe;
use crate::data::{ClassId, ClassMap, Samples};
use crate::error::{Error, Result};

/// Version of the metadata below.
pub const FORMAT: u32 = 1;

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the architecture.
    pub architecture: String,
    /// Channels, height, width of an image.
    pub input: [usize; 3],
    /// Name of the data set.
    pub dataset: String,
    /// Label of each slot.
    pub class_map: Vec<u16>,
    /// Name of each slot's class.
    pub class_names: Vec<String>,
    /// How it was made: `train`, `oracle`, or the method's name.
    pub made_by: String,
    /// Seed of its training.
    pub seed: u64,
    /// Hash of everything that determines it.
    pub config_hash: String,
    /// SHA-256 of the files that it was made from.
    pub parents: Vec<String>,
    /// Version of this crate.
    pub version: String,
    /// How it was trained; of what a method or a control made, how its original was. Absent where it isn't known, or nothing was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Recipe>,
    /// Training samples of its classes that it was trained without; absent where there are none, or it isn't known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<Without>,
}

/// Training samples that a model never saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Without {
    /// How many.
    pub samples: usize,
    /// SHA-256 of their numbers in the training part, ascending, in decimal, each followed by a newline.
    pub sha256: String,
}

impl Without {
    /// Those that are in `samples`, in whatever order.
    pub fn these(samples: &Samples) -> Self {
        let mut numbers: Vec<usize> = samples.numbers().collect();
        numbers.sort_unstable();
        let lines: String = numbers.iter().map(|n| format!("{n}\n")).collect();
        Self { samples: numbers.len(), sha256: sha256(lines.as_bytes()) }
    }
}

impl Metadata {
    /// The class map, checked.
    pub fn classes(&self) -> Result<ClassMap> {
        ClassMap::new(self.class_map.iter().map(|c| ClassId(*c)).collect())
    }
}

const KEY: &str = "unlearn";

/// Writes `model` to `path`, atomically. Returns the SHA-256 of the file in hex.
pub fn save(path: &Path, model: &Classifier, metadata: &Metadata) -> Result<String> {
    let tensors = model.tensors();
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|t| {
            let (shape, values) = transposed(t.shape.clone(), &t.values);
            (t.name.clone(), shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data)
            .map_err(|e| Error::failed(path.display().to_string(), e.to_string(), "report this as a bug"));
        view.map(|v| (name.clone(), v))
    });
    let views: Vec<(String, TensorView<'_>)> = views.collect::<Result<_>>()?;
    // One key that holds everything: a map of several keys would be written in no fixed order, and equal models must be equal files.
    let json = serde_json::to_string(metadata).map_err(|e| Error::failed("metadata", e.to_string(), "report this as a bug"))?;
    let file = safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), json)])))
        .map_err(|e| Error::failed(path.display().to_string(), e.to_string(), "report this as a bug"))?;
    crate::files::write_bytes(path, &file)?;
    Ok(sha256(&file))
}

/// Reads a checkpoint: the model in inference mode, its metadata and the file's SHA-256.
///
/// # Errors
/// A file that is no safetensors file or none of ours, a newer format, a size that it can't have, missing, surplus or misshapen tensors, NaN or infinite weights.
pub fn load(path: &Path, device: &Device) -> Result<(Classifier, Metadata, String)> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let (model, metadata) = read(&path.display().to_string(), &bytes, device)?;
    Ok((model, metadata, sha256(&bytes)))
}

/// [`load`] from the bytes of a checkpoint; `at` names it in messages.
pub fn read(at: &str, bytes: &[u8], device: &Device) -> Result<(Classifier, Metadata)> {
    let metadata = metadata(at, bytes)?;
    let map = metadata.classes()?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| not_safetensors(at, &e.to_string()))?;
    check_size(at, &metadata, bytes.len() / 4)?;
    let model = Classifier::zeros(&metadata.architecture, metadata.input, map.len(), device)?;
    let mut found: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    let damaged = "the file is damaged or was edited; make it again";
    for NamedTensor { name, shape, .. } in model.tensors() {
        let tensor = file.tensor(&name).map_err(|_| Error::input(at, format!("tensor `{name}` of {} is missing", metadata.architecture), damaged))?;
        let (want, _) = transposed(shape.clone(), &[]);
        if tensor.dtype() != Dtype::F32 || tensor.shape() != want {
            return Err(Error::input(
                at,
                format!(
                    "tensor `{name}` is {:?} of shape {:?}, {} needs F32 of shape {want:?}",
                    tensor.dtype(),
                    tensor.shape(),
                    metadata.architecture
                ),
                damaged,
            ));
        }
        let values: Vec<f32> = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
            return Err(Error::input(at, format!("tensor `{name}` holds {bad}"), "the training diverged; train again with a smaller learning rate"));
        }
        found.insert(name, transposed(want, &values).1);
    }
    if let Some(extra) = file.names().into_iter().find(|n| !found.contains_key(*n)) {
        return Err(Error::input(at, format!("tensor `{extra}` does not belong to {}", metadata.architecture), damaged));
    }
    Ok((model.with_tensors(&found), metadata))
}

/// Name, data type and shape of a stored tensor.
pub type StoredTensor = (String, String, Vec<usize>);

/// Metadata, every stored tensor and the file's SHA-256, without building the model: what `inspect` shows.
pub fn inspect(path: &Path) -> Result<(Metadata, Vec<StoredTensor>, String)> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let at = path.display().to_string();
    let metadata = metadata(&at, &bytes)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| not_safetensors(&at, &e.to_string()))?;
    let mut rows: Vec<_> = file.tensors().into_iter().map(|(n, t)| (n, format!("{:?}", t.dtype()), t.shape().to_vec())).collect();
    rows.sort();
    Ok((metadata, rows, sha256(&bytes)))
}

/// What a checkpoint says about itself, from its bytes; `at` names it in messages.
pub fn metadata(at: &str, bytes: &[u8]) -> Result<Metadata> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| not_safetensors(at, &e.to_string()))?;
    let json = header.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or_else(|| {
        Error::input(
            at,
            "a safetensors file, but not one of `unlearn` (its metadata has no `unlearn` entry)",
            "give a checkpoint that `unlearn train` wrote",
        )
    })?;
    let format = serde_json::from_str::<serde_json::Value>(json).ok().and_then(|v| v.get("format").and_then(serde_json::Value::as_u64));
    if format != Some(u64::from(FORMAT)) {
        let found = format.map_or("none".to_string(), |f| f.to_string());
        return Err(Error::input(at, format!("checkpoint format {found}, this version reads {FORMAT}"), "use the version of unlearn that wrote it"));
    }
    serde_json::from_str(json).map_err(|e| Error::input(at, format!("unreadable metadata: {e}"), "the file is damaged or was edited; make it again"))
}

/// Greatest side or number of channels of an image that a checkpoint may name.
const MAX_SIDE: usize = 1 << 14;
/// A model up to this many weights is built whatever the file holds, so that the message can name the tensor at fault.
const SMALL: usize = 1 << 24;

/// Refuses metadata that names an architecture we don't have, or a model far beyond what the file can hold, before anything of that
/// size is made.
fn check_size(at: &str, metadata: &Metadata, values: usize) -> Result<()> {
    let input = metadata.input;
    if input.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
        return Err(Error::input(at, format!("it takes images of {input:?}"), "the file is damaged or was edited; make it again"));
    }
    let stages = arch::stages(&metadata.architecture, input).map_err(|e| match e {
        Error::Input { what, remedy, .. } => Error::input(at, format!("architecture `{}`: {what}", metadata.architecture), remedy),
        other => other,
    })?;
    let mut shape = input;
    let mut weights = 0;
    for (_, layers) in &stages {
        weights += layers::weights_all(layers, shape);
        shape = layers.iter().fold(shape, |s, l| l.output(s));
    }
    if weights > SMALL.max(values) {
        return Err(Error::input(
            at,
            format!("{} on images of {input:?} has {weights} weights, the file has room for {values}", metadata.architecture),
            "the file is damaged or was edited; make it again",
        ));
    }
    Ok(())
}

fn not_safetensors(at: &str, why: &str) -> Error {
    Error::input(at, format!("not a safetensors file ({why})"), "give a checkpoint that `unlearn train` wrote")
}

/// Torch keeps linear weights out×in, burn in×out; everything else alike. Empty values stand for "shape only".
fn transposed(shape: Vec<usize>, values: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let [rows, columns] = shape[..] else { return (shape, values.to_vec()) };
    let values = if values.is_empty() { vec![] } else { (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect() };
    (vec![columns, rows], values)
}

/// SHA-256 of a checkpoint's bytes, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    crate::hex(&Sha256::digest(bytes))
}
