//! Gradient-boosted trees behind two pipes: a Python process learns and answers, in frames of little-endian numbers. What a frame
//! holds is told in `gradient_boosting.py`.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use vaultaire_learner::error::Error;
use vaultaire_learner::hazards::SPANS;
use vaultaire_learner::model::Model;
use vaultaire_learner::model::features::{CHANCES_AT, COUNT};
use vaultaire_learner::model::mixture::CHANCES_OF_HEADS;
use vaultaire_learner::model::samples::OUTPUTS;
use vaultaire_learner::model::train::{Example, PARTS, SAMPLES_MIN};

/// What a frame asks for.
const TRAIN: u32 = 1;
const PREDICT: u32 = 2;

/// The process. It ends when nobody can ask it any more.
pub struct Process {
    script: String,
    child: Child,
    /// None: it is ending.
    pipes: Option<Mutex<Pipes>>,
}

struct Pipes {
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
    /// So many models were trained.
    models: u32,
}

/// What was trained, in the process.
pub struct Trees<'a> {
    process: &'a Process,
    model: u32,
}

impl Process {
    pub fn start(python: &Path, script: &Path, threads: NonZeroUsize) -> io::Result<Self> {
        let begins: Vec<String> = CHANCES_OF_HEADS
            .iter()
            .flat_map(|place| (0..SPANS).map(move |span| CHANCES_AT + place * SPANS + span))
            .map(|feature| feature.to_string())
            .collect();
        let mut child = Command::new(python)
            .arg(script)
            .args(["--features", &COUNT.to_string(), "--begins-with", &begins.join(",")])
            .args(["--parts", &PARTS.to_string(), "--samples-min", &SAMPLES_MIN.to_string()])
            .args(["--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take()).map(|(to, from)| {
            let (to, from) = (BufWriter::new(to), BufReader::new(from));
            Mutex::new(Pipes { to, from, models: 0 })
        });
        Ok(Self { script: script.display().to_string(), child, pipes })
    }

    /// From the same examples as a network.
    pub fn train(&self, examples: &[Example<'_>], seed: u64) -> Result<Trees<'_>, Error> {
        let model = self.asked(|pipes| {
            let model = pipes.models;
            let asked = [TRAIN, model, seed as u32, examples.len() as u32];
            pipes.numbers(asked)?;
            pipes.floats(examples.iter().flat_map(|example| example.sample.features))?;
            pipes.floats(examples.iter().flat_map(|example| example.labels.happened))?;
            pipes.floats(examples.iter().flat_map(|example| example.labels.is_known))?;
            pipes.floats(examples.iter().map(|example| example.weight))?;
            pipes.numbers(examples.iter().map(|example| example.part() as u32))?;
            let mut answer = [0; size_of::<[u32; 4]>()];
            pipes.answer(&mut answer)?;
            // What is not the answer to this would be taken for chances later.
            if answer.as_chunks().0 != asked.map(u32::to_le_bytes) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            pipes.models += 1;
            Ok(model)
        })?;
        Ok(Trees { process: self, model })
    }

    /// One at a time.
    fn asked<R>(&self, ask: impl FnOnce(&mut Pipes) -> io::Result<R>) -> Result<R, Error> {
        let failed = |source| Error::File { path: self.script.clone(), source };
        let ended = || failed(io::ErrorKind::BrokenPipe.into());
        let mut pipes =
            self.pipes.as_ref().ok_or_else(ended)?.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&mut pipes).map_err(failed)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends when there is nothing more to read. Nothing is left to do for one that was ended by others.
        self.pipes = None;
        let _ = self.child.wait();
    }
}

impl Model for Trees<'_> {
    fn voices(&self, seen: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
        let rows = seen.len() / COUNT;
        let of_part = rows * OUTPUTS * size_of::<f32>();
        let mut bytes = vec![0; of_part * PARTS as usize];
        self.process.asked(|pipes| {
            pipes.numbers([PREDICT, self.model, 0, rows as u32])?;
            pipes.floats(seen.iter().copied())?;
            pipes.answer(&mut bytes)
        })?;
        let part = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        Ok(bytes.chunks_exact(of_part).map(part).collect())
    }
}

impl Pipes {
    fn numbers(&mut self, numbers: impl IntoIterator<Item = u32>) -> io::Result<()> {
        numbers.into_iter().try_for_each(|number| self.to.write_all(&number.to_le_bytes()))
    }

    fn floats(&mut self, numbers: impl IntoIterator<Item = f32>) -> io::Result<()> {
        self.numbers(numbers.into_iter().map(f32::to_bits))
    }

    fn answer(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.to.flush()?;
        self.from.read_exact(bytes)
    }
}
