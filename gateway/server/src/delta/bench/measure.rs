//! One tool on one pair: make the patch, apply it, compare.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::DeltaError;
use super::child::{self, Usage};
use super::pairs::Pair;
use super::tools::{Files, Tool};

/// Everything that one run found out.
#[derive(Debug)]
pub(super) struct Bench {
    /// The columns: the reference first.
    pub(super) tools: Vec<Tool>,
    /// What is not installed here.
    pub(super) missing: Vec<Tool>,
    /// The rows.
    pub(super) results: Vec<Measured>,
}

/// One pair with all tools, in the order of [`Bench::tools`].
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) pair: Pair,
    pub(super) old_bytes: u64,
    pub(super) new_bytes: u64,
    pub(super) outcomes: Vec<Outcome>,
}

/// A patch that gives the new image, or why there is none.
pub(super) type Outcome = Result<Patch, String>;

/// A proven patch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patch {
    /// Its length.
    pub(super) bytes: u64,
    /// What making it took; nobody knows of a library's.
    pub(super) encode: Option<Usage>,
}

impl Measured {
    /// Size relative to the reference, if both made a patch.
    pub(super) fn ratio(&self, tool: usize) -> Option<f64> {
        let reference = self.outcomes.first()?.as_ref().ok()?;
        let patch = self.outcomes.get(tool)?.as_ref().ok()?;
        Some(patch.bytes as f64 / reference.bytes as f64)
    }

    /// For someone who waits.
    pub(super) fn to_line(&self) -> String {
        let bytes = |outcome: &Outcome| match outcome {
            Ok(patch) => patch.bytes.to_string(),
            Err(_) => "-".to_owned(),
        };
        let cells: Vec<String> = self.outcomes.iter().map(bytes).collect();
        format!("{:45} {}", self.pair.id, cells.join(" "))
    }
}

impl Bench {
    /// The tool, the pair and the reason, if ours did not get a pair right.
    pub(super) fn first_failure_of_ours(&self) -> Option<(String, String, String)> {
        let failures = self.results.iter().flat_map(|measured| {
            (self.tools.iter().zip(&measured.outcomes))
                .filter(|(tool, _)| tool.is_ours())
                .filter_map(|(tool, outcome)| Some((tool, outcome.as_ref().err()?)))
                .map(|(tool, reason)| (tool.name.clone(), measured.pair.id.clone(), reason.clone()))
        });
        failures.into_iter().next()
    }
}

/// Runs every tool on a pair. A tool that fails is a result; a folder that can not be read is not.
pub(super) fn measure(folder: &Path, pair: &Pair, tools: &[Tool]) -> Result<Measured, DeltaError> {
    let [old, new] = pair.files().map(|file| folder.join(file));
    let work = tempfile::tempdir().map_err(|source| DeltaError::Write {
        path: std::env::temp_dir(),
        source,
    })?;
    let (patch, out) = (work.path().join("patch"), work.path().join("out"));
    let files = Files {
        old: &old,
        new: &new,
        patch: &patch,
        out: &out,
    };
    let (old_bytes, new_bytes) = (length(&old)?, length(&new)?);
    let outcomes = tools.iter().map(|tool| {
        for leftover in [&patch, &out] {
            // Nothing to remove is what is wanted.
            let _ = fs::remove_file(leftover);
        }
        prove(tool, files, pair)
    });
    Ok(Measured {
        outcomes: outcomes.collect(),
        pair: pair.clone(),
        old_bytes,
        new_bytes,
    })
}

fn length(path: &PathBuf) -> Result<u64, DeltaError> {
    let metadata = fs::metadata(path).map_err(|source| DeltaError::Read {
        path: path.clone(),
        source,
    })?;
    Ok(metadata.len())
}

fn prove(tool: &Tool, files: Files<'_>, pair: &Pair) -> Outcome {
    let unread = |error: std::io::Error| format!("cannot read or write a file of it: {error}");
    let encode = match (tool.create(files, pair), tool.apply(files, pair)) {
        (Some(create), Some(apply)) => {
            let usage = child::run(&create.0, &create.1)?;
            child::run(&apply.0, &apply.1).map_err(|reason| format!("its patch does not apply: {reason}"))?;
            Some(usage)
        }
        _ => {
            library(files).map_err(unread)?;
            None
        }
    };
    let (made, wanted) = (fs::read(files.out), fs::read(files.new));
    if made.map_err(unread)? != wanted.map_err(unread)? {
        return Err("its patch gives another image".to_owned());
    }
    Ok(Patch {
        bytes: fs::metadata(files.patch).map_err(unread)?.len(),
        encode,
    })
}

/// A BSDIFF40 patch where bsdiff is not installed.
#[cfg(unix)]
fn library(files: Files<'_>) -> std::io::Result<()> {
    let (old, new) = (fs::read(files.old)?, fs::read(files.new)?);
    let (mut patch, mut out) = (Vec::new(), Vec::new());
    qbsdiff::Bsdiff::new(&old, &new).compare(std::io::Cursor::new(&mut patch))?;
    qbsdiff::Bspatch::new(&patch)?.apply(&old, std::io::Cursor::new(&mut out))?;
    fs::write(files.patch, patch)?;
    fs::write(files.out, out)
}

/// The library is partly in C, which is built on Unix only.
#[cfg(not(unix))]
fn library(_: Files<'_>) -> std::io::Result<()> {
    Err(std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        "this system's deltagate has no bsdiff built in: install bsdiff",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tools;
    use super::*;

    #[test]
    fn a_tool_that_makes_nothing_is_a_result() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pump")).unwrap();
        fs::write(folder.path().join("pump/1.bin"), [7; 900]).unwrap();
        fs::write(folder.path().join("pump/2.bin"), [8; 900]).unwrap();
        let pair = Pair {
            product: "pump".into(),
            from: "1".into(),
            to: "2".into(),
            ..Pair::default()
        };
        // The program that runs this test is not deltagate, so that ours fails here.
        let (tools, _) = tools::installed(&[super::super::Memory::Kib4], false);
        let measured = measure(folder.path(), &pair, &tools).unwrap();
        assert_eq!(measured.ratio(0), Some(1.0));
        assert!(measured.outcomes[1].is_err());
        assert_eq!(measured.ratio(1), None);
    }
}
