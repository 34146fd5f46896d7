//! Whether this device is kept in the dark: "latest is N" statements, and a time that is never later than their publisher's.
//!
//! `docs/freeze.md` has the states and what is detected. It tells and does nothing else: no update waits for it, and none is refused.
//!
//! | | time |
//! |---|---|
//! | a newer statement | the later of time and its issued-at; its issued-at if that is below the one before: the publisher's clock was put right |
//! | uptime | goes on with it, 15 seconds in 16 |
//! | every [`KEEP_MS`], and with each statement | written down |
//! | a start whose clock begins anew | goes on from what was written down |

use embedded_storage::nor_flash::NorFlash;
use wire_checkin::Freshness;
use wire_manifest::{KeyId, LATEST_ENVELOPE_BYTES_MAX, Latest, SignedLatest, latest_class};

use deltagate_flash::Hash;
use deltagate_services::Question;

use crate::core::{Core, FlashFailed};
use crate::event::Event;
use crate::journal::{Heard, JournalRecord};
use crate::services::Hasher;

/// How much of what was counted a power cut costs at most: a record of the journal, 60 of which fit a sector of 4,096 bytes, so that
/// a sector is erased every ten days.
const KEEP_MS: u64 = 4 * 3_600_000;
/// How often a device that heard no statement asks for one: there may be none.
const ASK_MS: u64 = 24 * 3_600_000;
/// An oscillator that is up to one in 15 fast is not ahead of the publisher.
const TOLERANCE: u64 = 16;

/// What a device knows of the newest release, by its publisher's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The newest statement.
    pub statement: Latest,
    /// Seconds since it was signed, at least. Who has a clock that it trusts compares [`Latest::issued_s`] with that.
    pub age_s: u32,
    /// It is older than it is valid for: nobody brings newer ones.
    pub is_stale: bool,
    /// For as long as it is valid for, the device has known of a release that it does not run, and nobody offered it one that new.
    pub is_behind: bool,
}

/// What is counted in this start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// Uptime is counted from here.
    since_ms: u64,
    /// When the count is written down next.
    keep_ms: u64,
    /// When a device that heard nothing asks next.
    ask_ms: u64,
    told_stale: bool,
    told_behind: bool,
}

impl Watch {
    /// A start: the clock goes on where it was written down, or begins anew, and then what was counted since is lost.
    pub(crate) fn start(heard: Option<Heard>, now_ms: u64) -> Self {
        Self {
            since_ms: heard.map_or(now_ms, |heard| heard.at_ms.min(now_ms)),
            keep_ms: now_ms.saturating_add(KEEP_MS),
            ask_ms: now_ms,
            told_stale: false,
            told_behind: false,
        }
    }
}

impl<F: NorFlash> Core<'_, F> {
    /// When there is a count to write down.
    pub(crate) fn keeps_time_ms(&self) -> Option<u64> {
        let heard = self.journal.state().heard.filter(|_| self.config.freshness);
        heard.map(|_| self.watch.keep_ms)
    }

    /// Writes the count down, if it is time.
    pub(crate) fn keep_time(&mut self, now_ms: u64) {
        let Some(heard) = self.journal.state().heard else {
            return;
        };
        if !self.config.freshness || self.watch.keep_ms > now_ms {
            return;
        }
        self.watch.keep_ms = now_ms.saturating_add(KEEP_MS);
        // Unwritten, it is counted on from where it was.
        if self.keep_heard(now_ms, heard).is_err() {
            self.effects.event(Event::FlashFailed);
        }
    }

    /// Keeps this, with the time that it is now.
    fn keep_heard(&mut self, now_ms: u64, heard: Heard) -> Result<(), FlashFailed> {
        let heard = Heard {
            time_s: self.time_s(now_ms, heard),
            // A clock that begins anew with the next start is seen to, if it is not at the very beginning.
            at_ms: now_ms,
            ..heard
        };
        self.journal.append(JournalRecord::Heard(heard))?;
        self.watch.since_ms = now_ms;
        self.watch.keep_ms = now_ms.saturating_add(KEEP_MS);
        Ok(())
    }

    /// Never later than the publisher's, seconds since 1970.
    fn time_s(&self, now_ms: u64, heard: Heard) -> u32 {
        let uptime_ms = now_ms.saturating_sub(self.watch.since_ms);
        let counted_s = (uptime_ms - uptime_ms / TOLERANCE) / 1_000;
        let time_s = u64::from(heard.time_s).saturating_add(counted_s);
        u32::try_from(time_s).unwrap_or(u32::MAX)
    }

    /// What is known of the newest release; `None`: no statement was heard.
    pub(crate) fn known(&self, now_ms: u64) -> Option<Known> {
        let heard = self.journal.state().heard?;
        let time_s = self.time_s(now_ms, heard);
        let (statement, age_s) = (heard.statement, time_s.saturating_sub(heard.statement.issued_s));
        let waited_s = time_s.saturating_sub(heard.newer_since_s);
        Some(Known {
            statement,
            age_s,
            is_stale: age_s > statement.valid_s,
            is_behind: self.running.sequence < statement.sequence && waited_s > statement.valid_s,
        })
    }

    /// What a check-in says: nothing, while all is well and the statement is not half way through its time.
    #[inline(never)]
    pub(crate) fn say_freshness(&mut self, now_ms: u64) -> Option<Freshness> {
        if !self.config.freshness {
            return None;
        }
        let Some(known) = self.known(now_ms) else {
            return self.ask_for_first(now_ms);
        };
        let Known {
            statement,
            age_s,
            is_stale,
            is_behind,
        } = known;
        let number = statement.number;
        if is_stale && !self.watch.told_stale {
            self.effects.event(Event::Stale { statement: number });
        }
        if is_behind && !self.watch.told_behind {
            let sequence = statement.sequence;
            self.effects.event(Event::Behind { sequence });
        }
        (self.watch.told_stale, self.watch.told_behind) = (is_stale, is_behind);
        let says = is_stale || is_behind || age_s > statement.valid_s / 2;
        says.then_some(Freshness {
            number,
            is_stale,
            is_behind,
        })
    }

    fn ask_for_first(&mut self, now_ms: u64) -> Option<Freshness> {
        if self.watch.ask_ms > now_ms {
            return None;
        }
        self.watch.ask_ms = now_ms.saturating_add(ASK_MS);
        Some(Freshness {
            number: 0,
            is_stale: false,
            is_behind: false,
        })
    }

    /// Takes what came with an answer: a statement, if it is a newer one and by a key that signs releases; and an offer as new as the
    /// newest release that is known.
    #[inline(never)]
    pub(crate) fn hear(
        &mut self,
        now_ms: u64,
        statement: Option<&[u8]>,
        offered: Option<u64>,
    ) -> Result<(), FlashFailed> {
        if !self.config.freshness {
            return Ok(());
        }
        let before = self.journal.state().heard;
        let is_newer =
            |signed: &SignedLatest| before.is_none_or(|heard| heard.statement.number < signed.latest.number);
        let signed = statement.and_then(SignedLatest::decode).filter(is_newer);
        if let Some(signed) = signed.filter(|signed| self.is_signed(signed)) {
            return self.take_statement(now_ms, before, signed.latest);
        }
        if let Some(heard) = before
            && offered >= Some(heard.statement.sequence.into())
        {
            let time_s = self.time_s(now_ms, heard);
            // As often as the count is kept, for an offer stands in every answer.
            if time_s.saturating_sub(heard.newer_since_s) > (KEEP_MS / 1_000) as u32 {
                let newer_since_s = time_s;
                return self.keep_heard(
                    now_ms,
                    Heard {
                        newer_since_s,
                        ..heard
                    },
                );
            }
        }
        Ok(())
    }

    fn take_statement(
        &mut self,
        now_ms: u64,
        before: Option<Heard>,
        statement: Latest,
    ) -> Result<(), FlashFailed> {
        let issued_s = statement.issued_s;
        let counted = before.filter(|heard| heard.statement.issued_s <= issued_s);
        let time_s = counted
            .map_or(0, |heard| self.time_s(now_ms, heard))
            .max(issued_s);
        // It waits since it first heard of a release that it does not run, whatever came after that.
        let waits = |heard: &Heard| heard.statement.sequence > self.running.sequence;
        let newer_since_s = counted.filter(waits).map_or(time_s, |heard| heard.newer_since_s);
        self.watch.since_ms = now_ms;
        self.keep_heard(
            now_ms,
            Heard {
                statement,
                time_s,
                newer_since_s,
                at_ms: now_ms,
            },
        )?;
        self.effects.event(Event::Latest {
            sequence: statement.sequence,
            statement: statement.number,
        });
        Ok(())
    }

    /// Whether a key that signs releases signed it, about this class. It is put together and asked of whoever checks releases.
    #[inline(never)]
    fn is_signed(&self, signed: &SignedLatest) -> bool {
        let mut hash = |parts: &[&[u8]]| {
            let mut hasher = Hasher::new(self.services);
            parts.iter().for_each(|part| hasher.update(part));
            hasher.finish()
        };
        let (vendor_id, class_id) = (&self.provision.vendor_id, &self.provision.class_id);
        let statements = &latest_class(class_id, &mut hash);
        let mut buffer = [0; LATEST_ENVELOPE_BYTES_MAX];
        for key in self.provision.trust_anchors() {
            let [a, b, c, d, e, f, g, h, ..] = hash(&[key]);
            let key_id = KeyId([a, b, c, d, e, f, g, h]);
            let envelope = signed.envelope(&mut buffer, vendor_id, class_id, statements, key_id, &mut hash);
            let is_by_it = |envelope: &[u8]| {
                let question = Question {
                    envelope,
                    vendor_id,
                    class_id: statements,
                    keys: core::slice::from_ref(key),
                    // Also where a release takes several: a statement runs nothing.
                    least: 1,
                };
                self.services.verify(&question).is_ok()
            };
            if envelope.is_some_and(is_by_it) {
                return true;
            }
        }
        false
    }
}
