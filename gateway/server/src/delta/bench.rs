//! `deltagate delta bench`: a folder of firmware pairs against every delta tool on this machine, in one run.
//!
//! Each patch, ours and everyone else's, is made and applied by a process of its own, so that CPU time and peak memory are
//! measured alike, and the result is compared with the new image before a size counts.
//!
//! | module | what it is |
//! |---|---|
//! | `pairs` | which images of a folder belong together, and what is known about them |
//! | `tools` | how each tool makes and applies a patch, what its decoder needs, how it is installed |
//! | `measure` | one tool on one pair |
//! | `child` | one process: its CPU seconds and peak memory |
//! | `summary` | geometric means by group, and ours against the best of the others |
//! | `markdown`, `csv`, `chart` | the results for a page, a program, an eye |

mod chart;
mod child;
mod csv;
mod markdown;
mod measure;
mod pairs;
mod summary;
mod tools;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use serde::Serialize;

use self::measure::{Bench, Measured};
use self::pairs::Pair;
use self::tools::Tool;
use super::create::Memory;
use super::{DeltaError, Report, files};

/// Measure a folder of firmware pairs against every delta tool installed here.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// Decoder memories to measure ours with
    #[arg(
        long,
        value_name = "SIZE",
        value_delimiter = ',',
        default_value = "4KiB,16KiB,32KiB,128KiB"
    )]
    pub memory: Vec<Memory>,
    /// Only pairs whose name, class, set or instruction set contains this; repeated, all must hold
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Measure ours against the BSDIFF40 reference alone
    #[arg(long)]
    pub no_rivals: bool,
    /// Pairs measured at a time; more than one on a busy machine blurs the CPU seconds
    #[arg(long, value_name = "N", default_value = "1")]
    pub jobs: NonZero<usize>,
    /// Where bench.md, bench.csv and bench.svg go
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
    /// The images: PRODUCT/VERSION.bin, with pairs.tsv or else each version with the next
    pub folder: PathBuf,
}

impl BenchArgs {
    /// Measures every pair with every tool and writes the three files.
    pub(super) fn run(&self) -> Result<Benched, DeltaError> {
        let mut pairs = pairs::read(&self.folder)?;
        pairs.retain(|pair| self.only.iter().all(|text| pair.is_about(text)));
        if pairs.is_empty() {
            return Err(DeltaError::NoPairs {
                path: self.folder.clone(),
            });
        }
        let (tools, missing) = tools::installed(&self.memory, !self.no_rivals);
        for tool in &missing {
            eprintln!("not installed: {} ({})", tool.name, tool.install);
        }
        let results = self.measure(&pairs, &tools)?;
        let bench = Bench {
            tools,
            missing,
            results,
        };
        let written = self.write(&bench)?;
        match bench.first_failure_of_ours() {
            Some((tool, pair, reason)) => Err(DeltaError::BenchFailed { tool, pair, reason }),
            None => Ok(Benched {
                pairs: bench.results.len(),
                table: markdown::means(&bench),
                written,
            }),
        }
    }

    fn measure(&self, pairs: &[Pair], tools: &[Tool]) -> Result<Vec<Measured>, DeltaError> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.get().min(pairs.len()) {
                scope.spawn(|| {
                    while let Some((at, pair)) = take(pairs, &next) {
                        let measured = measure::measure(&self.folder, pair, tools);
                        if let Ok(measured) = &measured {
                            eprintln!("{}", measured.to_line());
                        }
                        done.lock().expect("no measurement panics").push((at, measured));
                    }
                });
            }
        });
        let mut done = done.into_inner().expect("no measurement panics");
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, measured)| measured).collect()
    }

    fn write(&self, bench: &Bench) -> Result<Vec<String>, DeltaError> {
        std::fs::create_dir_all(&self.out).map_err(|source| DeltaError::Write {
            path: self.out.clone(),
            source,
        })?;
        let documents = [
            ("bench.md", markdown::page(bench)),
            ("bench.csv", csv::rows(bench)),
            ("bench.svg", chart::svg(bench)),
        ];
        documents
            .iter()
            .map(|(name, text)| self.write_one(name, text))
            .collect()
    }

    fn write_one(&self, name: &str, text: &str) -> Result<String, DeltaError> {
        let path: &Path = &self.out.join(name);
        files::write(path, text.as_bytes())?;
        Ok(path.display().to_string())
    }
}

/// The next pair that nobody measures yet.
fn take<'a>(pairs: &'a [Pair], next: &AtomicUsize) -> Option<(usize, &'a Pair)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    pairs.get(at).map(|pair| (at, pair))
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Benched {
    pairs: usize,
    table: String,
    written: Vec<String>,
}

impl Report for Benched {
    fn to_text(&self) -> String {
        let written: String = (self.written.iter())
            .map(|path| format!("written  {path}\n"))
            .collect();
        format!("{}\n{written}", self.table)
    }
}
