//! `deltagate delta inspect`: what a patch says, what its bytes are spent on, and how well addresses were predicted.

mod text;

use std::path::PathBuf;

use clap::Args;
use gateway_delta::account::{Account, KindAccount, Outline, account, outline};
use serde::Serialize;
use sha2::{Digest, Sha256};
use wire_patch::{Header, Kind, Reach, VERSION};

use super::apply::PATCH_BYTES_MAX;
use super::image::Image;
use super::place::RelocationRow;
use super::{DeltaError, decode, files, hex, plot};
use crate::publisher::firmware::args::FirmwareArgs;

pub(super) use text::percent;

/// Show what is in a patch. With OLD, where its bytes go and how much of the new image was predicted.
#[derive(Args, Clone, Debug)]
#[command(allow_missing_positional = true)]
pub struct InspectArgs {
    /// Draw which part of the new image comes from where, as SVG
    #[arg(long, value_name = "SVG", requires = "old")]
    pub plot: Option<PathBuf>,
    /// How the old image is read
    #[command(flatten)]
    pub firmware: FirmwareArgs,
    /// The image the patch was made for; without it only what the patch says of itself
    pub old: Option<PathBuf>,
    /// What `delta create` made
    pub patch: PathBuf,
}

impl InspectArgs {
    /// Reads the patch, applies it if there is something to apply it to, and accounts for it.
    pub(super) fn run(&self) -> Result<Inspected, DeltaError> {
        let failed = |source| DeltaError::Patch {
            operation: "inspect",
            path: self.patch.clone(),
            source,
        };
        let patch = files::read(&self.patch, PATCH_BYTES_MAX)?;
        let header = Header::parse(&patch).map_err(failed)?;
        let Some(path) = &self.old else {
            let outline = outline(&patch).map_err(failed)?;
            return Ok(Inspected::new(&patch, &outline));
        };
        let old = Image::read(path, &self.firmware.options())?;
        old.must_be_base_of(&header, path)?;
        let new = decode::apply(&old.bytes, &patch).map_err(failed)?;
        let account = account(&old.bytes, &patch).map_err(failed)?;
        let mut inspected = Inspected::new(&patch, &account.outline);
        inspected.add_account(&account, &old, &new);
        if let Some(path) = &self.plot {
            files::write(path, plot::draw(&account, patch.len()).as_bytes())?;
            inspected.plot = Some(path.display().to_string());
        }
        Ok(inspected)
    }
}

/// What there is to say about a patch.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Inspected {
    size_bytes: u64,
    format: String,
    decoder_memory_bytes: u32,
    in_place_reach_bytes: Option<u32>,
    base_size_bytes: u32,
    base_digest_prefix: String,
    target_size_bytes: u32,
    target_crc32: String,
    relocation: Option<RelocationRow>,
    triples: usize,
    map_entries: u32,
    map_entries_max: u32,
    origins: Origins,
    parts: Vec<PartRow>,
    /// What follows is known with OLD only.
    base_digest: Option<String>,
    target_digest: Option<String>,
    kinds: Option<Vec<KindRow>>,
    plot: Option<String>,
}

/// What some of the bytes are spent on.
#[derive(Clone, Debug, Serialize)]
struct PartRow {
    part: &'static str,
    bytes: f64,
}

/// Where the bytes of the new image come from.
#[derive(Clone, Copy, Debug, Serialize)]
struct Origins {
    base_bytes: u64,
    itself_bytes: u64,
    literal_bytes: u64,
}

/// How well one kind of group is predicted.
#[derive(Clone, Debug, Serialize)]
struct KindRow {
    kind: &'static str,
    groups: u64,
    predicted: u64,
    bytes: f64,
}

impl Inspected {
    fn new(patch: &[u8], outline: &Outline) -> Self {
        let header = &outline.header;
        let parts = [
            ("header", f64::from(header.length())),
            ("setup", outline.setup_bits / 8.0),
            ("triples", outline.triples_bits / 8.0),
        ];
        let mut inspected = Self {
            size_bytes: patch.len() as u64,
            format: format!("version {VERSION}"),
            decoder_memory_bytes: header.memory.bytes(),
            in_place_reach_bytes: header.in_place.map(Reach::bytes),
            base_size_bytes: header.base_bytes,
            base_digest_prefix: hex(&header.base_digest_prefix),
            target_size_bytes: header.target_bytes,
            target_crc32: format!("{:08x}", header.target_crc),
            relocation: RelocationRow::of(outline),
            triples: outline.triples.len(),
            map_entries: outline.map_entries,
            map_entries_max: outline.map_entries_max,
            origins: Origins::of(outline),
            parts: Vec::new(),
            base_digest: None,
            target_digest: None,
            kinds: None,
            plot: None,
        };
        parts
            .iter()
            .for_each(|(part, bytes)| inspected.add_part(part, *bytes));
        inspected
    }

    fn add_part(&mut self, part: &'static str, bytes: f64) {
        self.parts.push(PartRow {
            part,
            bytes: tenths(bytes),
        });
    }

    fn add_account(&mut self, account: &Account, old: &Image, new: &[u8]) {
        self.base_digest = Some(hex(&old.digest));
        self.target_digest = Some(hex(&Sha256::digest(new)));
        self.add_part("block flags", account.block_bits / 8.0);
        self.add_part("groups as predicted", account.hit_bits / 8.0);
        self.add_part("groups not as predicted", account.miss_bits / 8.0);
        self.add_part("literals", account.literal_bits / 8.0);
        // What the range coder needs to come to an end, less the zeros that were cut off.
        let parts: f64 = self.parts.iter().map(|part| part.bytes).sum();
        self.add_part("end of the coder", self.size_bytes as f64 - parts);
        self.kinds = Some(account.kinds.iter().map(KindRow::of).collect());
    }
}

impl Origins {
    fn of(outline: &Outline) -> Self {
        let mut origins = Self {
            base_bytes: 0,
            itself_bytes: 0,
            literal_bytes: 0,
        };
        for triple in &outline.triples {
            let copied = u64::from(triple.copy_bytes);
            if triple.source < outline.header.base_bytes {
                origins.base_bytes += copied;
            } else {
                origins.itself_bytes += copied;
            }
            origins.literal_bytes += u64::from(triple.extra_bytes);
        }
        origins
    }
}

impl KindRow {
    fn of(account: &KindAccount) -> Self {
        Self {
            kind: name(account.kind),
            groups: account.groups,
            predicted: account.predicted,
            bytes: tenths(account.bits / 8.0),
        }
    }
}

/// The names in documents and tables: of the table of groups in the specification.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain => "plain",
        Kind::Wide => "wide",
        Kind::Near => "near",
        Kind::Far => "far",
        Kind::Pointer => "pointer",
        Kind::Ram => "ram",
        Kind::Word => "word",
        Kind::Repeat => "repeat",
        _ => "other",
    }
}

fn tenths(bytes: f64) -> f64 {
    // Adding zero turns -0.0 into 0.0.
    (bytes * 10.0).round() / 10.0 + 0.0
}
