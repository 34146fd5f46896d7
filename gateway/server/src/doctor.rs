//! `deltagate doctor`: what a gateway needs of its machine, checked one by one, each with its remedy. Works without a running
//! gateway, and changes nothing.
//!
//! | check | bad | warned of |
//! |---|---|---|
//! | configuration | missing, or a line that cannot stand | |
//! | trust | a key that cannot be used | none, or a private key beside it |
//! | state | cannot be made, entered or written | |
//! | permissions | belongs to another user | others can enter |
//! | disk | no room for one more image | less than 16 times that |
//! | database | damaged, or of a newer version | |
//! | clock | reads a time before this program was written | |
//! | gateway | runs and does not answer | does not run |
//! | anchors | | devices without the set of trust anchors in force |
//! | socket | CoAP cannot be spoken where configured | |
//! | buffers | | receive buffer smaller than wanted |

mod checks;
mod machine;

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::cli::colour::{Colour, Paint};

/// Version of the JSON document.
const DOCUMENT_VERSION: u32 = 1;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Warn,
    /// A gateway cannot work, or not reliably.
    Bad,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check {
    /// What was looked at, one word.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, in one clause.
    pub found: String,
    /// What to do, unless it is well.
    pub remedy: Option<String>,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "DoctorDocument"))]
pub(crate) struct Document {
    version: u32,
    checks: Vec<Check>,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Check {
        Check {
            check,
            verdict: Verdict::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check {
            verdict: Verdict::Warn,
            remedy: Some(remedy.into()),
            ..Check::ok(check, found)
        }
    }

    fn bad(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check {
            verdict: Verdict::Bad,
            ..Check::warn(check, found, remedy)
        }
    }
}

/// Checks everything that can be checked of the gateway with this configuration.
pub fn examine(config: &Path) -> Vec<Check> {
    checks::all(config)
}

/// Prints what was found; gives the number of checks that are bad.
pub fn print(checks: &[Check], json: bool, out: &mut dyn Write) -> io::Result<usize> {
    let bad = checks
        .iter()
        .filter(|check| check.verdict == Verdict::Bad)
        .count();
    if json {
        let document = Document {
            version: DOCUMENT_VERSION,
            checks: checks.to_vec(),
        };
        let text = serde_json::to_string_pretty(&document).expect("a report has string keys only");
        writeln!(out, "{text}")?;
        return Ok(bad);
    }
    let paint = Paint::for_stdout();
    for check in checks {
        let word = match check.verdict {
            Verdict::Ok => paint.with(Colour::Good, "ok  "),
            Verdict::Warn => paint.with(Colour::Warning, "warn"),
            Verdict::Bad => paint.with(Colour::Bad, "BAD "),
        };
        writeln!(out, "{word} {:13} {}", check.check, check.found)?;
        if let Some(remedy) = &check.remedy {
            writeln!(out, "                   → {remedy}")?;
        }
    }
    Ok(bad)
}
