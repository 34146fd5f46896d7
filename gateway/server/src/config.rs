//! `gateway.toml`: what an operator may decide about a gateway, checked once, here.
//!
//! An error names the file, the line, the key and what the key expects; nothing is silently ignored
//! (an unknown key is an error, because a misspelt limit is a missing limit). Relative paths start at the
//! file's own directory, so that a configuration can be moved together with what it names.
//! [`keys`] is the table of every key, of which example and reference are made.

pub mod keys;
mod remote;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::hex;
use crate::logging::LogFormat;

pub use remote::{REVOKED_MAX, Remote, TECHNICIANS_MAX};

/// A checked configuration. Every path is absolute or relative to the working directory, never to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where CoAP is spoken. Port 0 asks the system for a free one (tests).
    pub listen: SocketAddr,
    /// Where CoAP is spoken over DTLS. `None`: nowhere.
    pub coaps_listen: Option<SocketAddr>,
    /// Directory of database, images and artefacts. Created with mode 0700.
    pub state_dir: PathBuf,
    /// The technician's Unix socket, mode 0600.
    pub admin_socket: PathBuf,
    /// Where metrics, health and readiness are served over HTTP: a loopback address. `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Technicians on other machines; `None`: there are none.
    pub remote: Option<Remote>,
    /// How lines of the log are written.
    pub log: LogFormat,
    /// SPKI PEM files of the publishers whose images may be imported.
    pub trust: Vec<PathBuf>,
    /// What a device is told when there is nothing to do.
    pub check_in_interval_s: u32,
    /// For how long a device may put an update off before it counts among those that need a person.
    pub deferral_patience_s: u32,
    /// How many devices nobody has claimed are remembered.
    pub unclaimed_max: usize,
    /// Threads that compute deltas.
    pub build_workers: usize,
    /// What images and artefacts may take on the disk; `None`: whatever there is.
    pub disk_bytes_max: Option<u64>,
    /// Who is served on the link of peers that no prefix covers.
    pub access: Access,
    /// Where the address of a datagram is believed, so that nobody is asked to echo anything.
    pub trusted_prefixes: Vec<IpPrefix>,
    /// First 8 bytes of the digests of images that everybody may fetch, whoever is served.
    pub public_images: Vec<[u8; 8]>,
    /// The links, in file order. The most specific prefix wins.
    pub links: Vec<Link>,
}

/// One `[[link]]`: an access network with its own rate and timing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Unique, shown to technicians.
    pub name: String,
    /// Which peers are behind it.
    pub prefixes: Vec<IpPrefix>,
    /// What the gateway may send, IP and UDP headers included.
    pub rate_bits_per_second: u64,
    /// RFC 7252 §4.8 ACK_TIMEOUT for this link, told to the devices at check-in.
    pub ack_timeout_ms: u32,
    /// Largest Block2 size, 16..=1024, a power of two (RFC 7959 §2.2).
    pub block_size_max: u16,
    /// Largest IP packet.
    pub mtu: u16,
    /// Who is served on it.
    pub access: Access,
}

/// Who is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Whoever asks.
    Open,
    /// Devices that have a key.
    #[default]
    Authenticated,
}

/// An address prefix such as `127.1.0.0/16` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpPrefix {
    /// Network address; bits behind the prefix are zero.
    pub address: IpAddr,
    /// Leading bits that count.
    pub length: u8,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing or unreadable.
    #[error("cannot read {path}")]
    Read {
        /// Where it was expected.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file has a line that cannot stand.
    #[error("{path}:{line}: {key}: {problem}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// One-based line.
        line: usize,
        /// The key at fault, or `file` when there is none.
        key: String,
        /// What was found and what is expected.
        problem: String,
    },
}

/// Memory for strangers: 4,096 rows of about 200 bytes stay below 1 MiB.
pub const UNCLAIMED_MAX: u64 = 4096;
/// A thread more than this only fights the network task for the same cores.
pub const BUILD_WORKERS_MAX: u64 = 16;
/// A budget below this holds no image worth a delta.
pub const DISK_BYTES_MAX_MIN: u64 = 1 << 20;
/// More than any disk has.
const DISK_BYTES_MAX_MAX: u64 = 1 << 50;
/// Links per gateway; peers are matched by a linear scan.
pub const LINKS_MAX: usize = 64;

impl Config {
    /// Reads and checks `path`.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Config::parse(&text, path)
    }

    /// Checks `text` as if it were the content of `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let document = Document { text, path };
        let file: File = toml::from_str(text).map_err(|error| document.syntax(&error))?;
        let base = path.parent().unwrap_or(Path::new(""));
        let state_dir = base.join(file.state_dir);
        let admin_socket = match file.admin_socket {
            Some(path) => base.join(path),
            None => state_dir.join("admin.sock"),
        };
        if file.link.len() > LINKS_MAX {
            return Err(document.invalid(0..0, "link", format!("expects at most {LINKS_MAX} links")));
        }
        let config = Config {
            listen: document.parsed(
                "listen",
                &file.listen,
                "an address and port such as \"[::]:5683\"",
            )?,
            coaps_listen: file
                .coaps_listen
                .as_ref()
                .map(|text| {
                    document.parsed("coaps_listen", text, "an address and port such as \"[::]:5684\"")
                })
                .transpose()?,
            state_dir,
            admin_socket,
            metrics: file
                .metrics
                .as_ref()
                .map(|text| document.loopback("metrics", text))
                .transpose()?,
            remote: match &file.remote {
                Some(remote) => Some(remote.check(&document, base)?),
                None => None,
            },
            log: file.log,
            trust: file.trust.iter().map(|path| base.join(path)).collect(),
            check_in_interval_s: document.within(
                "check_in_interval_s",
                &file.check_in_interval_s,
                1,
                2_592_000,
            )? as u32,
            deferral_patience_s: document.within(
                "deferral_patience_s",
                &file.deferral_patience_s,
                1,
                2_592_000,
            )? as u32,
            unclaimed_max: document.within("unclaimed_max", &file.unclaimed_max, 0, UNCLAIMED_MAX)? as usize,
            build_workers: document.within("build_workers", &file.build_workers, 1, BUILD_WORKERS_MAX)?
                as usize,
            disk_bytes_max: match &file.disk_bytes_max {
                None => None,
                Some(max) => {
                    Some(document.within("disk_bytes_max", max, DISK_BYTES_MAX_MIN, DISK_BYTES_MAX_MAX)?)
                }
            },
            access: file.access,
            trusted_prefixes: match &file.trusted_prefixes {
                Some(prefixes) => prefixes
                    .iter()
                    .map(|text| document.parsed("trusted_prefixes", text, PREFIX_EXPECTS))
                    .collect::<Result<_, _>>()?,
                None => default_trusted_prefixes(),
            },
            public_images: file
                .public_images
                .iter()
                .map(|text| document.image("public_images", text))
                .collect::<Result<_, _>>()?,
            links: file
                .link
                .iter()
                .map(|link| link.check(&document, file.access))
                .collect::<Result<_, _>>()?,
        };
        for (index, link) in file.link.iter().enumerate() {
            if file.link[..index]
                .iter()
                .any(|other| other.name.as_ref() == link.name.as_ref())
            {
                let problem = format!(
                    "expects a name no other link has, found \"{}\" twice",
                    link.name.as_ref()
                );
                return Err(document.invalid(link.name.span(), "name", problem));
            }
        }
        Ok(config)
    }
}

/// The file as written, before any value is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "default_listen")]
    listen: Spanned<String>,
    coaps_listen: Option<Spanned<String>>,
    state_dir: PathBuf,
    admin_socket: Option<PathBuf>,
    metrics: Option<Spanned<String>>,
    remote: Option<remote::RemoteTable>,
    #[serde(default)]
    log: LogFormat,
    trust: Vec<PathBuf>,
    #[serde(default = "default_check_in_interval_s")]
    check_in_interval_s: Spanned<u64>,
    #[serde(default = "default_deferral_patience_s")]
    deferral_patience_s: Spanned<u64>,
    #[serde(default = "default_unclaimed_max")]
    unclaimed_max: Spanned<u64>,
    #[serde(default = "default_build_workers")]
    build_workers: Spanned<u64>,
    disk_bytes_max: Option<Spanned<u64>>,
    #[serde(default)]
    access: Access,
    trusted_prefixes: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    public_images: Vec<Spanned<String>>,
    #[serde(default)]
    link: Vec<LinkTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkTable {
    name: Spanned<String>,
    prefixes: Vec<Spanned<String>>,
    rate_bits_per_second: Spanned<u64>,
    ack_timeout_ms: Spanned<u64>,
    #[serde(default = "default_block_size_max")]
    block_size_max: Spanned<u64>,
    #[serde(default = "default_mtu")]
    mtu: Spanned<u64>,
    access: Option<Access>,
}

fn default_trusted_prefixes() -> Vec<IpPrefix> {
    let parsed = gateway_core::PRIVATE_PREFIXES.iter().map(|text| text.parse());
    parsed
        .map(|prefix| prefix.expect("each is address/length"))
        .collect()
}

fn default_listen() -> Spanned<String> {
    Spanned::new(0..0, "[::]:5683".to_owned())
}

fn default_check_in_interval_s() -> Spanned<u64> {
    Spanned::new(0..0, 3600)
}

fn default_deferral_patience_s() -> Spanned<u64> {
    Spanned::new(0..0, gateway_core::PATIENCE_S.into())
}

fn default_unclaimed_max() -> Spanned<u64> {
    Spanned::new(0..0, 256)
}

fn default_build_workers() -> Spanned<u64> {
    Spanned::new(0..0, 1)
}

fn default_block_size_max() -> Spanned<u64> {
    Spanned::new(0..0, 1024)
}

fn default_mtu() -> Spanned<u64> {
    Spanned::new(0..0, 1280)
}

impl LinkTable {
    fn check(&self, document: &Document<'_>, access: Access) -> Result<Link, ConfigError> {
        let name = self.name.as_ref();
        let readable = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        if name.is_empty() || name.len() > 32 || !name.chars().all(readable) {
            let problem = format!("expects 1 to 32 of a-z A-Z 0-9 - _ ., found \"{name}\"");
            return Err(document.invalid(self.name.span(), "name", problem));
        }
        if name == DEFAULT_LINK {
            let problem = format!("expects another name: \"{DEFAULT_LINK}\" is the link of all other peers");
            return Err(document.invalid(self.name.span(), "name", problem));
        }
        let block_size_max = document.within("block_size_max", &self.block_size_max, 16, 1024)?;
        if !block_size_max.is_power_of_two() {
            let problem = format!("expects 16, 32, 64, 128, 256, 512 or 1024, found {block_size_max}");
            return Err(document.invalid(self.block_size_max.span(), "block_size_max", problem));
        }
        Ok(Link {
            name: name.clone(),
            prefixes: self
                .prefixes
                .iter()
                .map(|prefix| document.parsed("prefixes", prefix, PREFIX_EXPECTS))
                .collect::<Result<_, _>>()?,
            rate_bits_per_second: document.within(
                "rate_bits_per_second",
                &self.rate_bits_per_second,
                100,
                10_000_000_000,
            )?,
            ack_timeout_ms: document.within("ack_timeout_ms", &self.ack_timeout_ms, 100, 600_000)? as u32,
            block_size_max: block_size_max as u16,
            mtu: document.within("mtu", &self.mtu, 127, 65_535)? as u16,
            access: self.access.unwrap_or(access),
        })
    }
}

/// What the core calls the link of peers that no prefix covers.
pub const DEFAULT_LINK: &str = "default";

const PREFIX_EXPECTS: &str = "address/length, with zeros behind the length, such as \"127.1.0.0/16\"";

/// A text with its name, to point into it.
struct Document<'t> {
    text: &'t str,
    path: &'t Path,
}

impl Document<'_> {
    fn parsed<T: FromStr>(
        &self,
        key: &str,
        value: &Spanned<String>,
        expects: &str,
    ) -> Result<T, ConfigError> {
        value.as_ref().parse().map_err(|_| {
            self.invalid(
                value.span(),
                key,
                format!("expects {expects}, found \"{}\"", value.as_ref()),
            )
        })
    }

    /// The beginning of a digest, as the path of an image names it.
    fn image(&self, key: &str, value: &Spanned<String>) -> Result<[u8; 8], ConfigError> {
        let mut short = [0; 8];
        let digits = value.as_ref().get(..16).unwrap_or_default();
        let is_hex = value.as_ref().chars().all(|digit| digit.is_ascii_hexdigit());
        match is_hex && hex::fill(digits, &mut short) {
            true => Ok(short),
            false => {
                let problem = format!(
                    "expects 16 hex digits or more of an image's digest, found \"{}\"",
                    value.as_ref()
                );
                Err(self.invalid(value.span(), key, problem))
            }
        }
    }

    /// An address that only this machine reaches.
    fn loopback(&self, key: &str, value: &Spanned<String>) -> Result<SocketAddr, ConfigError> {
        const EXPECTS: &str = "a loopback address and port such as \"127.0.0.1:9464\"";
        let address: SocketAddr = self.parsed(key, value, EXPECTS)?;
        if address.ip().is_loopback() {
            return Ok(address);
        }
        let problem = format!("expects {EXPECTS}, found \"{}\"", value.as_ref());
        Err(self.invalid(value.span(), key, problem))
    }

    fn within(&self, key: &str, value: &Spanned<u64>, min: u64, max: u64) -> Result<u64, ConfigError> {
        let found = *value.as_ref();
        if (min..=max).contains(&found) {
            return Ok(found);
        }
        Err(self.invalid(
            value.span(),
            key,
            format!("expects {min} to {max}, found {found}"),
        ))
    }

    fn invalid(&self, span: std::ops::Range<usize>, key: &str, problem: String) -> ConfigError {
        let line = self.line(span.start);
        ConfigError::Invalid {
            path: self.path.to_path_buf(),
            line,
            key: key.to_owned(),
            problem,
        }
    }

    /// What the TOML reader or serde found wrong, with the key that stands on that line.
    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let start = error.span().map_or(0, |span| span.start);
        let line = self.line(start);
        let on_line = self.text.lines().nth(line - 1).unwrap_or("");
        let key = on_line
            .split(['=', '#'])
            .next()
            .unwrap_or("")
            .trim()
            .trim_matches(['[', ']']);
        let key = if key.is_empty() { "file" } else { key };
        // serde points at the table that lacks a key, and names the key.
        let missing = error.message().strip_prefix("missing field `");
        let (key, problem) = match missing.and_then(|rest| rest.strip_suffix('`')) {
            Some(missing) => (missing, "is required and missing".to_owned()),
            None => (key, error.message().replace('\n', "; ")),
        };
        ConfigError::Invalid {
            path: self.path.to_path_buf(),
            line,
            key: key.to_owned(),
            problem,
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.text
            .as_bytes()
            .iter()
            .take(offset)
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }
}

impl FromStr for IpPrefix {
    type Err = ();

    fn from_str(text: &str) -> Result<IpPrefix, ()> {
        let (address, length) = text.split_once('/').ok_or(())?;
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let length: u8 = length.parse().map_err(|_| ())?;
        let (bits, width) = match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let host_bits = bits.checked_shl(u32::from(length)).unwrap_or(0);
        if length > width || host_bits != 0 {
            return Err(());
        }
        Ok(IpPrefix { address, length })
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "state_dir = \"state\"\ntrust = [\"publisher.pub\"]\n";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("/etc/deltagate/gateway.toml"))
    }

    /// Line, key and problem of the error that `text` must give.
    fn complaint(text: &str) -> (usize, String, String) {
        match parse(text).unwrap_err() {
            ConfigError::Invalid {
                line, key, problem, ..
            } => (line, key, problem),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_documented_example_is_a_configuration() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gateway.example.toml");
        let config = Config::read(&path).unwrap();
        assert_eq!(config.links.len(), 2);
        assert_eq!(config.links[0].prefixes[0].to_string(), "127.1.0.0/16");
    }

    #[test]
    fn paths_start_at_the_file() {
        let config = parse(MINIMAL).unwrap();
        assert_eq!(config.state_dir, Path::new("/etc/deltagate/state"));
        assert_eq!(config.admin_socket, Path::new("/etc/deltagate/state/admin.sock"));
        assert_eq!(config.trust, [Path::new("/etc/deltagate/publisher.pub")]);
    }

    #[test]
    fn unknown_key_is_named_with_its_line() {
        let (line, key, problem) = complaint(&format!("{MINIMAL}chekin_interval_s = 3\n"));
        assert_eq!((line, key.as_str()), (3, "chekin_interval_s"));
        assert!(problem.contains("check_in_interval_s"), "{problem}");
    }

    #[test]
    fn wrong_type_names_the_key_and_what_it_expects() {
        let (line, key, problem) = complaint(&format!("{MINIMAL}unclaimed_max = \"many\"\n"));
        assert_eq!((line, key.as_str()), (3, "unclaimed_max"));
        assert!(problem.contains("expected u64"), "{problem}");
    }

    #[test]
    fn a_value_out_of_range_names_the_range() {
        let (line, key, problem) = complaint(&format!("{MINIMAL}\nbuild_workers = 0\n"));
        assert_eq!((line, key.as_str()), (4, "build_workers"));
        assert_eq!(problem, "expects 1 to 16, found 0");
    }

    #[test]
    fn a_bad_listen_address_shows_a_good_one() {
        let (line, key, problem) = complaint(&format!("listen = \"5683\"\n{MINIMAL}"));
        assert_eq!((line, key.as_str()), (1, "listen"));
        assert!(problem.contains("[::]:5683"), "{problem}");
    }

    #[test]
    fn metrics_are_for_this_machine_only() {
        let metrics = |text: &str| format!("{MINIMAL}metrics = \"{text}\"\n");
        assert_eq!(parse(MINIMAL).unwrap().metrics, None);
        for good in ["127.0.0.1:9464", "[::1]:0"] {
            assert_eq!(
                parse(&metrics(good)).unwrap().metrics,
                Some(good.parse().unwrap())
            );
        }
        for bad in ["0.0.0.0:9464", "192.168.0.1:9464", "9464"] {
            let (line, key, problem) = complaint(&metrics(bad));
            assert_eq!((line, key.as_str()), (3, "metrics"));
            assert!(problem.contains("127.0.0.1:9464"), "{problem}");
        }
    }

    #[test]
    fn a_missing_key_is_named() {
        let (_, key, problem) = complaint("trust = []\n");
        assert_eq!(
            (key.as_str(), problem.as_str()),
            ("state_dir", "is required and missing")
        );
        let (line, key, _) = complaint(&format!("{MINIMAL}[[link]]\nname = \"a\"\n"));
        assert_eq!((line, key.as_str()), (3, "prefixes"));
    }

    #[test]
    fn a_prefix_with_host_bits_is_refused() {
        assert!("127.1.0.1/16".parse::<IpPrefix>().is_err());
        assert!("127.1.0.0/33".parse::<IpPrefix>().is_err());
        assert!("fd00::/8".parse::<IpPrefix>().is_ok());
        assert!("0.0.0.0/0".parse::<IpPrefix>().is_ok());
        assert!("10.0.0.1/32".parse::<IpPrefix>().is_ok());
    }

    #[test]
    fn links_have_different_names_and_a_real_block_size() {
        let link =
            "[[link]]\nname = \"a\"\nprefixes = []\nrate_bits_per_second = 26000\nack_timeout_ms = 8000\n";
        assert_eq!(complaint(&format!("{MINIMAL}{link}{link}")).1, "name");
        let default = link.replace("\"a\"", "\"default\"");
        assert_eq!(complaint(&format!("{MINIMAL}{default}")).1, "name");
        assert_eq!(gateway_core::LinkConfig::default().name.0, DEFAULT_LINK);
        let (line, key, _) = complaint(&format!("{MINIMAL}{link}block_size_max = 100\n"));
        assert_eq!((line, key.as_str()), (8, "block_size_max"));
    }
}
