//! A check-in: what it changes, and what it is answered. It alters the sender's row, offer and update, nobody else's.

use crate::anchors::AnchorOffers;
use crate::change::Change;
use crate::choice;
use crate::config::{CoreConfig, LinkConfig};
use crate::decision::{self, Decision};
use crate::identity::{ClassId, VendorId};
use crate::journal::Journal;
use crate::meter::Meter;
use crate::offers;
use crate::pause;
use crate::records::{ArtefactRecord, DeviceRecord, DeviceReport, ImageRecord, OfferPath, Terms};
use crate::state::State;
use crate::statements;
use crate::units::{Bytes, Now};
use wire_checkin::{ANSWER_BYTES_MAX, Answer, CheckIn, Deferral, Job, JobPath};

/// What a check-in led to.
pub(crate) struct CheckedIn {
    /// The body of the 2.04.
    pub(crate) answer: Vec<u8>,
    /// Whether it was an unknown device that the full list could not take.
    pub(crate) not_recorded: bool,
}

/// Records a check-in and answers it. What is not proven, said without a key on a link that is open by choice, is kept as a device's
/// last word and nothing else: no class, no claim, no name comes of it.
pub(crate) fn handle(
    journal: &mut Journal,
    meter: &mut Meter,
    sets: &mut AnchorOffers,
    config: &CoreConfig,
    link: &LinkConfig,
    now: Now,
    (said, is_proven): (&CheckIn, bool),
) -> CheckedIn {
    let idle = Answer {
        ack_timeout_ms: Some(link.ack_timeout_ms),
        ..Answer::idle(config.check_in_interval_s)
    };
    let Some(device) = record(journal, meter, config, link, (said, is_proven)) else {
        return CheckedIn {
            answer: encode(&idle),
            not_recorded: true,
        };
    };
    if device.claimed && device.class_conflict().is_none() {
        take_news(journal, now, said);
    }
    // Whatever else it is told, and while updates are paused: it may be about a key that was stolen.
    let set = sets.next(journal.state(), &device, link);
    let idle = Answer {
        anchors: set.as_deref(),
        ..idle
    };
    let decision = decision::decide(journal.state(), &device, link);
    let answer = match decision {
        Decision::NeedsBuilds { builds, .. } => {
            builds.into_iter().for_each(|key| journal.build(key));
            let next_check_in_s = config.building_interval_s;
            with_statement(
                journal.state(),
                &device,
                link,
                said,
                &Answer {
                    next_check_in_s,
                    ..idle
                },
            )
        }
        Decision::Offer { artefact, .. } if pause::holds_back(journal.state(), device.id, artefact) => {
            with_statement(journal.state(), &device, link, said, &idle)
        }
        Decision::Offer { target, artefact, .. } => {
            let (image, artefact) = (target.image.clone(), artefact.clone());
            let terms = target.by.terms;
            let path = offers::offer(journal, now, device.id, &artefact);
            let limit = match said.deferral {
                // It has what it needs, or asks again when it wants it.
                Some(_) => 0,
                None => limit(&device, link),
            };
            with_job(&idle, &image, terms, &artefact, path, limit)
        }
        _ => with_statement(journal.state(), &device, link, said, &idle),
    };
    CheckedIn {
        answer,
        not_recorded: false,
    }
}

/// Notes what the device says. `None` when it is unknown and the list of unclaimed devices is full.
///
/// A row is stored at once only when something is decided from it: strangers who change their story, and round trips and
/// times put off, which are never twice the same, are noted and stored with the counters. So nobody makes us write for every datagram.
fn record(
    journal: &mut Journal,
    meter: &mut Meter,
    config: &CoreConfig,
    link: &LinkConfig,
    (said, is_proven): (&CheckIn, bool),
) -> Option<DeviceRecord> {
    let report = report(said, link);
    let known = journal.state().devices.get(&said.device_id);
    let device = match known {
        None => {
            if journal.state().unclaimed_count() >= config.unclaimed_max {
                return None;
            }
            DeviceRecord {
                id: said.device_id,
                claimed: false,
                class: Some(report.class),
                report: Some(report),
            }
        }
        Some(old) if old.claimed => DeviceRecord {
            class: old.class.or(is_proven.then_some(report.class)),
            report: Some(report),
            ..old.clone()
        },
        Some(old) => DeviceRecord {
            class: Some(report.class),
            report: Some(report),
            ..old.clone()
        },
    };
    match known {
        Some(old) if *old == device => {}
        Some(old) if !old.claimed || differ_in_figures_only(old, &device) => {
            meter.heard(journal, device.clone());
        }
        _ => journal.record(Change::Device(device.clone())),
    }
    Some(device)
}

fn differ_in_figures_only(old: &DeviceRecord, new: &DeviceRecord) -> bool {
    let without = |device: &DeviceRecord| {
        let report = device.report.clone();
        let report = report.map(|report| DeviceReport {
            round_trip_ms: 0,
            deferral: report.deferral.map(|deferral| Deferral {
                seconds: 0,
                ..deferral
            }),
            ..report
        });
        DeviceRecord {
            report,
            ..device.clone()
        }
    };
    without(old) == without(new)
}

pub(crate) fn report(said: &CheckIn, link: &LinkConfig) -> DeviceReport {
    DeviceReport {
        class: ClassId(said.class_id),
        vendor: VendorId(said.vendor_id),
        running: said.running_digest,
        sequence_number: said.sequence_number,
        slot_capacity: Bytes(said.slot_capacity_bytes.into()),
        staging: said.staging_bytes.map(|bytes| Bytes(bytes.into())),
        sector: Bytes(said.erase_sector_bytes.into()),
        block_szx: said.block_szx_max,
        round_trip_ms: said.round_trip_ms,
        decoder_memory: Bytes(said.decoder_memory_bytes.into()),
        formats: said.formats,
        on_trial: said.on_trial,
        deferral: said.deferral,
        freshness: said.freshness,
        in_place: said.in_place_reach_bytes.map(|bytes| Bytes(bytes.into())),
        anchors: said.anchors,
        anchors_waiting: said.anchors_waiting,
        link: link.name.clone(),
    }
}

/// What became of the last update, then what runs now: an image that reverted after it was seen running is withheld.
fn take_news(journal: &mut Journal, now: Now, said: &CheckIn) {
    let running = journal
        .state()
        .image_by_prefix(&said.running_digest)
        .map(|image| image.digest);
    if let Some(last) = said.last_update {
        offers::outcome(journal, now, said.device_id, last);
    }
    if let Some(image) = running {
        offers::running(journal, now, said.device_id, image);
    }
}

/// The longest answer that goes in one piece.
fn limit(device: &DeviceRecord, link: &LinkConfig) -> usize {
    let block = device
        .report
        .as_ref()
        .map_or(16, |report| choice::block_size(report, link).bytes());
    block as usize
}

/// An answer without a job, with what is stated to be the latest where a claimed device asks for it and all of it fits its block. A
/// device that is offered something, or sent a set of trust anchors, has news enough, and asks again.
fn with_statement(
    state: &State,
    device: &DeviceRecord,
    link: &LinkConfig,
    said: &CheckIn,
    idle: &Answer<'_>,
) -> Vec<u8> {
    let statement = statements::newer(state, said).filter(|_| device.claimed && idle.anchors.is_none());
    let with = statement.map(|statement| {
        encode(&Answer {
            statement: Some(&statement),
            ..*idle
        })
    });
    with.filter(|with| with.len() <= limit(device, link))
        .unwrap_or_else(|| encode(idle))
}

/// With the envelope when all of it fits `limit`; else the device fetches it from `/path/m`.
fn with_job(
    idle: &Answer<'_>,
    image: &ImageRecord,
    terms: Terms,
    artefact: &ArtefactRecord,
    path: OfferPath,
    limit: usize,
) -> Vec<u8> {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = artefact.digest.0;
    let job = Job {
        path: JobPath::new(path.as_str()).expect("an offer's path is 7 characters of [0-9A-Za-z]"),
        format: artefact.format,
        payload_bytes: u32::try_from(artefact.size.0).unwrap_or(u32::MAX),
        artefact_digest: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p],
        sequence_number: image.sequence_number,
        severity: terms.severity,
        defer_s_max: terms.defer_s_max,
    };
    let without = Answer {
        job: Some(job),
        ..*idle
    };
    // One datagram does not hold two envelopes.
    if idle.anchors.is_some() {
        return encode(&without);
    }
    let with = encode(&Answer {
        envelope: Some(&image.envelope),
        ..without
    });
    if with.len() <= limit {
        with
    } else {
        encode(&without)
    }
}

fn encode(answer: &Answer<'_>) -> Vec<u8> {
    let mut buffer = [0; ANSWER_BYTES_MAX];
    let body = answer.encode(&mut buffer);
    body.expect("ANSWER_BYTES_MAX suffices and envelopes were bounded at import")
        .to_vec()
}
