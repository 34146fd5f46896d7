//! One emulated device, its link and its gateway, put together: what tests on QEMU and the demo use.

use crate::board::Board;
use crate::bridge::{Bridge, BridgeConfig, DeviceNumber};
use crate::factory::{self, Shipped};
use crate::firmware::Firmware;
use crate::gateway::{Access, Deltagate, Gateway, GatewayConfig, Identity, Publisher};
use crate::link::LinkProfile;
use crate::qemu::{Machine, MachineConfig};
use crate::sim::newer_profile;
use deltagate_flash::{Credentials, OwnKey};
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wire_edhoc::PrivateKey;
use wire_manifest::{
    ENVELOPE_BYTES_MAX, Envelope, KeyId, Release, Roles, SetKey, cosign, sever_text, write_set,
};

/// The vendor of the emulated devices.
pub const VENDOR: &str = "example.com";

/// Why real processes could not be put together, or did not do what was expected of them. Whatever it is, it ends the
/// test or the demo, so its text is all there is.
#[derive(Debug)]
pub struct Failure(Box<dyn Error + Send + Sync>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Any error, or a text.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// What a rig is made of.
#[derive(Clone, Debug)]
pub struct RigConfig {
    /// What the device is.
    pub board: Board,
    /// The firmware that was built for it.
    pub firmware: Firmware,
    /// The gateway's binary.
    pub deltagate: Deltagate,
    /// The link between device and gateway.
    pub profile: LinkProfile,
    /// The link's seed.
    pub seed: u64,
    /// Which device this is; two rigs in one process may share a number.
    pub device: DeviceNumber,
    /// RFC 7252 ACK_TIMEOUT that the gateway tells the device.
    pub ack_timeout_ms: u32,
    /// Seconds between check-ins.
    pub check_in_interval_s: u32,
    /// By what the device is known. If by anything, its gateway serves who shows a key and nobody else; otherwise it serves everybody.
    pub keys: Keys,
}

/// What keys a device leaves the factory with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// None.
    Nothing,
    /// Credentials that its gateway has, too.
    Shared,
    /// One of its own, whose public half its gateway was told: they establish credentials.
    Own,
}

/// Those keys, as they are flashed.
#[derive(Clone, Debug)]
enum Flashed {
    Nothing,
    Credentials(Vec<u8>),
    OwnKey(OwnKey),
}

impl Flashed {
    fn write(&self, flash: &Path, board: Board) -> Result<(), Failure> {
        match self {
            Self::Nothing => Ok(()),
            Self::Credentials(record) => Ok(factory::write_credentials(flash, board, record)?),
            Self::OwnKey(key) => Ok(factory::write_own_key(flash, board, key)?),
        }
    }

    /// By which others may read along; a key of its own alone does not suffice.
    fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let Self::Credentials(record) = self else {
            return Ok(None);
        };
        let credentials = Credentials::decode(record);
        Ok(Some(
            credentials.ok_or("what `device enrol` wrote is no credentials record")?,
        ))
    }
}

/// A device with version 1, switched off, and a running gateway that trusts its publisher.
///
/// Everything ends when it is dropped: the device, the bridge, the gateway, the files.
#[derive(Debug)]
pub struct Rig {
    /// The device.
    pub machine: Machine,
    /// The gateway.
    pub gateway: Gateway,
    /// The link.
    pub bridge: Bridge,
    /// Whose images the device believes.
    pub publisher: Publisher,
    config: RigConfig,
    /// What the device was given, if it is enrolled.
    flashed: Flashed,
    // Last, so that the files are removed when nobody uses them any more.
    directory: TempDir,
}

impl Rig {
    /// Makes keys, ships the device with version 1, starts gateway and bridge.
    pub fn new(config: RigConfig) -> Result<Self, Failure> {
        let directory = folder()?;
        let publisher = Publisher::generate(&config.deltagate, directory.path(), "publisher")?;
        let flash = directory.path().join("flash.img");
        let gateway = Gateway::start(
            &config.deltagate,
            &directory.path().join("gateway"),
            &gateway_config(&config, vec![publisher.public_key().to_owned()]),
        )?;
        let flashed = match config.keys {
            Keys::Nothing => Flashed::Nothing,
            Keys::Shared => Flashed::Credentials(record(&config, &gateway, directory.path(), "enrol")?),
            Keys::Own => Flashed::OwnKey(own_key(&config, &gateway)?),
        };
        ship(&config, &publisher, &[], "v1.bin", directory.path(), &flash)?;
        flashed.write(&flash, config.board)?;
        let bridge = Bridge::start(&BridgeConfig {
            directory: directory.path().to_owned(),
            device: config.device,
            profile: config.profile,
            seed: config.seed,
            gateway: gateway.address().ok_or("the gateway is not running")?,
            credentials: flashed.credentials()?,
        })
        .map_err(|error| {
            let source = config.device.source();
            format!("binding {source} for the emulated device (Linux has all of 127.0.0.0/8): {error}")
        })?;
        let machine = Machine::new(MachineConfig {
            board: config.board,
            bootloader: config.firmware.bootloader(config.board)?,
            flash,
            serial_log: directory.path().join("uart.log"),
            serial_socket: directory.path().join("uart"),
            network: (bridge.qemu_path().to_owned(), bridge.bridge_path().to_owned()),
            mac: config.device.mac_text(),
        })?;
        Ok(Self {
            machine,
            gateway,
            bridge,
            publisher,
            config,
            flashed,
            directory,
        })
    }

    /// The device's id as commands take it.
    pub fn device_id(&self) -> String {
        self.config.device.id_text()
    }

    /// The same in bytes.
    pub fn device_mac(&self) -> [u8; 6] {
        self.config.device.mac()
    }

    /// What the device is.
    pub fn board(&self) -> Board {
        self.config.board
    }

    /// The device's class.
    pub fn class(&self) -> &'static str {
        self.config.board.class()
    }

    /// The rig's folder.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Lets the folder outlive the rig, for whoever looks into what went wrong. Says what is in it.
    pub fn keep_files(&mut self) -> String {
        self.directory.disable_cleanup(true);
        format!(
            "the device's log is kept in {}\nthe gateway's log is kept in {}",
            self.machine.serial().path().display(),
            self.gateway.log().path().display(),
        )
    }

    /// Signs a firmware file as this device's class and gives the signed file.
    pub fn sign(&self, image: &str, sequence: u32) -> Result<PathBuf, Failure> {
        self.sign_as(&self.publisher, self.class(), image, sequence)
    }

    /// Signs a firmware file with another key or for another class.
    pub fn sign_as(
        &self,
        publisher: &Publisher,
        class: &str,
        image: &str,
        sequence: u32,
    ) -> Result<PathBuf, Failure> {
        sign(
            &self.config.firmware,
            publisher,
            class,
            image,
            sequence,
            self.directory.path(),
        )
    }

    /// Signs what a firmware file does as another image, which may follow sequence numbers from `follows` on only. Gives the signed
    /// file, and the digest by which commands name the image.
    pub fn sign_after(&self, image: &str, sequence: u32, follows: u32) -> Result<(PathBuf, String), Failure> {
        self.sign_other(&self.publisher, image, sequence, Some(follows))
    }

    /// Signs what a firmware file does as another image; see [`Rig::sign_bytes`].
    pub fn sign_other(
        &self,
        publisher: &Publisher,
        image: &str,
        sequence: u32,
        follows: Option<u32>,
    ) -> Result<(PathBuf, String), Failure> {
        // A word that nothing reads: another digest, and the same program.
        let bytes = [&self.image(image)?[..], &sequence.to_le_bytes()].concat();
        self.sign_bytes(publisher, &format!("other-{image}"), &bytes, sequence, follows)
    }

    /// Signs these bytes as an image of the device's class, which may follow any sequence number, or those from `follows` on only.
    /// Gives the signed file, and the digest by which commands name the image.
    pub fn sign_bytes(
        &self,
        publisher: &Publisher,
        name: &str,
        bytes: &[u8],
        sequence: u32,
        follows: Option<u32>,
    ) -> Result<(PathBuf, String), Failure> {
        let raw = self.directory.path().join(format!("{sequence}-{name}"));
        let to = raw.with_added_extension("suit");
        std::fs::write(&raw, bytes)?;
        let version = format!("{sequence}.0.0");
        let identity = Identity {
            vendor: VENDOR,
            class: self.class(),
            version: &version,
            sequence,
            follows,
        };
        publisher.sign(&raw, &identity, &to)?;
        Ok((to, digest(bytes)))
    }

    /// Signs a firmware file with a manifest of a profile that does not exist yet.
    pub fn sign_newer_profile(&self, image: &str, sequence: u32) -> Result<PathBuf, Failure> {
        let signed = std::fs::read(self.sign(image, sequence)?)?;
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        let envelope = sever_text(&signed, &mut buffer)?;
        let manifest = Envelope::parse(envelope)?.interpret()?;
        let manifest = manifest.dangerous_unverified();
        let release = Release {
            sequence_number: manifest.sequence_number,
            vendor_id: manifest.vendor_id,
            class_id: manifest.class_id,
            image_digest: manifest.image_digest,
            image_size: manifest.image_size,
            predecessor_min: manifest.predecessor_min,
            text: None,
            image: None,
        };
        let key = private_key(&self.publisher)?;
        let to = self
            .directory
            .path()
            .join(format!("{sequence}-newer-profile.suit"));
        std::fs::write(&to, newer_profile(&release, &key))?;
        Ok(to)
    }

    /// A set of trust anchors under which `release` signs what is to come, and this device's publisher nothing but sets: it is retired.
    pub fn revoking_set(&self, number: u16, release: &Publisher) -> Result<Vec<u8>, Failure> {
        let publisher = private_key(&self.publisher)?;
        let public = publisher.verifying_key().to_bytes();
        let mut keys = [
            SetKey::new(Roles::RELEASE, private_key(release)?.verifying_key().as_bytes()),
            SetKey::new(Roles::RETIRED.and(Roles::RECOVERY), &public),
        ];
        let (mut unsigned, mut signed) = ([0; ENVELOPE_BYTES_MAX], [0; ENVELOPE_BYTES_MAX]);
        let unsigned = write_set(&mut unsigned, number, None, u32::MAX, (1, 1), &mut keys);
        let sign = |bytes: &[u8]| publisher.sign(bytes).to_bytes();
        let unsigned = unsigned.ok_or("no set that a device would take")?;
        Ok(cosign(unsigned, &mut signed, KeyId::of(&public), sign)?.to_vec())
    }

    /// A firmware file's bytes.
    pub fn image(&self, image: &str) -> Result<Vec<u8>, Failure> {
        Ok(self.config.firmware.read(image)?)
    }

    /// The digest by which commands name a firmware file, in hex.
    pub fn digest(&self, image: &str) -> Result<String, Failure> {
        Ok(digest(&self.image(image)?))
    }

    /// Whether the device is enrolled.
    pub fn is_protected(&self) -> bool {
        !matches!(self.flashed, Flashed::Nothing)
    }

    /// Makes the device, which was never switched on, one that left the factory with this firmware file.
    pub fn ship_instead(&self, image: &str) -> Result<(), Failure> {
        self.ship_trusting(&[], image)
    }

    /// Makes the device, which was never switched on, one that left the factory with this firmware file and trusts these publishers
    /// besides. A device that has a key keeps it; what it counts begins anew, which is why it must not have used it.
    pub fn ship_trusting(&self, others: &[&Publisher], image: &str) -> Result<(), Failure> {
        self.ship_without_key(others, image)?;
        self.flashed.write(self.machine.flash(), self.config.board)
    }

    /// Gives the device, which is switched off, another key: the gateway draws it, and it is flashed over the old one. The bridge does not
    /// have it; it holds both sides to what is promised of numbers all the same.
    pub fn rotate(&mut self) -> Result<(), Failure> {
        self.bring("rotate")
    }

    /// The same for a device that had none.
    pub fn enrol(&mut self) -> Result<(), Failure> {
        self.bring("enrol")
    }

    fn bring(&mut self, command: &str) -> Result<(), Failure> {
        let record = record(&self.config, &self.gateway, self.directory.path(), command)?;
        self.flashed = Flashed::Credentials(record);
        self.flashed.write(self.machine.flash(), self.config.board)
    }

    /// Puts other hardware in the device's place, which is switched off: the same address, and no key.
    pub fn ship_impostor(&self, image: &str) -> Result<(), Failure> {
        self.ship_without_key(&[], image)
    }

    fn ship_without_key(&self, others: &[&Publisher], image: &str) -> Result<(), Failure> {
        ship(
            &self.config,
            &self.publisher,
            others,
            image,
            self.directory.path(),
            self.machine.flash(),
        )
    }

    /// Starts a second gateway that trusts these keys, and makes the device talk to it. It knows no device's key.
    pub fn divert(&self, trust: &[&Publisher]) -> Result<Gateway, Failure> {
        let keys = trust.iter().map(|publisher| publisher.public_key().to_owned());
        let gateway = Gateway::start(
            &self.config.deltagate,
            &self.directory.path().join("other"),
            &gateway_config(&self.config, keys.collect()),
        )?;
        self.bridge
            .set_gateway(gateway.address().ok_or("the gateway is not running")?);
        Ok(gateway)
    }

    /// Makes a key that the device does not trust, unless it is shipped trusting it.
    pub fn stranger(&self) -> Result<Publisher, Failure> {
        Ok(Publisher::generate(
            &self.config.deltagate,
            self.directory.path(),
            "stranger",
        )?)
    }

    /// Kills the gateway, and starts it again otherwise.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut GatewayConfig)) -> Result<(), Failure> {
        self.gateway.kill();
        self.gateway.configure(change);
        self.restart_gateway()
    }

    /// Restarts the killed gateway and makes the device find it at its new port.
    pub fn restart_gateway(&mut self) -> Result<(), Failure> {
        let address = self.gateway.restart()?;
        self.bridge.set_gateway(address);
        Ok(())
    }
}

fn private_key(publisher: &Publisher) -> Result<SigningKey, Failure> {
    let key = std::fs::read_to_string(publisher.private_key())?;
    let key =
        SigningKey::from_pkcs8_pem(&key).map_err(|error| format!("reading the private key: {error}"))?;
    Ok(key)
}

/// The digest by which commands name an image, in hex.
pub fn digest(image: &[u8]) -> String {
    hex(&Sha256::digest(image))
}

/// A new folder in `$TMPDIR` or /tmp.
fn folder() -> Result<TempDir, Failure> {
    let parent = std::env::temp_dir();
    // `/fleetXXXXXX/gateway/state/` and the name of a socket take less than 50 of the 108 bytes that unix(7) allows.
    const PARENT_BYTES_MAX: usize = 108 - 50;
    if parent.as_os_str().len() > PARENT_BYTES_MAX {
        let parent = parent.display();
        return Err(format!("sockets cannot lie in {parent}: the path is too long; set TMPDIR=/tmp").into());
    }
    let folder = tempfile::Builder::new().prefix("fleet").tempdir_in(&parent);
    folder.map_err(|error| {
        let parent = parent.display();
        format!("a folder for the run cannot be made in {parent} ({error}); set TMPDIR to one that can")
            .into()
    })
}

fn gateway_config(config: &RigConfig, trust: Vec<PathBuf>) -> GatewayConfig {
    GatewayConfig {
        trust,
        check_in_interval_s: config.check_in_interval_s,
        rate_bits_per_second: config.profile.rate_down.0,
        ack_timeout_ms: config.ack_timeout_ms,
        mtu: config.profile.mtu_bytes,
        access: match config.keys {
            Keys::Nothing => Access::Open,
            Keys::Shared | Keys::Own => Access::Authenticated,
        },
        clock: None,
        disk: None,
    }
}

fn sign(
    firmware: &Firmware,
    publisher: &Publisher,
    class: &str,
    image: &str,
    sequence: u32,
    directory: &Path,
) -> Result<PathBuf, Failure> {
    let to = directory.join(format!("{class}-{sequence}-{image}.suit"));
    let version = format!("{sequence}.0.0");
    let identity = Identity {
        vendor: VENDOR,
        class,
        version: &version,
        sequence,
        follows: None,
    };
    publisher.sign(&firmware.path(image)?, &identity, &to)?;
    Ok(to)
}

/// Signs a firmware file under number 1 and writes the flash of a device that runs it, and trusts others besides.
fn ship(
    config: &RigConfig,
    publisher: &Publisher,
    others: &[&Publisher],
    image: &str,
    directory: &Path,
    flash: &Path,
) -> Result<(), Failure> {
    let (board, firmware) = (config.board, &config.firmware);
    let signed = std::fs::read(sign(firmware, publisher, board.class(), image, 1, directory)?)?;
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    let envelope = sever_text(&signed, &mut buffer)?;
    let manifest = Envelope::parse(envelope)?.interpret()?;
    let manifest = manifest.dangerous_unverified();
    let anchors = std::iter::once(&publisher)
        .chain(others)
        .map(|publisher| anchor(publisher));
    let anchors = anchors.collect::<Result<Vec<_>, Failure>>()?;
    let shipped = Shipped {
        vendor_id: manifest.vendor_id,
        class_id: manifest.class_id,
        trust_anchors: &anchors,
        envelope,
        image: &firmware.read(image)?,
        sequence: 1,
    };
    Ok(factory::write_flash_file(flash, board, &shipped)?)
}

/// Has the gateway `enrol` the device or `rotate` its key, and gives what that wrote for the flasher.
fn record(
    config: &RigConfig,
    gateway: &Gateway,
    directory: &Path,
    command: &str,
) -> Result<Vec<u8>, Failure> {
    let device = config.device.id_text();
    let file = directory.join(format!("{device}.dgc"));
    gateway.run(&["device", command, &device, "--out", &file.display().to_string()])?;
    let record = std::fs::read(&file)?;
    // As an operator is told to: it is the only copy outside the gateway.
    std::fs::remove_file(&file)?;
    Ok(record)
}

/// Draws a key of the device's own, from the system's random numbers, tells the gateway its public half, and asks it for its own.
fn own_key(config: &RigConfig, gateway: &Gateway) -> Result<OwnKey, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let private = PrivateKey::of_seed(&seed).map_err(|fault| format!("drawing a key: {fault}"))?;
    let device = config.device.id_text();
    let public = hex(private.public().as_bytes());
    gateway.run(&["device", "enrol", &device, "--public-key", &public])?;
    let gateway = gateway.run(&["device", "gateway-key"])?;
    Ok(OwnKey {
        private: *private.expose(),
        gateway: unhex(gateway.trim()).ok_or("what `device gateway-key` printed is no key")?,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    (digits.len() == 2 * bytes.len()).then_some(())?;
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// The key by which a device knows a publisher.
fn anchor(publisher: &Publisher) -> Result<[u8; 32], Failure> {
    let text = std::fs::read_to_string(publisher.public_key())?;
    let key = VerifyingKey::from_public_key_pem(&text);
    Ok(key
        .map_err(|error| format!("reading the public key: {error}"))?
        .to_bytes())
}
