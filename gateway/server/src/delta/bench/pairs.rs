//! Which images of a folder belong together.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use super::super::DeltaError;

/// Two images of one product, the older first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair {
    /// What it is called in every table.
    pub(super) id: String,
    /// The folder of the images.
    pub(super) product: String,
    /// File name of the older one, without `.bin`.
    pub(super) from: String,
    /// File name of the newer one.
    pub(super) to: String,
    /// How much changed, as the publisher numbers versions: `patch`, `minor`, `major`, `rebuild`, `vbump`. May be empty.
    pub(super) class: String,
    /// Instruction set, as people write it. May be empty.
    pub(super) isa: String,
    /// What the pair is kept for: `tuned` or `held-out`. May be empty.
    pub(super) set: String,
}

/// Instruction sets that are summed up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    CortexM,
    RiscV,
    Xtensa,
    AArch64,
    Avr,
    Other,
}

impl Family {
    /// Every family, in the order of the tables.
    pub(super) const ALL: [Self; 6] = [
        Self::CortexM,
        Self::RiscV,
        Self::Xtensa,
        Self::AArch64,
        Self::Avr,
        Self::Other,
    ];

    /// As it stands in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CortexM => "Cortex-M",
            Self::RiscV => "RISC-V",
            Self::Xtensa => "Xtensa",
            Self::AArch64 => "AArch64",
            Self::Avr => "AVR",
            Self::Other => "other",
        }
    }
}

impl Pair {
    /// Whether only a version string differs, which says little about firmware.
    pub(super) fn is_version_bump(&self) -> bool {
        self.class == "vbump"
    }

    /// Told from how people write the instruction set.
    pub(super) fn family(&self) -> Family {
        let has = |word: &str| self.isa.contains(word);
        match () {
            () if has("Cortex-M") => Family::CortexM,
            () if self.isa.starts_with("RV") => Family::RiscV,
            () if has("Xtensa") => Family::Xtensa,
            () if has("AArch64") => Family::AArch64,
            () if has("AVR") => Family::Avr,
            () => Family::Other,
        }
    }

    /// Whether a filter of the command line means this pair.
    pub(super) fn is_about(&self, text: &str) -> bool {
        [&self.id, &self.class, &self.isa, &self.set]
            .iter()
            .any(|field| field.contains(text))
    }

    /// The two image files, the older first.
    pub(super) fn files(&self) -> [String; 2] {
        [&self.from, &self.to].map(|version| format!("{}/{version}.bin", self.product))
    }
}

/// The pairs that `pairs.tsv` lists; without that file, each version of a product with the next.
pub(super) fn read(folder: &Path) -> Result<Vec<Pair>, DeltaError> {
    let path = folder.join("pairs.tsv");
    let table = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(DeltaError::Read { path, source }),
    };
    match table {
        Some(text) => listed(&text).ok_or(DeltaError::NoPairs { path }),
        None => successive(folder).map_err(|source| DeltaError::Read {
            path: folder.to_owned(),
            source,
        }),
    }
}

/// The rows of a table whose head names the columns; `None` without product, from and to.
fn listed(text: &str) -> Option<Vec<Pair>> {
    let mut lines = text.lines();
    let columns: HashMap<&str, usize> = (lines.next()?.split('\t').enumerate())
        .map(|(at, name)| (name, at))
        .collect();
    lines
        .filter(|line| !line.is_empty())
        .map(|line| row(line, &columns))
        .collect()
}

fn row(line: &str, columns: &HashMap<&str, usize>) -> Option<Pair> {
    let cells: Vec<&str> = line.split('\t').collect();
    let cell = |name| Some((*cells.get(*columns.get(name)?)?).to_owned());
    let (product, from, to) = (cell("product")?, cell("from")?, cell("to")?);
    Some(Pair {
        id: cell("id").unwrap_or_else(|| format!("{product}:{from}:{to}")),
        class: cell("class").unwrap_or_default(),
        isa: cell("isa").unwrap_or_default(),
        set: cell("set").unwrap_or_default(),
        product,
        from,
        to,
    })
}

fn successive(folder: &Path) -> std::io::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for product in names(folder, |name| Some(name.to_owned()))? {
        if !folder.join(&product).is_dir() {
            continue;
        }
        let versions = names(&folder.join(&product), |name| {
            name.strip_suffix(".bin").map(str::to_owned)
        })?;
        let mut versions: Vec<String> = versions.into_iter().collect();
        versions.sort_by(|a, b| natural(a, b));
        pairs.extend(versions.windows(2).map(|two| Pair {
            id: format!("{product}:{}:{}", two[0], two[1]),
            product: product.clone(),
            from: two[0].clone(),
            to: two[1].clone(),
            ..Pair::default()
        }));
    }
    Ok(pairs)
}

fn names(folder: &Path, name: impl Fn(&str) -> Option<String>) -> std::io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        found.extend(entry?.file_name().to_str().and_then(&name));
    }
    Ok(found)
}

/// Versions as people order them: numbers by value, so that 0.9 comes before 0.10.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let ((x, a_rest), (y, b_rest)) = (token(a), token(b));
        let order = match (x.parse::<u64>(), y.parse::<u64>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => x.cmp(y),
        };
        if order != Ordering::Equal || (x.is_empty() && y.is_empty()) {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
}

/// The leading run of digits, or of anything else.
fn token(text: &str) -> (&str, &str) {
    let is_digit = text.starts_with(|first: char| first.is_ascii_digit());
    let end = text.find(|other: char| other.is_ascii_digit() != is_digit);
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_names_its_columns() {
        let text = "to\tproduct\tfrom\tisa\n2\tpump\t1\tRV32IMC\n";
        let pairs = listed(text).unwrap();
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].id, "pump:1:2");
        assert_eq!(pairs[0].family(), Family::RiscV);
        assert_eq!(pairs[0].files(), ["pump/1.bin", "pump/2.bin"]);
        assert!(listed("product\tfrom\npump\t1\n").is_none());
    }

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        let mut versions = ["0.10", "0.9", "1.0-rc1", "0.9.1", "1.0"];
        versions.sort_by(|a, b| natural(a, b));
        assert_eq!(versions, ["0.9", "0.9.1", "0.10", "1.0", "1.0-rc1"]);
    }

    #[test]
    fn without_a_table_each_version_is_paired_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pump")).unwrap();
        for version in ["2", "10", "1"] {
            fs::write(folder.path().join(format!("pump/{version}.bin")), b"x").unwrap();
        }
        let ids: Vec<String> = (read(folder.path()).unwrap().into_iter())
            .map(|pair| pair.id)
            .collect();
        assert_eq!(ids, ["pump:1:2", "pump:2:10"]);
    }
}
