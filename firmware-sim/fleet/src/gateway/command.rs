//! Running the binary: technicians' and publishers' commands.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The `deltagate` binary.
#[derive(Clone, Debug)]
pub struct Deltagate {
    binary: PathBuf,
}

/// A command did not end with exit code 0.
#[derive(Debug)]
pub struct CommandFailed {
    /// The command as typed.
    pub command: String,
    /// Its exit code; `None` when it did not run or a signal ended it.
    pub exit_code: Option<i32>,
    /// What it printed.
    pub output: String,
}

impl fmt::Display for CommandFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deltagate {} ", self.command)?;
        match self.exit_code {
            Some(code) => write!(f, "ended with exit code {code}: ")?,
            None => f.write_str("did not end by itself: ")?,
        }
        f.write_str(self.output.trim())
    }
}

impl std::error::Error for CommandFailed {}

impl Deltagate {
    /// The binary at this path.
    pub fn at(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
        }
    }

    /// `$DELTAGATE_BIN`, or the binary that cargo built beside the running program or test.
    pub fn locate() -> io::Result<Self> {
        if let Some(path) = std::env::var_os("DELTAGATE_BIN") {
            return Ok(Self::at(path));
        }
        let own = std::env::current_exe()?;
        let beside = own
            .ancestors()
            .skip(1)
            .take(2)
            .map(|folder| folder.join("deltagate"));
        beside
            .into_iter()
            .find(|path| path.is_file())
            .map(Self::at)
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    "no deltagate binary beside this program; build it with: cargo build -p deltagate \
                 (or name it in DELTAGATE_BIN)",
                )
            })
    }

    /// Where it is.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Runs a command to its end and gives what it printed on standard output.
    pub fn run(&self, arguments: &[&str]) -> Result<String, CommandFailed> {
        let failed = |exit_code, output| CommandFailed {
            command: arguments.join(" "),
            exit_code,
            output,
        };
        let output = Command::new(&self.binary)
            .args(arguments)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(None, error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(failed(output.status.code(), format!("{text}{errors}")))
    }
}

/// A publisher: a key pair in a folder, and what is signed with it.
#[derive(Clone, Debug)]
pub struct Publisher {
    deltagate: Deltagate,
    private_key: PathBuf,
    public_key: PathBuf,
}

impl Publisher {
    /// Makes a new key in `directory`.
    pub fn generate(deltagate: &Deltagate, directory: &Path, name: &str) -> Result<Self, CommandFailed> {
        let prefix = directory.join(name).display().to_string();
        deltagate.run(&["key", "generate", "--out", &prefix])?;
        Ok(Self {
            deltagate: deltagate.clone(),
            private_key: directory.join(format!("{name}.key")),
            public_key: directory.join(format!("{name}.pub")),
        })
    }

    /// The public key's file.
    pub fn public_key(&self) -> &Path {
        &self.public_key
    }

    /// The private key's file.
    pub fn private_key(&self) -> &Path {
        &self.private_key
    }

    /// Signs `image` into the file `to`.
    pub fn sign(&self, image: &Path, identity: &Identity<'_>, to: &Path) -> Result<(), CommandFailed> {
        let (image, key) = (
            image.display().to_string(),
            self.private_key.display().to_string(),
        );
        let (sequence, to) = (identity.sequence.to_string(), to.display().to_string());
        let follows = identity.follows.map(|least| least.to_string());
        let mut arguments = vec![
            "image",
            "sign",
            &image,
            "--key",
            &key,
            "--vendor",
            identity.vendor,
            "--class",
            identity.class,
            "--version",
            identity.version,
            "--sequence",
            &sequence,
            "--out",
            &to,
        ];
        if let Some(least) = &follows {
            arguments.extend(["--follows", least]);
        }
        self.deltagate.run(&arguments).map(|_| ())
    }
}

/// What an image is signed as.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The vendor's domain.
    pub vendor: &'a str,
    /// The class's name.
    pub class: &'a str,
    /// Its version, for people.
    pub version: &'a str,
    /// Its sequence number, for machines.
    pub sequence: u32,
    /// The lowest sequence number that it may follow; `None`: any.
    pub follows: Option<u32>,
}
