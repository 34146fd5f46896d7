//! The commands as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use wire_checkin::Severity;

use super::audit::AuditArgs;
use super::identity::{EnrolArgs, ImportArgs, RotateArgs};
use super::init::InitArgs;
use super::logs::LogsArgs;
use super::remote::{AdminCertCommand, RemoteArgs};
use crate::delta::DeltaCommand;
use crate::probe::ProbeArgs;
use crate::publisher::anchors_cli::{AnchorsNewArgs, AnchorsShowArgs, AnchorsSignArgs};
use crate::publisher::cli::{ImageInspectArgs, ImageSignArgs, KeyCommand};
use crate::publisher::cosign::ImageCosignArgs;
use crate::publisher::firmware::args::FirmwareArgs;
use crate::publisher::latest_cli::ImageLatestArgs;
use crate::recover::cli::DeviceRecoverArgs;

/// Signed firmware for constrained devices, as the smallest delta against what each one really runs.
#[derive(Debug, Parser)]
#[command(name = "deltagate", version, arg_required_else_help = true)]
pub struct Cli {
    /// The gateway's configuration; commands take its admin socket from it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The gateway's admin socket (or set DELTAGATE_SOCKET)
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// A gateway on another machine, and who asks it
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print the document of docs/cli-json.md instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Print every row, however many
    #[arg(long, global = true)]
    pub all: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a gateway.toml with every key explained
    Init(InitArgs),
    /// Run the gateway
    Serve,
    /// Publisher: make keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Sets of trust anchors, which take the place of devices' keys: make, sign, show, put in force
    #[command(subcommand)]
    Anchors(AnchorsCommand),
    /// Sign, import and list images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Deltas by hand: make, apply, inspect and measure patches
    #[command(subcommand)]
    Delta(DeltaCommand),
    /// Devices: what they run and why they get what they get
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Groups of devices
    #[command(subcommand)]
    Group(GroupCommand),
    /// What devices should run
    #[command(subcommand)]
    Update(UpdateCommand),
    /// Access networks: rate, traffic, waiting replies
    #[command(subcommand)]
    Link(LinkCommand),
    /// Why a device runs what it runs: one causal chain, one next action
    Why {
        /// Its identifier in hex, or its label
        device: String,
    },
    /// Check configuration, sockets, disk, clock, buffers and permissions, each with its remedy
    Doctor,
    /// Look at a gateway from a device's side, step by step
    Probe(ProbeArgs),
    /// Print completions for a shell, to be sourced or put where it looks for them
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Print documentation that is made of this program
    #[command(subcommand, hide = true)]
    Docs(DocsCommand),
    /// The gateway in numbers, the devices that need you, and every update under way
    Status(StatusArgs),
    /// Certificates for technicians on other machines, and for gateways that they ask
    #[command(subcommand)]
    AdminCert(AdminCertCommand),
    /// Who did what on this gateway, and what came of it
    Audit(AuditArgs),
    /// The newest lines of the gateway's log, with every update's name on its lines
    Logs(LogsArgs),
}

impl Command {
    /// Whether it changes what a gateway knows: then a failure says what had changed by then.
    pub fn changes(&self) -> bool {
        match self {
            Command::Image(command) => matches!(
                command,
                ImageCommand::Import { .. }
                    | ImageCommand::Remove { .. }
                    | ImageCommand::Pin { .. }
                    | ImageCommand::Unpin { .. }
            ),
            Command::Device(command) => !matches!(
                command,
                DeviceCommand::List { .. }
                    | DeviceCommand::Show { .. }
                    | DeviceCommand::Find { .. }
                    | DeviceCommand::GatewayKey
            ),
            Command::Group(command) => !matches!(command, GroupCommand::List),
            Command::Update(command) => {
                !matches!(command, UpdateCommand::Status | UpdateCommand::Plan { .. })
            }
            Command::Anchors(command) => matches!(command, AnchorsCommand::Import { .. }),
            Command::Serve
            | Command::Key(_)
            | Command::Delta(_)
            | Command::Link(_)
            | Command::Why { .. }
            | Command::Probe(_)
            | Command::Doctor
            | Command::Audit(_)
            | Command::Logs(_)
            | Command::Init(_)
            | Command::Docs(_)
            | Command::Completions { .. }
            | Command::AdminCert(_)
            | Command::Status(_) => false,
        }
    }

    /// Of a command that asks no running gateway: why naming one with `--gateway` is a mistake.
    pub(super) fn asks_nobody(&self) -> Option<&'static str> {
        const MACHINE: &str = "is about the machine that it runs on";
        const FILES: &str = "works on files and asks no gateway";
        match self {
            Command::Serve | Command::Doctor => Some(MACHINE),
            Command::Device(DeviceCommand::Recover(_)) => {
                Some("asks the device at its serial line, and no gateway")
            }
            Command::Probe(_) => Some("asks a gateway as a device does: give it the CoAP address"),
            Command::Key(_)
            | Command::Anchors(AnchorsCommand::New(_) | AnchorsCommand::Sign(_) | AnchorsCommand::Show(_))
            | Command::Delta(_)
            | Command::Init(_)
            | Command::Docs(_)
            | Command::Completions { .. }
            | Command::AdminCert(_)
            | Command::Image(
                ImageCommand::Sign(_)
                | ImageCommand::Cosign(_)
                | ImageCommand::Inspect(_)
                | ImageCommand::Latest(_),
            ) => Some(FILES),
            Command::Image(_)
            | Command::Anchors(_)
            | Command::Device(_)
            | Command::Group(_)
            | Command::Update(_)
            | Command::Link(_)
            | Command::Why { .. }
            | Command::Status(_)
            | Command::Audit(_)
            | Command::Logs(_) => None,
        }
    }
}

/// `docs …`
#[derive(Debug, Subcommand)]
pub enum DocsCommand {
    /// docs/configuration.md
    Configuration,
    /// docs/gateway.example.toml
    Example,
    /// A man page for each command, as files
    Man {
        /// An existing directory
        directory: PathBuf,
    },
}

/// `anchors …`
#[derive(Debug, Subcommand)]
pub enum AnchorsCommand {
    /// Publisher: make a set, from public keys and what each may do
    New(AnchorsNewArgs),
    /// Publisher: add a recovery key's signature to a set
    Sign(AnchorsSignArgs),
    /// Publisher: show what a set says and who signed it
    Show(AnchorsShowArgs),
    /// Put a signed set in force: here at once, on devices with their next check-in
    Import {
        /// What `anchors sign` made
        file: PathBuf,
    },
    /// Every set, and the devices that have not got theirs
    List,
}

/// `image …`
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Publisher: sign a firmware image
    Sign(ImageSignArgs),
    /// Publisher: add another key's signature to a signed file
    Cosign(ImageCosignArgs),
    /// Publisher: show what a signed file says
    Inspect(ImageInspectArgs),
    /// Publisher: state which release is the latest, so that devices notice when one is kept back
    Latest(ImageLatestArgs),
    /// Verify a signed file and keep its image
    Import {
        /// What `image sign` made
        file: PathBuf,
        /// The image of a file signed with --detached
        #[arg(long, value_name = "FILE")]
        image: Option<PathBuf>,
        /// How that image is read
        #[command(flatten)]
        read: FirmwareArgs,
    },
    /// Every image
    List,
    /// Remove an image that is not assigned, pinned, run or fetched, and everything made of it
    Remove {
        /// Leading hex digits of its digest
        image: String,
    },
    /// Keep an image and everything made of it, whatever the disk budget says
    Pin {
        /// Leading hex digits of its digest
        image: String,
    },
    /// End that
    Unpin {
        /// Leading hex digits of its digest
        image: String,
    },
    /// One image, its payloads and who runs it
    Show {
        /// Leading hex digits of its digest
        image: String,
    },
}

/// `device …`
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Every device
    List {
        /// Only those nobody claimed
        #[arg(long)]
        unclaimed: bool,
    },
    /// One device: why it runs what it runs, and the next step
    Show {
        /// Its identifier in hex, or its label
        device: String,
    },
    /// Find devices by label, EUI, IMEI, serial number or a part of it; the nearest when none has it
    Find {
        /// What is printed on it, or remembered of it
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Call a device something that commands then take in place of its identifier
    #[command(group = clap::ArgGroup::new("to").required(true))]
    Label {
        /// Its identifier in hex, or its label
        device: String,
        /// Up to 64 characters: a place, a serial number, an IMEI
        #[arg(group = "to")]
        label: Option<String>,
        /// Take its label away
        #[arg(long, group = "to")]
        remove: bool,
    },
    /// Let a device be served
    Claim {
        /// Its identifier in hex, or its label
        device: String,
    },
    /// Give a device a key: writes its credentials for the flasher, and shows them as QR code
    Enrol(EnrolArgs),
    /// The gateway's public key, for devices with keys of their own
    GatewayKey,
    /// Enrol the devices of a factory's list, all of them or none
    Import(ImportArgs),
    /// Give a device another key; the old one counts until it uses the new one
    Rotate(RotateArgs),
    /// Let other hardware take a device's place: label, groups, assignment and history
    Swap {
        /// The hardware that goes: its identifier in hex, or its label
        old: String,
        /// The hardware that comes: its identifier in hex
        new: String,
    },
    /// Destroy a device's keys; it stays listed and is served no more
    Retire {
        /// Its identifier in hex, or its label
        device: String,
    },
    /// Bring an image to a device that cannot start any, over its serial line
    Recover(DeviceRecoverArgs),
    /// Remove a device and its history
    Forget {
        /// Its identifier in hex, or its label
        device: String,
    },
}

/// `group …`
#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Make an empty group
    Create {
        /// 1 to 32 of A-Z a-z 0-9 . _ -
        group: String,
    },
    /// Add devices, which claims them
    Add {
        /// The group
        group: String,
        /// Identifiers in hex
        #[arg(required = true)]
        devices: Vec<String>,
    },
    /// Remove devices from a group; without devices remove the group
    Remove {
        /// The group
        group: String,
        /// Identifiers in hex
        devices: Vec<String>,
    },
    /// Every group
    List,
}

/// `update …`
#[derive(Debug, Subcommand)]
pub enum UpdateCommand {
    /// Say what devices should run
    Assign {
        /// Leading hex digits of the image's digest
        image: String,
        /// Whom it is for
        #[command(flatten)]
        to: TargetArgs,
        /// How much it is wanted, for the device's application to weigh: critical, mandatory or optional
        #[arg(long, default_value = "mandatory", value_parser = severity)]
        severity: Severity,
        /// How long a device may put it off, such as 90min, 24h or 7d, within bounds of its own; without, as long as those
        /// allow
        #[arg(long, value_name = "TIME", value_parser = time)]
        defer_max: Option<u32>,
    },
    /// End an assignment and withdraw what it offered
    Cancel {
        /// Whom it was for
        #[command(flatten)]
        to: TargetArgs,
    },
    /// Offer an image again that a device refused or reverted
    Retry {
        /// The device's identifier in hex
        #[arg(long, value_name = "ID")]
        device: String,
        /// Leading hex digits of the image's digest; every withheld image without
        #[arg(long, value_name = "DIGEST")]
        image: Option<String>,
    },
    /// Dry run: what each device would be sent and why, its bytes, its time at the link's rate
    Plan {
        /// Leading hex digits of the digest of an image that is not assigned yet; what is assigned already without
        #[arg(requires = "to")]
        image: Option<String>,
        /// One device, in hex or by label
        #[arg(long, value_name = "ID", group = "to", requires = "image")]
        device: Option<String>,
        /// The members of a group
        #[arg(long, value_name = "NAME", group = "to", requires = "image")]
        group: Option<String>,
        /// Every claimed device of a class
        #[arg(long, value_name = "UUID", group = "to", requires = "image")]
        class: Option<String>,
    },
    /// Serve no more blocks, to anybody, until resumed; what a device has it keeps
    Pause,
    /// Serve blocks again
    Resume,
    /// Every device that has something assigned
    Status,
}

fn severity(text: &str) -> Result<Severity, String> {
    let named = |severity: &Severity| severity.name() == text;
    let found = Severity::ALL.into_iter().find(named);
    found.ok_or_else(|| "it is one of critical, mandatory and optional".into())
}

/// Seconds of a number with its unit.
pub(super) fn time(text: &str) -> Result<u32, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit_s = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ if number == "0" => 1,
        _ => return Err("it is a number and one of s, min, h and d, such as 24h".into()),
    };
    let seconds = number.parse::<u32>().ok();
    let seconds = seconds.and_then(|number| number.checked_mul(unit_s));
    seconds.ok_or_else(|| "it is not a number of seconds below 2^32".into())
}

/// Exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct TargetArgs {
    /// One device, in hex; this claims it
    #[arg(long, value_name = "ID")]
    pub device: Option<String>,
    /// The members of a group
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Every claimed device of a class
    #[arg(long, value_name = "UUID")]
    pub class: Option<String>,
}

/// `link …`
#[derive(Debug, Subcommand)]
pub enum LinkCommand {
    /// Every link
    List,
    /// One link
    Show {
        /// Its name
        link: String,
    },
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show it every second
    #[arg(long)]
    pub watch: bool,
    /// With --watch: end when nothing is under way; exit code 1 if an update was withheld or blocked
    #[arg(long, requires = "watch")]
    pub until_done: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_assignment_names_exactly_one_target() {
        let parse = |words: &str| Cli::try_parse_from(words.split(' '));
        assert!(parse("deltagate update assign 3f2a --device 52").is_ok());
        assert!(parse("deltagate update assign 3f2a").is_err());
        assert!(parse("deltagate update assign 3f2a --device 52 --group roof").is_err());
    }

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [
            ("0", 0),
            ("0h", 0),
            ("45s", 45),
            ("90min", 5_400),
            ("24h", 86_400),
            ("7d", 604_800),
        ] {
            assert_eq!(time(text), Ok(seconds), "{text}");
        }
        for text in ["", "24", "h", "1w", "-1h", "1.5h", "9999999d", "4294967296s"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(severity("critical"), Ok(Severity::Critical));
        assert!(severity("urgent").is_err());
    }
}
