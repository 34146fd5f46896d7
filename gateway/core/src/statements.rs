//! What publishers state to be the latest of a class: kept, passed on to devices that ask, and held against what is here.
//!
//! `docs/freeze.md` says what a statement is and what a device makes of it. A gateway keeps the newest of each class, gives it to
//! a claimed device that names an older one, and tells its operator when it holds no release that new, or the statement is old.

use crate::change::Change;
use crate::command::{Refusal, Reply};
use crate::contact::ClockView;
use crate::gateway::Gateway;
use crate::identity::{ClassId, VendorId};
use crate::journal::Journal;
use crate::state::State;
use crate::units::Now;
use wire_checkin::{CheckIn, STATEMENT_BYTES_MAX};
use wire_manifest::{LATEST_BYTES, SignedLatest};

/// What is kept of a class; its key is vendor and class. The shell has checked the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementRecord {
    /// Of what vendor.
    pub vendor: VendorId,
    /// Of what class.
    pub class: ClassId,
    /// What goes to devices.
    pub signed: SignedLatest,
    /// The key that signed it.
    pub key_id: [u8; 8],
    /// When it was imported.
    pub imported_unix_s: u64,
}

/// What an operator is shown of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementView {
    /// What is kept.
    pub statement: StatementRecord,
    /// Sequence number of the newest image of the class here; `None`: there is none.
    pub held: Option<u64>,
    /// Whether it is older than it is valid for; `None`: the clock does not tell.
    pub is_old: Option<bool>,
    /// Claimed devices of the class that say that no statement came to them in time.
    pub stale_devices: usize,
    /// Claimed devices of the class that say that a release which they know of is not offered to them.
    pub behind_devices: usize,
}

impl StatementView {
    /// Whether the publisher has released what is not here.
    pub fn is_behind(&self) -> bool {
        let latest = u64::from(self.statement.signed.latest.sequence);
        self.held.is_none_or(|held| held < latest)
    }
}

/// Statements kept: of as many classes as there can be images of.
const STATEMENTS_MAX: usize = 4_096;
/// How far ahead of this machine's clock a statement may have been issued: clocks of two sites.
const AHEAD_S_MAX: u64 = 24 * 3_600;
const _: () = assert!(LATEST_BYTES <= STATEMENT_BYTES_MAX);

/// Keeps a statement that is newer than the one of its class.
pub(crate) fn import(journal: &mut Journal, now: Now, statement: StatementRecord) -> Result<Reply, Refusal> {
    let (class, latest) = (statement.class, statement.signed.latest);
    let statements = &journal.state().statements;
    if let Some(known) = statements.get(&(statement.vendor, class)) {
        if known.signed == statement.signed {
            return Ok(Reply::Unchanged);
        }
        if known.signed.latest.number >= latest.number
            && journal.state().trusts_key(known.class, &known.key_id)
        {
            return Err(Refusal::StatementNotNewer {
                class,
                known: known.signed.latest.number,
                number: latest.number,
            });
        }
    } else if statements.len() >= STATEMENTS_MAX {
        return Err(Refusal::TooMany {
            what: "statements",
            max: STATEMENTS_MAX,
        });
    }
    let clock = ClockView::of(now);
    let ahead_s = u64::from(latest.issued_s).saturating_sub(now.unix_s);
    if clock.is_set && ahead_s > AHEAD_S_MAX {
        return Err(Refusal::StatementAhead {
            class,
            number: latest.number,
            hours: ahead_s / 3_600,
        });
    }
    journal.record(Change::Statement(statement));
    Ok(Reply::Done)
}

/// What goes with the answer to a check-in: a newer statement than the device names, if it names one.
pub(crate) fn newer(state: &State, said: &CheckIn) -> Option<[u8; LATEST_BYTES]> {
    let heard = said.freshness?.number;
    let of = (VendorId(said.vendor_id), ClassId(said.class_id));
    let statement = state.statements.get(&of)?;
    let is_newer =
        statement.signed.latest.number > heard && state.trusts_key(statement.class, &statement.key_id);
    is_newer.then(|| statement.signed.encode())
}

impl Gateway {
    /// The newest statement of each class, by vendor and class.
    pub fn statements(&self, now: Now) -> Vec<StatementView> {
        let state = self.journal.state();
        let view = |statement: &StatementRecord| {
            let (vendor, class) = (statement.vendor, statement.class);
            let images = state.images.values();
            let images = images.filter(|image| (image.vendor, image.class) == (vendor, class));
            let reports = state.devices.values().filter(|device| device.claimed);
            let reports = reports.filter_map(|device| device.report.as_ref());
            let said: Vec<_> = reports
                .filter(|report| (report.vendor, report.class) == (vendor, class))
                .filter_map(|report| report.freshness)
                .collect();
            let latest = statement.signed.latest;
            let until = u64::from(latest.issued_s) + u64::from(latest.valid_s);
            StatementView {
                statement: *statement,
                held: images
                    .filter(|image| state.trusts(image))
                    .map(|image| image.sequence_number)
                    .max(),
                is_old: ClockView::of(now).is_set.then_some(now.unix_s > until),
                stale_devices: said.iter().filter(|said| said.is_stale).count(),
                behind_devices: said.iter().filter(|said| said.is_behind).count(),
            }
        };
        state.statements.values().map(view).collect()
    }
}
