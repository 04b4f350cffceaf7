//! What was found, for people and for machines.

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value};
use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Good,
    /// Worth knowing.
    Note,
    /// It works, but not as well as it could.
    Warning,
    /// It does not work.
    Problem,
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// For scripts; does not change.
    pub id: &'static str,
    pub level: Level,
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

impl Finding {
    pub fn new(
        level: Level,
        id: &'static str,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { id, level, what: what.into(), advice: advice.into() }
    }
}

pub struct Report {
    findings: Vec<Finding>,
    facts: Map<String, Value>,
}

impl Report {
    pub fn new() -> Self {
        Self { findings: Vec::new(), facts: Map::new() }
    }

    pub fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub fn good(&mut self, id: &'static str, what: impl Into<String>) {
        self.add(Finding::new(Level::Good, id, what, "Nothing to do."));
    }

    /// A figure or a name that --json has, beside the sentences.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.into(), value.into());
    }

    /// Prints it, and says by the exit status whether there is a problem.
    pub fn finish(self, json: bool) -> ExitCode {
        let worst = self.findings.iter().map(|f| f.level).max().unwrap_or(Level::Good);
        if json {
            let report = serde_json::json!({
                "worst": worst,
                "findings": self.findings,
                "facts": self.facts,
            });
            anstream::println!("{report:#}");
        } else {
            self.findings.iter().for_each(print);
        }
        ExitCode::from(u8::from(worst == Level::Problem))
    }
}

fn print(finding: &Finding) {
    let (mark, colour) = match finding.level {
        Level::Good => ("ok     ", AnsiColor::Green),
        Level::Note => ("note   ", AnsiColor::Cyan),
        Level::Warning => ("warning", AnsiColor::Yellow),
        Level::Problem => ("PROBLEM", AnsiColor::Red),
    };
    let style = Style::new().fg_color(Some(colour.into())).bold();
    anstream::println!("{style}{mark}{style:#}  {}", finding.what);
    if finding.level != Level::Good {
        anstream::println!("         {}", finding.advice);
    }
}
