//! fio's answer, judged.

use super::run::Outcome;
use serde_json::Value;

/// The jobs of fio's JSON, none of which had an error; checksums are fio's affair.
///
/// # Errors
/// It failed, and what it said.
pub fn jobs(outcome: &Outcome) -> Result<Vec<Value>, String> {
    // Notes stand before it.
    let (notes, json) = outcome.stdout.split_at(outcome.stdout.find("{\n").unwrap_or(0));
    let said = || format!("{}\n{}{notes}", outcome.end, outcome.stderr);
    if !outcome.success() {
        return Err(said());
    }
    let answer: Value = serde_json::from_str(json).map_err(|_| said())?;
    let jobs = answer["jobs"].as_array().ok_or_else(said)?;
    match jobs.iter().find(|job| job["error"] != 0) {
        Some(job) => Err(format!("error {}\n{}", job["error"], said())),
        None => Ok(jobs.clone()),
    }
}

/// Bytes that a job read (also to verify) and wrote.
pub fn moved(job: &Value) -> (u64, u64) {
    let bytes = |way: &str| job[way]["io_bytes"].as_u64().unwrap_or(0);
    (bytes("read"), bytes("write"))
}
