//! `deltagate anchors new`, `sign` and `show`: arguments, and what is printed.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wire_manifest::{Anchor, AnchorSet, ENVELOPE_BYTES_MAX, Envelope, Roles, TrustAnchors};

use super::anchor_set::{Declaration, read_set, role_names};
use super::cli::print;
use super::cosign::cosign;
use super::identity::{class_id, uuid_text, vendor_id};
use super::import::Strict;
use super::inspect::hex;
use super::signer;
use super::{PublisherError, files, load_anchors};

/// Name and version of the JSON document. Members may be added under the same number.
pub const SCHEMA: &str = "deltagate.anchor-set/1";

/// Make a set of trust anchors, which nobody has signed yet. It takes the place of the set before as a whole: what is not named is
/// not believed any more.
#[derive(Args, Clone, Debug)]
pub struct AnchorsNewArgs {
    /// Its number: above that of every set before.
    #[arg(long)]
    pub number: u16,
    /// The highest sequence number that a release may have until the next set: a few hundred above the newest one's. So whoever
    /// steals release keys cannot use all numbers up.
    #[arg(long, value_name = "NUMBER")]
    pub sequence_max: u32,
    /// Public keys that sign releases.
    #[arg(long, value_name = "PUB", num_args = 1.., required = true)]
    pub release: Vec<PathBuf>,
    /// How many of them have to sign each release.
    #[arg(long, value_name = "M", default_value_t = 1)]
    pub release_min: u8,
    /// Public keys that sign sets; only those count that devices have had since the factory.
    #[arg(long, value_name = "PUB", num_args = 1.., required = true)]
    pub recovery: Vec<PathBuf>,
    /// How many of them have to sign this set, and the next.
    #[arg(long, value_name = "M", default_value_t = 1)]
    pub recovery_min: u8,
    /// Public keys that sign nothing any more; what they signed and a device has confirmed goes on running.
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub retired: Vec<PathBuf>,
    /// Public keys of a site, which sign nothing that a device counts.
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub operator: Vec<PathBuf>,
    /// The vendor's domain, with --class.
    #[arg(long, requires = "class")]
    pub vendor: Option<String>,
    /// The one device class that it is for; without, every class that has its recovery keys.
    #[arg(long, requires = "vendor")]
    pub class: Option<String>,
    /// Where the set goes.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

impl AnchorsNewArgs {
    /// Writes the set, and prints what it says.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        let class = self.vendor.as_deref().zip(self.class.as_deref());
        let declaration = Declaration {
            number: self.number,
            sequence_max: self.sequence_max,
            class_id: class.map(|(vendor, class)| class_id(&vendor_id(vendor), class)),
            release_min: self.release_min,
            recovery_min: self.recovery_min,
            keys: [&self.release, &self.recovery, &self.retired, &self.operator],
        };
        let file = declaration.encode()?;
        files::write(&self.out, &file)?;
        let (set, envelope) = read_set(&file, &self.out)?;
        let shown = Shown::of(&set, &envelope, file.len(), &[]);
        let mut text = shown.to_text();
        if shown.recovery_keys() == usize::from(self.recovery_min) {
            text +=
                "note          no recovery key can be lost: without one of them no set can follow this one\n";
        }
        text += &format!("written       {}, not signed yet\n", self.out.display());
        text += &format!(
            "next step     have {} sign it: deltagate anchors sign {} --key FILE\n",
            count(self.recovery_min, "recovery key"),
            self.out.display()
        );
        print(out, &text)
    }
}

fn count(number: u8, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        number => format!("{number} {of}s"),
    }
}

/// Add a recovery key's signature to a set of trust anchors.
#[derive(Args, Clone, Debug)]
pub struct AnchorsSignArgs {
    /// What `anchors new` made.
    pub file: PathBuf,
    /// The private key of a recovery key: a file, or a key in a token ('pkcs11:token=…;object=…').
    #[arg(long, value_name = "KEY")]
    pub key: OsString,
    /// Where the set with one more signature goes; into the same file without.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

impl AnchorsSignArgs {
    /// Signs, and prints what was signed and by whom.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        let file = files::read(&self.file, ENVELOPE_BYTES_MAX as u64)?;
        let (set, _) = read_set(&file, &self.file)?;
        let key = signer::open(&self.key)?;
        let anchor = key.anchor();
        let is_recovery = |(roles, of): (Roles, &[u8; 32])| roles.has(Roles::RECOVERY) && *of == anchor.key;
        if !set.keys().any(is_recovery) {
            return Err(PublisherError::NotARecoveryKey { key: key.key_id() });
        }
        let signed = cosign(&file, &self.file, key.as_ref())?;
        let path = self.out.as_deref().unwrap_or(&self.file);
        files::replace(path, &signed)?;
        let (set, envelope) = read_set(&signed, path)?;
        let shown = Shown::of(&set, &envelope, signed.len(), &[]).to_text();
        print(out, &format!("{shown}written       {}\n", path.display()))
    }
}

/// Show what a set of trust anchors says and who signed it.
#[derive(Args, Clone, Debug)]
pub struct AnchorsShowArgs {
    /// What `anchors new` or `anchors sign` made.
    pub file: PathBuf,
    /// The keys that devices have from the factory. With them the command fails unless such a device would take the set.
    #[arg(long, value_name = "PUB", num_args = 1..)]
    pub trust: Vec<PathBuf>,
    /// Print one JSON document, `deltagate.anchor-set/1`.
    #[arg(long)]
    pub json: bool,
}

impl AnchorsShowArgs {
    /// Prints the set; fails afterwards if keys were given and a device that has them would not take it.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        let file = files::read(&self.file, ENVELOPE_BYTES_MAX as u64)?;
        let (set, envelope) = read_set(&file, &self.file)?;
        let anchors = load_anchors(&self.trust)?;
        let shown = Shown::of(&set, &envelope, file.len(), &anchors);
        match self.json {
            true => {
                let text = serde_json::to_string_pretty(&shown).expect("the document has only text keys");
                print(out, &(text + "\n"))?;
            }
            false => print(out, &shown.to_text())?,
        }
        match shown.is_taken {
            Some(false) => Err(PublisherError::SetNotSigned {
                path: self.file.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// What a set says. Serializes as the document [`SCHEMA`]; keys and ids are lower-case hex.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Bytes of the envelope.
    pub envelope_bytes: usize,
    /// Its number.
    pub number: u16,
    /// UUID of the one class that it is for; `null`: every class that has its recovery keys.
    pub class_id: Option<String>,
    /// The highest sequence number that a release may have.
    pub sequence_max: u32,
    /// How many release keys have to sign a release.
    pub release_min: u8,
    /// How many recovery keys have to sign a set.
    pub recovery_min: u8,
    /// Its keys.
    pub keys: Vec<ShownKey>,
    /// How many of its own recovery keys signed it; the signatures were checked.
    pub recovery_signatures: usize,
    /// Whether a device that has the given keys from the factory, and no set, would take it; `null`: no keys were given.
    pub is_taken: Option<bool>,
}

/// A key of a set.
#[derive(Clone, Debug, Serialize)]
pub struct ShownKey {
    /// The `kid` of its signatures.
    pub key_id: String,
    /// The raw public key.
    pub key: String,
    /// What it may do.
    pub roles: Vec<&'static str>,
    /// Whether it signed the set.
    pub signed: bool,
}

impl Shown {
    /// Looks at a set with the eyes of a device that has `factory` keys.
    pub fn of(
        set: &AnchorSet<'_>,
        envelope: &Envelope<'_>,
        envelope_bytes: usize,
        factory: &[Anchor],
    ) -> Self {
        let keys: Vec<ShownKey> = set
            .keys()
            .map(|(roles, key)| shown_key(envelope, roles, key))
            .collect();
        let is_recovery = |key: &&ShownKey| key.signed && key.roles.contains(&"recovery");
        let known: Vec<[u8; 32]> = factory.iter().map(|anchor| anchor.key).collect();
        let class = set.class_id.try_into().unwrap_or([0; 16]);
        Self {
            schema: SCHEMA,
            envelope_bytes,
            number: set.number,
            class_id: <[u8; 16]>::try_from(set.class_id)
                .ok()
                .map(|class| uuid_text(&class)),
            sequence_max: set.sequence_max,
            release_min: set.release_min,
            recovery_min: set.recovery_min,
            recovery_signatures: keys.iter().filter(is_recovery).count(),
            is_taken: (!known.is_empty()).then(|| set.is_signed_by(envelope, &class, &known, 1)),
            keys,
        }
    }

    fn recovery_keys(&self) -> usize {
        self.with_role("recovery")
    }

    fn with_role(&self, role: &str) -> usize {
        self.keys.iter().filter(|key| key.roles.contains(&role)).count()
    }

    /// What it says, and how far it is signed, as lines for a terminal.
    pub fn to_text(&self) -> String {
        let enough = match self.recovery_signatures >= self.recovery_min.into() {
            true => "enough",
            false => "NOT enough",
        };
        let mut text = self.to_set_text();
        text += &format!(
            "signed by     {} of its recovery keys, {enough}\n",
            self.recovery_signatures
        );
        match self.is_taken {
            Some(true) => text + "taken         yes, by devices that have these keys from the factory\n",
            Some(false) => text + "taken         NO, not by devices that have these keys from the factory\n",
            None => text,
        }
    }

    fn to_set_text(&self) -> String {
        let class = self
            .class_id
            .as_deref()
            .unwrap_or("every class that has its recovery keys");
        let mut text = format!(
            "set           number {}, {} bytes\n",
            self.number, self.envelope_bytes
        );
        text += &format!("for           {class}\n");
        text += &format!("sequence      {} at most\n", self.sequence_max);
        for (role, least) in [("release", self.release_min), ("recovery", self.recovery_min)] {
            text += &format!(
                "{role:<13} {least} of {} keys have to sign\n",
                self.with_role(role)
            );
        }
        for key in &self.keys {
            let signed = if key.signed { ", signed this" } else { "" };
            text += &format!("key           {}  {}{signed}\n", key.key_id, key.roles.join(", "));
        }
        text
    }
}

fn shown_key(envelope: &Envelope<'_>, roles: Roles, key: &[u8; 32]) -> ShownKey {
    let anchor = [Anchor { key: *key }];
    let verifier = Strict(TrustAnchors::new(&anchor));
    let is_by = |signature| envelope.check(&signature, &verifier).is_ok();
    ShownKey {
        key_id: anchor[0].key_id().to_string(),
        key: hex(key),
        roles: role_names(roles).collect(),
        signed: envelope.digest_matches() && envelope.signatures().any(is_by),
    }
}
