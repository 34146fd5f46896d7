//! How each tool makes and applies a patch. Everyone's settings are the ones that give the smallest patches.

use std::ffi::OsString;
use std::path::Path;

use super::super::create::Memory;
use super::child;
use super::pairs::{Family, Pair};

/// Name of the reference in every table.
pub(super) const REFERENCE: &str = "BSDIFF40";

/// How a tool is run: a program and its words, in which `{old}`, `{new}`, `{patch}` and `{out}` stand for files and
/// `{format}` for what detools calls the instruction set.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    name: &'static str,
    program: &'static str,
    create: &'static [&'static str],
    apply: (&'static str, &'static [&'static str]),
    /// Words with which the program succeeds when it is installed.
    probe: &'static [&'static str],
    install: &'static str,
    ram: &'static str,
}

const DETOOLS: &str = "pip install detools";
const HDIFFPATCH: &str = "pip install hdiffpatch";

/// HDiffPatch has no command in the registries, but its Python package.
const HDIFFPATCH_APPLY: &str = "import sys, hdiffpatch as h; old, patch, out = sys.argv[1:]; \
    open(out, 'wb').write(h.apply(open(old, 'rb').read(), open(patch, 'rb').read()))";
const HDIFFZ_CREATE: &str = "import sys, hdiffpatch as h; old, new, patch = sys.argv[1:]; \
    open(patch, 'wb').write(h.diff(open(old, 'rb').read(), open(new, 'rb').read(), h.Lzma2Config(level=9)))";
const LITE_APPLY: &str = "import sys, hdiffpatch as h; old, patch, out = sys.argv[1:]; \
    open(out, 'wb').write(h.apply_lite(open(old, 'rb').read(), open(patch, 'rb').read()))";
const LITE_CREATE: &str = "import sys, hdiffpatch as h; bytes, old, new, patch = sys.argv[1:]; \
    open(patch, 'wb').write(h.diff_lite(open(old, 'rb').read(), open(new, 'rb').read(), \
    compression=h.TuzConfig(dict_size=int(bytes))))";

const RECIPES: &[Recipe] = &[
    Recipe {
        name: REFERENCE,
        program: "bsdiff",
        create: &["{old}", "{new}", "{patch}"],
        apply: ("bspatch", &["{old}", "{out}", "{patch}"]),
        probe: &["{old}", "{new}", "{patch}"],
        install: "apt-get install bsdiff",
        ram: "both images and bzip2, MBs",
    },
    Recipe {
        name: "xdelta3 -9 -S lzma",
        program: "xdelta3",
        create: &["-e", "-9", "-S", "lzma", "-f", "-s", "{old}", "{new}", "{patch}"],
        apply: ("xdelta3", &["-d", "-f", "-s", "{old}", "{patch}", "{out}"]),
        probe: &["-V"],
        install: "apt-get install xdelta3",
        ram: "MBs",
    },
    Recipe {
        name: "zstd -22 --patch-from",
        program: "zstd",
        create: &[
            "-q",
            "-f",
            "-22",
            "--ultra",
            "--long=27",
            "--patch-from={old}",
            "{new}",
            "-o",
            "{patch}",
        ],
        apply: (
            "zstd",
            &[
                "-q",
                "-f",
                "-d",
                "--long=27",
                "--patch-from={old}",
                "{patch}",
                "-o",
                "{out}",
            ],
        ),
        probe: &["-V"],
        install: "apt-get install zstd",
        ram: "both images",
    },
    Recipe {
        name: "detools lzma",
        program: "detools",
        create: &["create_patch", "-c", "lzma", "{old}", "{new}", "{patch}"],
        apply: DETOOLS_APPLY,
        probe: &["--version"],
        install: DETOOLS,
        ram: "LZMA dictionary, MBs",
    },
    Recipe {
        name: "detools lzma, data format",
        program: "detools",
        create: &[
            "create_patch",
            "-c",
            "lzma",
            "{format}",
            "{old}",
            "{new}",
            "{patch}",
        ],
        apply: DETOOLS_APPLY,
        probe: &["--version"],
        install: DETOOLS,
        ram: "no applier for devices",
    },
    Recipe {
        name: "detools hdiffpatch lzma",
        program: "detools",
        create: &[
            "create_patch",
            "-t",
            "hdiffpatch",
            "-a",
            "hdiffpatch",
            "-c",
            "lzma",
            "{old}",
            "{new}",
            "{patch}",
        ],
        apply: DETOOLS_APPLY,
        probe: &["--version"],
        install: DETOOLS,
        ram: "LZMA dictionary, MBs",
    },
    Recipe {
        name: "detools heatshrink",
        program: "detools",
        create: &["create_patch", "-c", "heatshrink", "{old}", "{new}", "{patch}"],
        apply: DETOOLS_APPLY,
        probe: &["--version"],
        install: DETOOLS,
        ram: "1.5 KiB",
    },
    Recipe {
        name: "hdiffpatch lzma2",
        program: "python3",
        create: &["-c", HDIFFZ_CREATE, "{old}", "{new}", "{patch}"],
        apply: ("python3", &["-c", HDIFFPATCH_APPLY, "{old}", "{patch}", "{out}"]),
        probe: &["-c", "import hdiffpatch"],
        install: HDIFFPATCH,
        ram: "256 KiB and dictionary",
    },
    Recipe {
        name: "hdiffpatch lite tinyuz 4k",
        program: "python3",
        create: &["-c", LITE_CREATE, "4096", "{old}", "{new}", "{patch}"],
        apply: ("python3", &["-c", LITE_APPLY, "{old}", "{patch}", "{out}"]),
        probe: &["-c", "import hdiffpatch"],
        install: HDIFFPATCH,
        ram: "4.3 KiB",
    },
    Recipe {
        name: "hdiffpatch lite tinyuz 32k",
        program: "python3",
        create: &["-c", LITE_CREATE, "32768", "{old}", "{new}", "{patch}"],
        apply: ("python3", &["-c", LITE_APPLY, "{old}", "{patch}", "{out}"]),
        probe: &["-c", "import hdiffpatch"],
        install: HDIFFPATCH,
        ram: "33 KiB",
    },
];

const DETOOLS_APPLY: (&str, &[&str]) = ("detools", &["apply_patch", "{old}", "{patch}", "{out}"]);

/// A tool in one setting.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    /// What it is called in every table.
    pub(super) name: String,
    /// The command that installs it.
    pub(super) install: &'static str,
    /// What its decoder needs beside the page it writes, as its authors or its format say.
    pub(super) ram: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Ours {
        program: OsString,
        memory: String,
    },
    /// The reference where bsdiff itself is not installed.
    Library,
    Rival(Recipe),
}

/// The files of one measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    pub(super) old: &'a Path,
    pub(super) new: &'a Path,
    pub(super) patch: &'a Path,
    pub(super) out: &'a Path,
}

/// One process of a tool.
pub(super) type Run = (OsString, Vec<OsString>);

impl Tool {
    /// Ours, measured as everyone else: through the command line of this very program.
    fn ours(memory: Memory) -> Self {
        let bytes = memory.class().bytes();
        let program = std::env::current_exe().unwrap_or_else(|_| "deltagate".into());
        Self {
            name: format!("deltagate {} KiB", bytes >> 10),
            install: "",
            ram: format!("{} KiB and {} B", bytes >> 10, wire_patch::DECODER_BYTES_MAX),
            kind: Kind::Ours {
                program: program.into(),
                memory: format!("{}KiB", bytes >> 10),
            },
        }
    }

    fn rival(recipe: &Recipe) -> Self {
        Self {
            name: recipe.name.to_owned(),
            install: recipe.install,
            ram: recipe.ram.to_owned(),
            kind: Kind::Rival(*recipe),
        }
    }

    /// The format's other implementation, which this program has built in.
    fn library() -> Self {
        let mut tool = Self::rival(&RECIPES[0]);
        tool.kind = Kind::Library;
        tool
    }

    /// Whether it is this project's.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Ours { .. })
    }

    /// Whether this is qbsdiff in place of bsdiff: no process, so no CPU seconds and no peak.
    pub(super) fn is_library(&self) -> bool {
        matches!(self.kind, Kind::Library)
    }

    /// How a patch is made; `None` for the library.
    pub(super) fn create(&self, files: Files<'_>, pair: &Pair) -> Option<Run> {
        match &self.kind {
            Kind::Library => None,
            Kind::Ours { program, memory } => {
                let words = ["delta", "create", "--memory", memory].map(OsString::from);
                let files = [files.old, files.new, files.patch].map(OsString::from);
                Some((program.clone(), words.into_iter().chain(files).collect()))
            }
            Kind::Rival(recipe) => Some((recipe.program.into(), fill(recipe.create, files, pair))),
        }
    }

    /// How it is applied; `None` for the library.
    pub(super) fn apply(&self, files: Files<'_>, pair: &Pair) -> Option<Run> {
        match &self.kind {
            Kind::Library => None,
            Kind::Ours { program, .. } => {
                let words = ["delta", "apply"].map(OsString::from);
                let files = [files.old, files.patch, files.out].map(OsString::from);
                Some((program.clone(), words.into_iter().chain(files).collect()))
            }
            Kind::Rival(recipe) => Some((recipe.apply.0.into(), fill(recipe.apply.1, files, pair))),
        }
    }
}

fn fill(words: &[&str], files: Files<'_>, pair: &Pair) -> Vec<OsString> {
    let mut filled = Vec::new();
    for word in words {
        match *word {
            "{format}" => filled.extend(data_format(pair)),
            "{old}" => filled.push(files.old.into()),
            "{new}" => filled.push(files.new.into()),
            "{patch}" => filled.push(files.patch.into()),
            "{out}" => filled.push(files.out.into()),
            "--patch-from={old}" => {
                let mut word = OsString::from("--patch-from=");
                word.push(files.old);
                filled.push(word);
            }
            word => filled.push(word.into()),
        }
    }
    filled
}

/// The instruction set as detools names it; without one it makes the patch that it makes without data format.
fn data_format(pair: &Pair) -> Vec<OsString> {
    let format = match pair.family() {
        Family::CortexM => "arm-cortex-m4",
        Family::AArch64 => "aarch64",
        Family::Xtensa => "xtensa-lx106",
        Family::RiscV | Family::Avr | Family::Other => return Vec::new(),
    };
    vec!["--data-format".into(), format.into()]
}

/// The reference, ours in each memory and the rivals that are here; then those that are not.
pub(super) fn installed(memories: &[Memory], with_rivals: bool) -> (Vec<Tool>, Vec<Tool>) {
    let (reference, rivals) = RECIPES.split_first().expect("the table is not empty");
    let mut missing = Vec::new();
    let mut tools = Vec::new();
    if is_here(reference) {
        tools.push(Tool::rival(reference));
    } else {
        missing.push(Tool::rival(reference));
        tools.push(Tool::library());
    }
    tools.extend(memories.iter().copied().map(Tool::ours));
    for recipe in rivals.iter().filter(|_| with_rivals) {
        let list = if is_here(recipe) { &mut tools } else { &mut missing };
        list.push(Tool::rival(recipe));
    }
    (tools, missing)
}

/// Whether the probe succeeds; bsdiff has none but to make a patch, of one file with itself.
fn is_here(recipe: &Recipe) -> bool {
    let Ok(folder) = tempfile::tempdir() else {
        return false;
    };
    let (image, patch) = (folder.path().join("image"), folder.path().join("patch"));
    if std::fs::write(&image, "not empty").is_err() {
        return false;
    }
    let files = Files {
        old: &image,
        new: &image,
        patch: &patch,
        out: &patch,
    };
    let words = fill(recipe.probe, files, &Pair::default());
    child::run(&recipe.program.into(), &words).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_with_files_and_the_instruction_set() {
        let files = Files {
            old: Path::new("o"),
            new: Path::new("n"),
            patch: Path::new("p"),
            out: Path::new("r"),
        };
        let mut pair = Pair {
            isa: "AArch64".into(),
            ..Pair::default()
        };
        let words = ["{format}", "--patch-from={old}", "{new}", "-x"];
        assert_eq!(
            fill(&words, files, &pair),
            ["--data-format", "aarch64", "--patch-from=o", "n", "-x"]
        );
        pair.isa = "RV32IMC".into();
        assert_eq!(fill(&words, files, &pair), ["--patch-from=o", "n", "-x"]);
    }

    #[test]
    fn the_reference_comes_first_and_is_never_missing() {
        let (tools, _) = installed(&[Memory::Kib4], false);
        assert_eq!(tools[0].name, REFERENCE);
        assert!(tools[1].is_ours());
        assert_eq!(tools.len(), 2);
    }
}
