//! What `scripts/firmware` built: where it is, and what it weighs.

use crate::board::Board;
use std::path::{Path, PathBuf};

/// The folder with bootloader and images.
#[derive(Clone, Debug)]
pub struct Firmware {
    directory: PathBuf,
}

/// A file of the firmware is missing or unreadable.
#[derive(Debug, thiserror::Error)]
#[error("firmware file {path} cannot be read; build it with: scripts/firmware")]
pub struct FirmwareMissing {
    /// What was expected.
    pub path: PathBuf,
    /// What the system says.
    #[source]
    pub source: std::io::Error,
}

impl Firmware {
    /// The firmware in this folder.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The firmware of this checkout for a board: [`Board::firmware_folder`] in `.build`.
    pub fn of_checkout(board: Board) -> Self {
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.build");
        Self::at(build.join(board.firmware_folder()))
    }

    /// A file's path, which exists.
    pub fn path(&self, name: &str) -> Result<PathBuf, FirmwareMissing> {
        let path = self.directory.join(name);
        match std::fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(source) => Err(FirmwareMissing { path, source }),
        }
    }

    /// A file's bytes.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, FirmwareMissing> {
        let path = self.directory.join(name);
        std::fs::read(&path).map_err(|source| FirmwareMissing { path, source })
    }

    /// The file with the bootloader, as the board wants it.
    pub fn bootloader(&self, board: Board) -> Result<PathBuf, FirmwareMissing> {
        self.path(board.bootloader_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_names_the_script_that_builds_it() {
        let error = Firmware::at("/nowhere").bootloader(Board::Virt).unwrap_err();
        assert!(error.to_string().contains("scripts/firmware"));
    }
}
