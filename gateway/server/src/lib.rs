//! The shell around [`gateway_core`]: everything of the gateway that touches a socket, a file, a clock or a terminal.
//!
//! The core decides, this crate does. [`engine`] is the one task that owns the core and the UDP socket;
//! [`store`] is the one thread that owns the database; builds run in [`artefacts::pool`], off the network path;
//! technicians talk to the engine through [`admin`] with the commands of [`cli`], which is the same binary.
//!
//! What is left out: the web interface, DTLS and OSCORE, several gateways on one site.
//! The daemon needs Unix; the commands are portable, and what they need of the system beyond the standard library is behind
//! `#[cfg(unix)]` in a few modules that `tests/portable.rs` names.
//!
//! | module | what it is |
//! |---|---|
//! | [`config`] | `gateway.toml`: parsed, checked, explained |
//! | [`engine`] | the event loop: datagrams, commands, finished builds, timers |
//! | [`udp`] | the CoAP socket: buffer sizes, families, errors that must not be fatal |
//! | [`dtls`] | handshakes and sessions of `coaps://` |
//! | [`store`] | SQLite: every decision of the core, stored before it is acted on |
//! | [`sealing`] | the key that secrets are sealed with on disk |
//! | [`reserve`] | disk space held for the database |
//! | [`restore`] | what of it still holds at a start |
//! | [`import`] | the only way an image gets in |
//! | [`blobs`] | content-addressed files: images and artefacts |
//! | [`artefacts`] | builds and proves what devices download |
//! | [`admin`], [`client`], [`report`] | the owner-only socket, its caller, and the documents they exchange |
//! | [`audit`], [`trust`] | who did what; whose images may come in |
//! | [`tls`] | technicians on other machines: cryptography and certificates |
//! | `turned_away` | who asked without a key where one is needed, and what helps |
//! | [`supervisor`] | what systemd is told |
//! | [`logging`], [`update_log`] | lines for people and programs; every line of an update carries its name |
//! | [`observe`] | metrics, health and readiness over HTTP on loopback |
//! | [`cli`] | the commands |
//! | [`factory`], [`hex`] | lists of devices with their secrets; digits of secrets |
//! | [`find`] | a device by its label, EUI, IMEI or serial number |
//! | [`probe`] | a gateway from a device's side, through another CoAP codec |
//! | [`doctor`] | what a gateway needs of its machine, each with its remedy |
//! | [`owner_only`] | files for their owner only, where the system knows owners |
//! | [`delta`] | deltas by hand: create, apply, inspect |
//! | [`recover`] | `device recover`: an image over a serial line, for a device that cannot start any |
//! | [`publisher`] | the publisher's half: keys and signing; never used by the daemon but to verify |

pub mod admin;
#[cfg(unix)]
pub mod artefacts;
pub mod audit;
#[cfg(unix)]
pub mod blobs;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod delta;
pub mod doctor;
#[cfg(unix)]
pub mod dtls;
#[cfg(unix)]
pub mod engine;
pub mod error_chain;
pub mod factory;
pub mod find;
pub mod hex;
#[cfg(unix)]
pub mod import;
pub mod logging;
#[cfg(unix)]
pub mod observe;
pub mod owner_only;
pub mod probe;
pub mod publisher;
pub mod recover;
pub mod report;
#[cfg(unix)]
pub mod reserve;
#[cfg(unix)]
pub mod restore;
#[cfg(unix)]
pub mod sealing;
#[cfg(unix)]
pub mod serve;
#[cfg(unix)]
pub mod state_dir;
#[cfg(unix)]
pub mod store;
#[cfg(unix)]
pub mod supervisor;
pub mod tls;
pub mod trust;
mod turned_away;
pub mod udp;
pub mod update_log;
