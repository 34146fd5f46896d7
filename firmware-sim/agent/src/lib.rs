//! The device side of deltagate: check in, verify, fetch, apply, try, confirm or fall back.
//!
//! Sans-IO and without a heap: a real firmware embeds [`Agent`], moves datagrams between it and its UDP socket,
//! gives it the time and the flash, and restarts when told to. [`Agent`] says in which order to call what.
//!
//! With the feature `oscore` and [`Config::credentials`] everything that a device says to its gateway is encrypted and authenticated, and
//! nothing else is believed: `docs/protocol.md`. A device whose credentials are damaged, or whose count of messages is lost, says
//! nothing at all ([`Event::Silent`]).
//!
//! With the feature `edhoc` besides, a device needs no secret of its gateway's: with a key of its own (`deltagate_flash::OwnKey`) it establishes
//! those credentials at its first check-in ([`Event::Established`]), and others when it lost them or `Agent::renew_keys` asks.
//!
//! Left out: the network stack, DTLS, and the decision *when* a restart is safe: the caller may delay
//! [`Effect::Reboot`] as long as an actuator needs.
//!
//! # The states
//!
//! Every state holds only what it needs. `work` is a bounded step of [`Agent::work`].
//!
//! | state | event | becomes | output |
//! |---|---|---|---|
//! | Idle | its time has come | CheckingIn | `POST /c` |
//! | CheckingIn | any 2.04 with a valid body | as below | on trial: the contact, before anything else |
//! | CheckingIn | … a newer set of trust anchors is kept, restart clear | Rebooting | [`Effect::Reboot`]; a job waits for the next check-in |
//! | CheckingIn | … with or without job, a single slot, not protected | Idle (next check-in) | [`Event::Unprotected`]: it takes none |
//! | CheckingIn | … without job | Idle (next check-in) | what waited for its restart is outcome 14 |
//! | CheckingIn | … with another job, download deferred | Idle (next check-in) | nothing erased or asked for; a manifest in the answer is judged |
//! | CheckingIn | … with the job in the journal | as after a restart, below | |
//! | CheckingIn | … with another job, manifest in it | Preparing, or Idle if refused | verified before anything is erased or asked for; a refusal is reported as outcome 2 to 7 or 9 |
//! | CheckingIn | … with another job, no manifest | FetchingManifest | `GET /path/m` |
//! | CheckingIn | 5.03 or 4.29 with Max-Age | Idle (Max-Age) | |
//! | CheckingIn | nobody answers, anything else | Idle (back-off) | |
//! | FetchingManifest | block | FetchingManifest | `GET` of the next |
//! | FetchingManifest | last block | Preparing, or Idle if refused | as above |
//! | FetchingManifest | more than 512 bytes | Idle | outcome 5 |
//! | FetchingManifest | nobody answers | Idle (back-off) | |
//! | FetchingManifest, Fetching | 4.xx, other ETag, other size, four wrong blocks in a row | Idle | outcome 15 |
//! | FetchingManifest, Fetching | 5.03 or 4.29 with Max-Age | the same (paused) | nothing before Max-Age has passed |
//! | FetchingManifest, Fetching | any other code | the same (paused) | the same block again after a back-off |
//! | Preparing | work | Preparing | erases the spare slot's header, then room for the payload, a sector a step |
//! | Mending | work | Mending, Fetching | on parts of write-once words: what was half programmed is erased, the rest of its sector kept |
//! | Preparing | work, all erased | Fetching | envelope into the header, then JobStarted into the journal |
//! | Fetching | block | Fetching | programs it; `GET` of the next |
//! | Fetching | block that completes the patch header | Fetching, or Idle if refused | outcome 5, 7 or 8 |
//! | Fetching | last block | CheckingPayload, or Verifying for `full` | |
//! | Fetching | nobody answers | Fetching (paused) | the same block again after a back-off |
//! | CheckingPayload | work | CheckingPayload | hashes what was fetched |
//! | CheckingPayload | digest right | Clearing | Staged into the journal |
//! | CheckingPayload | digest right, a single slot, restart clear | Rebooting | the updater is asked, Staged and Armed into the journal, [`Effect::Reboot`] |
//! | CheckingPayload | digest right, a single slot, restart deferred | Idle (next check-in) | Staged, Verified and Deferred into the journal |
//! | CheckingPayload | digest wrong | Idle | outcome 15 |
//! | Clearing | work | Clearing, Decoding | erases the image's sectors, one a step; then the patch header is checked again |
//! | Decoding | work | Decoding, Verifying | decodes a piece and programs it |
//! | Decoding | decoder failed | Idle | outcome 8 |
//! | Verifying | work | Verifying | hashes the image |
//! | Verifying | digest wrong | Idle | outcome 9; 15 for `full`, whose payload is the image |
//! | Verifying | digest right, restart clear | Rebooting | Armed into the journal, Trial into the boot log, [`Effect::Reboot`] |
//! | Verifying | digest right, restart deferred | Idle (next check-in) | Verified and Deferred into the journal |
//! | Rebooting | anything | Rebooting | |
//! | Idle, CheckingIn | the restart is clear again, or its deferral over | Verifying | nothing on the air |
//! | Idle, CheckingIn | the download is clear again, or its deferral over | CheckingIn | `POST /c` |
//! | any, on trial | contact had and self-test passed, where one is asked for | the same | `Confirmed` in the boot log |
//! | any, on trial | self-test failed | Rebooting | Reverted (self-test), [`Effect::Reboot`] |
//! | any, on trial | one of the two not had within the limit | Rebooting | Reverted (no contact, or self-test), [`Effect::Reboot`] |
//! | any | flash failed | Idle (back-off) | [`Event::FlashFailed`]; the fifth time for one image outcome 17 |
//!
//! An outcome goes into the journal and is reported with a check-in at once; from the second within a day on, after a
//! back-off. Every wait that a gateway asks for ends within a week, every back-off within the configured bound.
//!
//! After a restart the journal says where to begin: nothing or an ended job: Idle; a started job: Fetching at the
//! block that holds the last programmed byte, after Mending where words can be programmed only once; a staged one: Clearing;
//! one verified or armed that was not tried: Verifying; with a single slot a staged or verified one: CheckingPayload, and an armed
//! one is over, with the updater's outcome. Its manifest is judged again first. An image on trial begins in Idle, and resumes or starts no update before it is
//! confirmed; with a single slot, where there is nothing to go back to, also as the last resort.
//!
//! # Who keeps this device in the dark
//!
//! With the feature `freshness` and [`Config`]'s of that name the agent keeps what its publisher states to be the newest release, counts how old that is, asks for a newer
//! statement when it is half way through its time, and tells: in its check-ins, as [`Event::Stale`] and [`Event::Behind`], and whoever
//! asks `Agent::known`. It tells and does nothing else: `docs/freeze.md`.
//!
//! # A single slot
//!
//! With the feature `in-place` and [`Config::in_place`] the agent serves a device without a spare slot: slot B of its layout is
//! then the staging area, to which everything above that speaks of the spare slot applies, and the updater of the crate
//! `deltagate-updater` does what comes after CheckingPayload. Its `SingleSlot::two_slots` gives that layout.
//! Without the feature `two-slots`, which is on by default, the agent brings no decoder: such a device needs none here.
//!
//! # The journal
//!
//! Records of [`deltagate_flash::RecordLog`] in [`deltagate_flash::Layout::journal`], integers little-endian:
//!
//! ```text
//! kind             payload
//! 1 Link           0 ACK timeout ms u32   4 round trip ms u32
//! 2 JobStarted     0 artefact digest prefix [16]   16 format u8   17 payload bytes u32   21 sequence u64   29 path …
//! 3 Staged         (of the job started last: the payload is complete and its digest right)
//! 4 Armed          (of the job started last: its image is verified, the Trial record comes next)
//! 5 JobEnded
//! 6 Outcome        0 sequence u64   8 code u8   9 has detail u8   10 detail u32     to be reported; ends a job of that sequence
//! 7 Reported       0 sequence u64   8 code u8                                       the gateway has it; kept of a revert
//! 8 SmallerBlocks  0 szx u8         (of the job started last: how the gateway answers)
//! 9 Started        0 starts u32     how often the agent started; no two starts send the same message ids
//! 10 Mending       0 good u32       (of the job started last: its good bytes; those of the last sector are in the scratch sector)
//! 11 Firm          0 good u32       (of the job started last: no mending is under way, and so many bytes need not be looked for)
//! 12 Verified      (of the job started last: its image is verified, and the application puts the restart off)
//! 13 Terms         0 severity u8   1 has longest u8   2 longest deferral s u32     (of the job started last; absent: 1, none)
//! 14 Deferred      0 sequence u64   8 since ms u64     by the caller's clock; until it is tried or its update ended
//! 15 Protected     0 trace u32      of the credentials that messages were protected with: the first bytes of their own Common IV
//! 16 Heard         0 number u32   4 latest u32   8 issued-at u32   12 valid-for u32   16 time u32   20 newer since u32   24 at ms u64
//! ```

#![no_std]
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

#[cfg(test)]
extern crate std;

// Modules, from the outside in: `agent` (the public object), `state`, `core` (what all states share), `checkin`,
// `download`, `update`, `trial`, `gate` (the events of those states), `accept` (the judgement of an offer), `client` (CoAP), `channel` (OSCORE), `establish` (EDHOC),
// `journal`, `staging`, `mend`, `apply` (flash), `services`, `decoder`, `in_place` (a single slot), `config`, `event`, `say`.
mod accept;
mod agent;
mod anchors;
mod apply;
#[cfg(feature = "oscore")]
mod channel;
#[cfg(not(feature = "oscore"))]
#[path = "plain.rs"]
mod channel;
mod checkin;
mod client;
mod config;
mod core;
mod decoder;
mod download;
#[cfg(feature = "edhoc")]
mod establish;
mod event;
#[cfg(feature = "freshness")]
mod freshness;
mod gate;
#[cfg(feature = "in-place")]
mod in_place;
#[cfg(not(feature = "in-place"))]
#[path = "two_slots.rs"]
mod in_place;
mod journal;
mod mend;
mod say;
mod services;
mod staging;
mod state;
mod trial;
mod update;

/// The guide's code is compiled and run with these tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/integrate.md")]
struct Guide;

pub use agent::{AGENT_BYTES_MAX, Agent, StartError};
pub use channel::Silence;
pub use config::{Config, DATAGRAM_BYTES_MAX};
pub use event::{Effect, Event, Stats};
#[cfg(feature = "freshness")]
pub use freshness::Known;
pub use gate::{Gate, Verdict};
pub use in_place::InPlace;
pub use services::LinkedServices;
pub use wire_checkin::{DeferralReason, DeferralStage, Severity};
