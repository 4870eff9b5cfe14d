//! What the machine itself can do, measured beside the servers: the same disk, the same core, the same bytes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use md5::{Digest, Md5};
use rustix::fs::{Advice, fadvise};
use serde_json::{Value, json};
use vaultaire_tests::bench::Error;

const APPEND_BYTES: usize = 4096;
const BLOCK_BYTES: usize = 1024 * 1024;

/// Synced appends a second: what one journal without group commit could acknowledge.
pub fn sync(dir: &Path, seconds: f64) -> Result<Value, Error> {
    let path = dir.join("probe-sync");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let block = vec![7_u8; APPEND_BYTES];
    let began = Instant::now();
    let mut syncs = 0_u64;
    while began.elapsed().as_secs_f64() < seconds {
        file.write_all(&block)?;
        file.sync_data()?;
        syncs += 1;
    }
    let per_second = syncs as f64 / began.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(json!({ "syncs_per_second": per_second }))
}

/// Bytes a second: written and synced, then read from the disk, then from the page cache. Medians.
pub fn file(dir: &Path, size: usize, times: u32) -> Result<Value, Error> {
    let path = dir.join("probe-file");
    let block = vec![7_u8; BLOCK_BYTES];
    let (mut writes, mut cold, mut warm) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        let began = Instant::now();
        let mut file = File::create(&path)?;
        for _ in 0..size / BLOCK_BYTES {
            file.write_all(&block)?;
        }
        file.sync_data()?;
        writes.push(size as f64 / began.elapsed().as_secs_f64());
        let file = File::open(&path)?;
        // Synced pages are clean, so the kernel can drop them: the read that follows comes from the disk.
        fadvise(&file, 0, None, Advice::DontNeed)?;
        cold.push(size as f64 / read_all(file)?);
        warm.push(size as f64 / read_all(File::open(&path)?)?);
    }
    std::fs::remove_file(&path)?;
    Ok(json!({
        "write_bytes_per_second": median(&mut writes),
        "cold_read_bytes_per_second": median(&mut cold),
        "warm_read_bytes_per_second": median(&mut warm),
    }))
}

/// Seconds for one sequential read.
fn read_all(mut file: File) -> Result<f64, Error> {
    let mut into = vec![0_u8; BLOCK_BYTES];
    let began = Instant::now();
    while file.read(&mut into)? > 0 {}
    Ok(began.elapsed().as_secs_f64())
}

/// Bytes a second of MD5 on this core.
pub fn md5(size: usize) -> Value {
    let block = vec![7_u8; BLOCK_BYTES];
    let began = Instant::now();
    let mut digest = Md5::new();
    for _ in 0..size / BLOCK_BYTES {
        digest.update(&block);
    }
    let last = digest.finalize()[0];
    let per_second = size as f64 / began.elapsed().as_secs_f64();
    json!({ "md5_bytes_per_second": per_second, "last": last })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
