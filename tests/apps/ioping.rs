//! ioping: a request at a time, and how long it took.

use crate::app::{App, Figure};
use crate::job::Job;
use crate::support::ours::Way;
use std::fs;
use std::time::Duration;

pub const APPS: &[App] = &[App {
    name: "ioping -A",
    needs: &[("ioping", "ioping")],
    uses: "by number, a request at a time",
    set: "nothing",
    verified: "every request is answered: cached, direct, synchronous, RWF_NOWAIT, writes",
    ways: &[Way::Preload],
    root: false,
    in_check: true,
    limit: Duration::from_secs(60),
    run: all,
}];

const KINDS: [&[&str]; 6] = [
    &["-C"],
    &["-D"],
    &["-D", "-L", "-s", "64k"],
    &["-C", "-N"],
    &["-D", "-W"],
    &["-C", "-W", "-y"],
];

fn all(job: &Job) -> Result<Figure, String> {
    // Not sparse: direct reads of holes are no reads.
    fs::write(job.path("file"), vec![7u8; 1 << 20]).map_err(|e| e.to_string())?;
    let count = job.pick("50", "1000");
    let mut direct = 0.0;
    for kind in KINDS {
        let mut command = job.command("ioping");
        command.args(["-A", "-B", "-q", "-i", "0", "-a", "0", "-c", count]).args(kind);
        if kind.contains(&"-W") {
            command.arg("-WW");
        }
        // "count  run-time(ns)  iops  speed  min  avg  max  mdev ..."
        let said = job.must(command.arg("file"))?;
        let numbers: Vec<f64> = said.split_whitespace().map_while(|n| n.parse().ok()).collect();
        if numbers.first() != count.parse().ok().as_ref() || numbers.len() < 8 {
            return Err(format!("{kind:?}: {said}"));
        }
        if kind == ["-D"] {
            direct = numbers[5];
        }
    }
    Ok(format!("a direct read takes {:.0} us", direct / 1000.0))
}
