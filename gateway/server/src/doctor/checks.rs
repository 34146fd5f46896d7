//! The checks, in the order in which a gateway needs what they look at.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_core::{WRITTEN_UNIX_S, count};

use super::Check;
use super::machine::{database, free_bytes, ownership};
use crate::admin::Ask;
use crate::client::{Client, ClientError};
use crate::clock::utc_minute;
use crate::config::{Access, Config, ConfigError, DEFAULT_LINK, Remote};
use crate::error_chain::chain;
use crate::probe::answers_ping;
use crate::publisher::load_anchors;
use crate::report::{StatementRow, Status};
use crate::tls::certificate::{Identity, not_after_unix_s};
use crate::udp::RECEIVE_BUFFER_BYTES;

/// Room for one import: the largest image, its envelope and its plain payload, with as much again for the database.
const DISK_BYTES_MIN: u64 = 4 * wire_manifest::IMAGE_BYTES_MAX as u64;
/// Less than this fills up before anybody looks.
const DISK_BYTES_ENOUGH: u64 = 16 * DISK_BYTES_MIN;
/// Open links that are named.
const OPEN_SHOWN_MAX: usize = 4;
/// First wait for a ping on this machine.
const PING_TIMEOUT: Duration = Duration::from_millis(200);

pub(super) fn all(path: &Path) -> Vec<Check> {
    let (config, check) = match Config::read(path) {
        Ok(config) => {
            let links = config.links.len();
            let found = format!("{} can stand, {}", path.display(), count(links, "link", "links"));
            (Some(config), Check::ok("configuration", found))
        }
        Err(error) => {
            let remedy = match &error {
                ConfigError::Read { .. } => {
                    "write one: deltagate init; or name it: deltagate doctor --config FILE"
                }
                ConfigError::Invalid { .. } => "mend that line; docs/configuration.md explains every key",
            };
            (None, Check::bad("configuration", chain(&error), remedy))
        }
    };
    let mut checks = vec![check];
    if let Some(config) = &config {
        checks.push(trust(&config.trust));
        checks.push(access(config));
        checks.extend(state(&config.state_dir));
        let (coap, found) = gateway(&config.admin_socket, config.listen);
        checks.extend(found);
        checks.push(socket(config.listen, coap.as_deref()));
        checks.extend(config.remote.as_ref().map(remote));
    }
    checks.extend([clock(crate::clock::unix_s()), buffers()]);
    checks
}

/// Technicians elsewhere are turned away by their own side when the gateway's certificate has ended.
fn remote(remote: &Remote) -> Check {
    const SOON_S: u64 = 60 * 86_400;
    let name = remote.identity.display();
    let identity = match Identity::read(&remote.identity) {
        Ok(identity) => identity,
        Err(error) => {
            let hint = error
                .hint()
                .unwrap_or_else(|| "deltagate admin-cert gateway makes it".to_owned());
            return Check::bad("remote", chain(&error), hint);
        }
    };
    let until = not_after_unix_s(&identity.certificate).unwrap_or(0);
    let now = crate::clock::unix_s();
    let again = "have another one made: deltagate admin-cert gateway; then restart the gateway";
    match until.checked_sub(now) {
        None => Check::bad(
            "remote",
            format!("the certificate of {name} has ended at {}", utc_minute(until)),
            again,
        ),
        Some(..SOON_S) => Check::warn(
            "remote",
            format!("the certificate of {name} ends at {}", utc_minute(until)),
            again,
        ),
        Some(_) => {
            let technicians = count(remote.technicians.len(), "technician", "technicians");
            Check::ok(
                "remote",
                format!("{}, {technicians}, until {}", remote.address, utc_minute(until)),
            )
        }
    }
}

/// Which links serve devices without keys.
fn access(config: &Config) -> Check {
    let links = config.links.iter().map(|link| (link.name.as_str(), link.access));
    let all = [(DEFAULT_LINK, config.access)].into_iter().chain(links);
    let open = all.filter(|(_, access)| *access == Access::Open);
    let open: Vec<&str> = open.map(|(name, _)| name).collect();
    if open.is_empty() {
        return Check::ok("access", "devices with a key only");
    }
    let shown = open.len().min(OPEN_SHOWN_MAX);
    let more = open.len() - shown;
    let named = open.get(..shown).unwrap_or_default().join(", ");
    let named = match more {
        0 => named,
        more => format!("{named} and {more} more"),
    };
    Check::warn(
        "access",
        format!("open to devices without keys, which anybody may pass for: {named}"),
        "give them keys: deltagate device enrol; then access = \"authenticated\"",
    )
}

fn trust(paths: &[PathBuf]) -> Check {
    match load_anchors(paths) {
        Err(error) => Check::bad("trust", chain(&error), error.hint()),
        Ok(anchors) if anchors.is_empty() => Check::warn(
            "trust",
            "no publisher is trusted, so no image can be imported",
            "name a publisher's public key as `trust`",
        ),
        Ok(anchors) => {
            let private = paths.iter().map(|path| path.with_extension("key"));
            match private.into_iter().find(|path| path.exists()) {
                Some(path) => Check::warn(
                    "trust",
                    format!(
                        "{} lies here; who has it can sign for every device",
                        path.display()
                    ),
                    "keep it on the publisher's machine and remove it from this one",
                ),
                None => Check::ok("trust", count(anchors.len(), "public key", "public keys")),
            }
        }
    }
}

/// Directory, permissions, disk and database.
fn state(path: &Path) -> Vec<Check> {
    let metadata = std::fs::metadata(path);
    if metadata
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    {
        let found = format!("{} is not yours to look at", path.display());
        return vec![Check::bad("state", found, "sudo deltagate doctor")];
    }
    let Ok(metadata) = metadata else {
        let parent = path.ancestors().skip(1).find(|parent| parent.exists());
        let parent = parent
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        return vec![
            writable(parent, format!("{} is made at the first start", path.display())),
            disk(parent),
        ];
    };
    if !metadata.is_dir() {
        let found = format!("{} is no directory", path.display());
        return vec![Check::bad(
            "state",
            found,
            "name another state_dir, or move that file away",
        )];
    }
    let mut checks = vec![writable(path, format!("{} can be written", path.display()))];
    checks.extend(permissions(path));
    checks.push(disk(path));
    checks.extend(database(path).map(|found| match found {
        Ok(rows) => Check::ok("database", format!("sound, {}", count(rows, "device", "devices"))),
        Err(problem) => Check::bad(
            "database",
            problem,
            "restore gateway.db* and images/ from a backup, or name another state_dir",
        ),
    }));
    checks
}

fn writable(path: &Path, found: String) -> Check {
    match tempfile::tempfile_in(path) {
        Ok(_) => Check::ok("state", found),
        Err(error) => Check::bad(
            "state",
            format!("nothing can be written in {}: {error}", path.display()),
            "run as the gateway's own user, or give it that directory: chown",
        ),
    }
}

fn permissions(path: &Path) -> Option<Check> {
    let ownership = ownership(path)?;
    let path = path.display();
    Some(if ownership.owner != ownership.me && ownership.me != 0 {
        Check::bad(
            "permissions",
            format!(
                "{path} belongs to user {}, you are user {}",
                ownership.owner, ownership.me
            ),
            format!("sudo -u '#{}' deltagate doctor", ownership.owner),
        )
    } else if ownership.mode & 0o077 != 0 {
        Check::warn(
            "permissions",
            format!("other users can enter {path}, mode {:o}", ownership.mode),
            format!("chmod 700 {path}"),
        )
    } else {
        Check::ok("permissions", format!("only its owner can enter {path}"))
    })
}

fn disk(path: &Path) -> Check {
    let Some(free) = free_bytes(path) else {
        return Check::ok("disk", "free space is not known on this system");
    };
    verdict_of_disk(free)
}

fn verdict_of_disk(free: u64) -> Check {
    let found = format!("{} MiB free", free >> 20);
    match free {
        0..DISK_BYTES_MIN => Check::bad(
            "disk",
            format!(
                "{found}, an import of the largest image needs {}",
                DISK_BYTES_MIN >> 20
            ),
            "make room, or move state_dir to a larger disk",
        ),
        DISK_BYTES_MIN..DISK_BYTES_ENOUGH => {
            Check::warn("disk", found, "make room before the next images come")
        }
        _ => Check::ok("disk", found),
    }
}

fn clock(unix_s: u64) -> Check {
    match unix_s {
        0..WRITTEN_UNIX_S => Check::bad(
            "clock",
            "it was never set, so nothing can be decided by time",
            "timedatectl set-ntp true, or a battery for the clock",
        ),
        _ => Check::ok("clock", format!("{} UTC", utc_minute(unix_s))),
    }
}

/// Where it answers devices, if one runs.
fn gateway(socket: &Path, listen: SocketAddr) -> (Option<String>, Vec<Check>) {
    let name = socket.display();
    match Client::new(socket.to_path_buf()).read::<Status>(Ask::Status {}) {
        Ok(status) => {
            let found = format!("runs on coap://{}", status.coap);
            let strangers = turned_away(&status);
            let checks = [Check::ok("gateway", found)].into_iter().chain(strangers);
            let checks = checks.chain(latest(&status));
            let checks = checks.chain(anchors(&status));
            (Some(status.coap.clone()), checks.collect())
        }
        Err(ClientError::NotYours { .. }) => {
            let found = format!("{name} is not yours to ask");
            // It runs, so its socket is not free: it must answer.
            (
                Some(listen.to_string()),
                vec![Check::bad("gateway", found, "sudo deltagate doctor")],
            )
        }
        Err(ClientError::NotRunning { .. }) => {
            let remedy = "deltagate serve --config gateway.toml, or systemctl start deltagate";
            (
                None,
                vec![Check::warn("gateway", format!("none runs on {name}"), remedy)],
            )
        }
        Err(error) => {
            let remedy = "see its log: journalctl -u deltagate";
            (None, vec![Check::bad("gateway", chain(&error), remedy)])
        }
    }
}

/// Devices that ask in vain, for want of a key.
fn turned_away(status: &Status) -> Option<Check> {
    let latest = status.turned_away.first()?;
    let found = format!(
        "{} checked in and got nothing, the latest {} from {}: {}",
        count(status.turned_away.len(), "device", "devices"),
        latest.device,
        latest.from,
        latest.next_step.why
    );
    Some(Check::warn("keys", found, latest.next_step.command.clone()))
}

/// Whether what publishers state to be the latest is here, and their word is not too old.
fn latest(status: &Status) -> Option<Check> {
    let amiss: Vec<_> = status.statements.iter().filter_map(StatementRow::amiss).collect();
    let found = count(status.statements.len(), "class is", "classes are");
    match amiss.into_iter().next() {
        Some((why, what_helps)) => Some(Check::warn("latest", why, what_helps)),
        None if status.statements.is_empty() => None,
        None => Some(Check::ok(
            "latest",
            format!("{found} up to date by the publisher's word"),
        )),
    }
}

/// Devices that trust what a set of trust anchors took away.
fn anchors(status: &Status) -> Option<Check> {
    let first = status.anchors_behind_first.as_ref()?;
    let found = format!(
        "{} not got the set in force, such as {first}, and still trust what it took away",
        count(status.anchors_behind, "device has", "devices have"),
    );
    Some(Check::warn(
        "anchors",
        found,
        "they get it with a check-in, if they take sets; deltagate anchors list",
    ))
}

/// A gateway that runs must answer a device; without one, its socket must be free.
fn socket(listen: SocketAddr, coap: Option<&str>) -> Check {
    match coap {
        Some(coap) => match coap.parse() {
            Ok(address) => answering(address),
            Err(_) => Check::bad("socket", format!("{coap} is no address"), "start it again"),
        },
        None => match UdpSocket::bind(listen) {
            Ok(_) => Check::ok("socket", format!("{listen} is free")),
            Err(error) => Check::bad(
                "socket",
                format!("cannot listen on {listen}: {error}"),
                match error.kind() {
                    io::ErrorKind::AddrInUse => "another program has it: ss -ulpn; or name another `listen`",
                    io::ErrorKind::PermissionDenied => "name a port above 1023 as `listen`",
                    _ => "name an address of this machine as `listen`: ip address",
                },
            ),
        },
    }
}

fn answering(bound: SocketAddr) -> Check {
    let mut address = bound;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => [127, 0, 0, 1].into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    match answers_ping(address, PING_TIMEOUT) {
        Ok(took) => Check::ok(
            "socket",
            format!("{address} answers devices ({} ms)", took.as_millis()),
        ),
        Err(missing) => Check::bad(
            "socket",
            format!("{address} does not answer: {missing}"),
            "a local firewall: nft list ruleset; else see the log",
        ),
    }
}

/// What the system grants a socket that asks for as much as the gateway's does.
fn buffers() -> Check {
    match granted_bytes() {
        Ok(granted) if granted >= RECEIVE_BUFFER_BYTES => Check::ok(
            "buffers",
            format!("{} KiB for a burst of requests", granted >> 10),
        ),
        Ok(granted) => Check::warn(
            "buffers",
            format!(
                "{} KiB of {} KiB granted: a burst of more than {} requests loses some",
                granted >> 10,
                RECEIVE_BUFFER_BYTES >> 10,
                granted / 768
            ),
            raise_buffer(Path::new(SYSCTL_FILE).exists()),
        ),
        Err(error) => Check::bad("buffers", format!("no UDP socket: {error}"), "see ulimit -n"),
    }
}

/// The Debian package keeps the limit in a file of its own; whoever does without it keeps one.
fn raise_buffer(packaged: bool) -> String {
    match packaged {
        true => format!("sudo sysctl --load={SYSCTL_FILE}, which the next start does by itself"),
        false => {
            format!(
                "sudo sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES}, and in /etc/sysctl.d to keep it"
            )
        }
    }
}

/// Where the Debian package puts `package/60-deltagate.conf`.
const SYSCTL_FILE: &str = "/usr/lib/sysctl.d/60-deltagate.conf";

fn granted_bytes() -> io::Result<usize> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let granted = socket.recv_buffer_size()?;
    // Linux reports twice what was granted, its own bookkeeping included (socket(7)).
    Ok(if cfg!(target_os = "linux") {
        granted / 2
    } else {
        granted
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    /// The remedy loads the file that the package ships, where the package puts it, and that file is enough.
    #[test]
    fn the_package_raises_the_limit_to_what_the_socket_asks_for() {
        let shipped = include_str!("../../package/60-deltagate.conf");
        let line = format!("net.core.rmem_max = {RECEIVE_BUFFER_BYTES}");
        assert!(shipped.lines().any(|shipped| shipped == line), "{shipped}");
        let (directory, name) = SYSCTL_FILE.rsplit_once('/').unwrap();
        let asset = format!("[\"package/{name}\", \"{}/\"", &directory[1..]);
        assert!(include_str!("../../Cargo.toml").contains(&asset), "{asset}");
        assert!(raise_buffer(true).contains(SYSCTL_FILE));
    }

    #[test]
    fn a_disk_and_a_clock_are_judged_by_what_a_gateway_needs() {
        for (free, verdict) in [
            (0, Verdict::Bad),
            (DISK_BYTES_MIN - 1, Verdict::Bad),
            (DISK_BYTES_MIN, Verdict::Warn),
            (DISK_BYTES_ENOUGH, Verdict::Ok),
        ] {
            assert_eq!(verdict_of_disk(free).verdict, verdict, "{free}");
        }
        assert_eq!(clock(120).verdict, Verdict::Bad);
        assert_eq!(clock(WRITTEN_UNIX_S).verdict, Verdict::Ok);
    }
}
