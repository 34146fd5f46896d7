//! The decoder in C, built by the system's compiler with all its checks and fed through pipes.

#![allow(dead_code, reason = "each program uses its part")]

use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Where the C sources are.
pub(crate) const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wire/patch/c");

/// C99 and nothing else, every warning an error, and every slip of memory or arithmetic the end of the program.
const FLAGS: [&str; 11] = [
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-pedantic",
    "-Werror",
    "-O1",
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-DDELTAGATE_PATCH_IN_PLACE=1",
];

/// What a status of 1 and more stands for: the errors in the order of the C header's, by the names of `DecodeError`.
const ERRORS: [&str; 19] = [
    "Truncated",
    "TrailingBytes",
    "NumberTooLarge",
    "EmptyTriple",
    "OutputOverrun",
    "SourceOutOfRange",
    "NoReach",
    "SourceOutOfReach",
    "ResultMismatch",
    "NotAPatch",
    "UnknownVersion",
    "UnknownMemoryClass",
    "UnknownInstructionSet",
    "MemoryTooSmall",
    "BaseLength",
    "BaseUnreadable",
    "PatchUnreadable",
    "OutputFailed",
    "Poisoned",
];

/// Builds `driver` or `example` into `directory` and names the program.
pub(crate) fn build(program: &str, directory: &Path) -> PathBuf {
    let binary = directory.join(format!("c-{program}-{}", std::process::id()));
    let sources = [format!("{program}.c"), "deltagate_patch.c".to_owned()];
    let built = Command::new("cc")
        .args(FLAGS)
        .arg("-o")
        .arg(&binary)
        .args(sources.map(|name| Path::new(SOURCES).join(name)))
        .output();
    let built = built.unwrap_or_else(|error| {
        panic!("cannot run the C compiler cc ({error}): install Debian's gcc and libc6-dev, or run scripts/prepare")
    });
    assert!(
        built.status.success(),
        "the C decoder does not build (it needs gcc with libasan and libubsan, as Debian's gcc brings them):\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    binary
}

/// What a decoder in C answered.
pub(crate) fn ended(status: u32, result: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    match status {
        0 => Ok(result),
        u32::MAX => panic!("the decoder in C takes more steps than the format promises"),
        error => Err(ERRORS[error as usize - 1]),
    }
}

/// A running decoder, which takes one patch after the other.
pub(crate) struct CDecoder {
    child: Child,
    /// Until it is to end.
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl CDecoder {
    /// Starts what [`build`] made of `driver`.
    pub(crate) fn start(driver: &Path) -> Self {
        let mut child = Command::new(driver)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the driver was built");
        let questions = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            child,
            questions,
            answers,
        }
    }

    /// The result of a patch, or the name of the error. Panics if the decoder ends in any other way.
    pub(crate) fn decode(
        &mut self,
        base: &[u8],
        patch: &[u8],
        memory_bytes: u32,
    ) -> Result<Vec<u8>, &'static str> {
        let mut question = Vec::with_capacity(12 + base.len() + patch.len());
        for number in [base.len() as u32, patch.len() as u32, memory_bytes] {
            question.extend(number.to_le_bytes());
        }
        question.extend(base);
        question.extend(patch);
        let questions = self.questions.as_mut().expect("open until the end");
        let asked = questions.write_all(&question).and_then(|()| questions.flush());
        let (Ok(()), Some(status), Some(bytes)) = (asked, self.number(), self.number()) else {
            panic!("the decoder in C died: {:?}", self.child.wait());
        };
        let mut result = vec![0; bytes as usize];
        self.answers
            .read_exact(&mut result)
            .expect("as many bytes as it said");
        ended(status, result)
    }

    fn number(&mut self) -> Option<u32> {
        let mut number = [0; 4];
        self.answers.read_exact(&mut number).ok()?;
        Some(u32::from_le_bytes(number))
    }
}

impl Drop for CDecoder {
    /// Ends its input, at which it ends, and says so if it leaked memory.
    fn drop(&mut self) {
        drop(self.questions.take());
        let ended = self.child.wait().expect("a child");
        assert!(
            ended.success() || std::thread::panicking(),
            "the decoder in C: {ended}"
        );
    }
}
