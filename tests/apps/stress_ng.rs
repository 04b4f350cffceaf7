//! stress-ng's stressor of Linux AIO.

use crate::app::{App, Figure};
use crate::job::Job;
use crate::support::ours::Way;
use std::time::Duration;

pub const APPS: &[App] = &[App {
    name: "stress-ng --aiol",
    needs: &[("stress-ng", "stress-ng")],
    uses: "all six calls by number, wrong arguments among them; a context for each worker",
    set: "nothing; `--aio` is POSIX AIO, another thing",
    verified: "`--verify`: 2 workers check what they read, and the answers to their wrong calls",
    ways: &[Way::Preload],
    root: false,
    in_check: true,
    limit: Duration::from_secs(60),
    run: aiol,
}];

fn aiol(job: &Job) -> Result<Figure, String> {
    let mut command = job.command("stress-ng");
    command.args(["--aiol", "2", "--verify", "--metrics-brief", "--temp-path", "."]);
    command.args(["--timeout", job.pick("1", "10")]);
    let outcome = job.run(&mut command);
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    if !outcome.success() || said.contains("fail") || said.contains("skipping") {
        return Err(format!("{}\n{said}", outcome.end));
    }
    // "stress-ng: metrc: [1] aiol  3453  3.55 ...": operations, seconds.
    let ops = said
        .lines()
        .find_map(|line| line.split_once("] aiol ")?.1.split(' ').find_map(|n| n.parse().ok()));
    match ops {
        Some(0) | None => Err(said),
        Some::<u64>(n) => Ok(format!("{:.1} k operations", n as f64 / 1000.0)),
    }
}
