//! From the core's views to documents.

use gateway_core::{
    AnchorsView, ArtefactRecord, BuildKey, Candidate, Contact, ContactView, Counters, DeferralView,
    DeviceView, GroupView, ImageRecord, ImageView, LeftOut, LinkView, NeedView, NextStep, Stage,
    TransferView, UpdateRecord, UpdateState, UpdateView, Verdict,
};
use wire_manifest::Roles;

use super::{
    AnchorRow, AnchorsRow, ArtefactRow, CandidateRow, ContactRow, DeferralRow, DeviceDetail, DeviceRow,
    GroupRow, HistoryRow, ImageDetail, ImageRow, LeftOutRow, LinkRow, NeedRow, Step, TrafficRow, TransferRow,
    UpdateRow,
};
use crate::publisher::anchor_set::role_names;

impl From<&ImageRecord> for ImageRow {
    fn from(image: &ImageRecord) -> ImageRow {
        ImageRow {
            digest: image.digest.to_string(),
            size_bytes: image.size.0,
            vendor_id: image.vendor.to_string(),
            class_id: image.class.to_string(),
            sequence_number: image.sequence_number,
            predecessor_min: image.predecessor_min,
            image_version: image.version.clone(),
            description: image.description.clone(),
            key_id: wire_manifest::KeyId(image.key_id).to_string(),
            signatures: signatures(&image.envelope),
            distrusted: None,
            imported_unix_s: image.imported_unix_s,
            pinned: false,
        }
    }
}

impl From<&ImageView> for ImageRow {
    fn from(view: &ImageView) -> ImageRow {
        ImageRow {
            pinned: view.is_pinned,
            distrusted: view.distrusted.clone(),
            ..(&view.image).into()
        }
    }
}

/// Whose signatures an envelope has, as they say.
fn signatures(envelope: &[u8]) -> Vec<String> {
    let envelope = wire_manifest::Envelope::parse(envelope).ok();
    let signatures = envelope.iter().flat_map(wire_manifest::Envelope::signatures);
    let ids = signatures.filter_map(|signature| signature.key_id());
    ids.map(|id| id.to_string()).collect()
}

impl From<&AnchorsView> for AnchorsRow {
    fn from(view: &AnchorsView) -> AnchorsRow {
        let AnchorsView { record, content, .. } = view;
        let key = |(roles, key): &(Roles, [u8; 32])| AnchorRow {
            key_id: wire_manifest::KeyId::of(key).to_string(),
            roles: role_names(*roles).map(str::to_owned).collect(),
        };
        AnchorsRow {
            number: record.number,
            class_id: record.class.map(|class| class.to_string()),
            in_force: view.is_in_force,
            release_min: content.release_min,
            recovery_min: content.recovery_min,
            sequence_max: content.sequence_max,
            keys: content.keys.iter().map(key).collect(),
            devices: view.devices,
            imported_unix_s: record.imported_unix_s,
        }
    }
}

impl From<&ArtefactRecord> for ArtefactRow {
    fn from(artefact: &ArtefactRecord) -> ArtefactRow {
        ArtefactRow {
            digest: artefact.digest.to_string(),
            format: artefact.format.to_string(),
            base: artefact.base.map(|base| base.to_string()),
            size_bytes: artefact.size.0,
            decoder_memory_bytes: artefact.decoder_memory.0,
            in_place_reach_bytes: artefact.in_place.map(|reach| reach.0),
        }
    }
}

impl From<&ImageView> for ImageDetail {
    fn from(view: &ImageView) -> ImageDetail {
        ImageDetail {
            image: view.into(),
            artefacts: view.artefacts.iter().map(Into::into).collect(),
            building: view.building.iter().map(build_clause).collect(),
            failed: view
                .failed
                .iter()
                .map(|(key, why)| format!("{}: {why}", build_clause(key)))
                .collect(),
            running_devices: view.running,
            assigned: view.assigned.iter().map(ToString::to_string).collect(),
        }
    }
}

fn build_clause(key: &BuildKey) -> String {
    let formats = [
        (key.formats.full, "full"),
        (key.formats.lz4, "lz4"),
        (key.formats.bsdiff, "bsdiff"),
        (
            key.formats.patch_memory.is_some() && key.formats.in_place.is_none(),
            "patch",
        ),
        (key.formats.in_place.is_some(), "patch in place"),
    ];
    let formats: Vec<_> = formats
        .into_iter()
        .filter_map(|(wanted, name)| wanted.then_some(name))
        .collect();
    match key.base {
        Some(base) => format!("{} from {}", formats.join(", "), base.short_hex()),
        None => formats.join(", "),
    }
}

impl From<&DeviceView> for DeviceRow {
    fn from(view: &DeviceView) -> DeviceRow {
        let report = view.device.report.as_ref();
        DeviceRow {
            device: view.device.id.to_string(),
            label: view.label.as_ref().map(ToString::to_string),
            identity: (&view.identity).into(),
            claimed: view.device.claimed,
            is_proven: view.is_proven,
            class_id: report
                .map(|report| report.class)
                .or(view.device.class)
                .map(|class| class.to_string()),
            running: report.map(|report| report.running.to_string()),
            running_version: None,
            sequence_number: report.map(|report| report.sequence_number),
            on_trial: report.is_some_and(|report| report.on_trial),
            in_place_reach_bytes: report.and_then(|report| report.in_place).map(|reach| reach.0),
            freshness: report.and_then(|report| report.freshness).map(Into::into),
            anchors: report.and_then(|report| report.anchors),
            anchors_waiting: report.and_then(|report| report.anchors_waiting),
            link: report.map(|report| report.link.to_string()),
            last_seen_unix_s: view.last_seen_unix_s,
            target: view.target.as_ref().map(|target| target.image.to_string()),
        }
    }
}

impl From<&DeviceView> for DeviceDetail {
    fn from(view: &DeviceView) -> DeviceDetail {
        DeviceDetail {
            device: view.into(),
            trust: view.anchors.map(|stand| stand.to_string()),
            groups: view.groups.iter().map(ToString::to_string).collect(),
            target_by: view.target.as_ref().map(|target| target.by.to_string()),
            chain: view.chain.clone(),
            next_step: view.next_step.as_ref().map(Into::into),
            target_version: None,
            contact: None,
            candidates: view.candidates.iter().map(Into::into).collect(),
            transfer: view.transfer.as_ref().map(Into::into),
            deferral: view.deferral.as_ref().map(Into::into),
            updates: view.updates.iter().map(Into::into).collect(),
            traffic: (&view.counters).into(),
        }
    }
}

impl From<&NextStep> for Step {
    fn from(step: &NextStep) -> Step {
        Step {
            why: step.why.clone(),
            command: step.command.clone(),
        }
    }
}

impl From<&ContactView> for ContactRow {
    fn from(view: &ContactView) -> ContactRow {
        ContactRow {
            silent_s: view.silent_s,
            interval_s: view.interval_s,
            tolerance_s: view.tolerance_s,
            state: view.contact.name().to_owned(),
            missed_check_ins: match view.contact {
                Contact::Missing { check_ins } => check_ins,
                _ => 0,
            },
            next_unix_s: view.next_unix_s,
        }
    }
}

impl From<&LeftOut> for LeftOutRow {
    fn from(row: &LeftOut) -> LeftOutRow {
        LeftOutRow {
            why: row.why.clone(),
            devices: row.devices,
            first: row.first.to_string(),
            next_step: (&row.step).into(),
        }
    }
}

impl From<&NeedView> for NeedRow {
    fn from(view: &NeedView) -> NeedRow {
        NeedRow {
            device: view.device.to_string(),
            label: view.label.as_ref().map(ToString::to_string),
            why: view.why.clone(),
            next_step: (&view.step).into(),
        }
    }
}

impl From<&Candidate> for CandidateRow {
    fn from(candidate: &Candidate) -> CandidateRow {
        CandidateRow {
            format: candidate.format.to_string(),
            size_bytes: candidate.size.0,
            on_air_bytes: candidate.on_air.0,
            chosen: matches!(candidate.verdict, Verdict::Chosen | Verdict::AlreadyOffered),
            verdict: candidate.verdict.to_string(),
        }
    }
}

impl From<&TransferView> for TransferRow {
    fn from(transfer: &TransferView) -> TransferRow {
        TransferRow {
            path: transfer.path.to_string(),
            format: transfer.format.to_string(),
            size_bytes: transfer.size.0,
            served_bytes: transfer.progress.served_to.0,
            percent: transfer.percent(),
            least_left_ms: transfer.least_left.micros.div_ceil(1_000),
            expected_left_s: transfer.expected_left_s,
        }
    }
}

impl From<&DeferralView> for DeferralRow {
    fn from(deferral: &DeferralView) -> DeferralRow {
        DeferralRow {
            stage: deferral.stage.to_string(),
            reason: deferral.reason.to_string(),
            seconds: deferral.seconds,
            longest_s: deferral.longest_s,
            overdue: deferral.is_overdue(),
        }
    }
}

impl From<&UpdateRecord> for HistoryRow {
    fn from(update: &UpdateRecord) -> HistoryRow {
        let (state, outcome) = match update.state {
            UpdateState::Offered { .. } => ("offered", None),
            UpdateState::Confirmed => ("confirmed", None),
            UpdateState::Withheld { outcome, detail } => {
                let detail = detail.map_or(String::new(), |detail| format!(" ({detail})"));
                ("withheld", Some(format!("{outcome}{detail}")))
            }
            UpdateState::Released => ("released", None),
        };
        HistoryRow {
            image: update.image.to_string(),
            sequence_number: None,
            state: state.to_owned(),
            outcome,
            offers: update.offers,
            changed_unix_s: update.changed_unix_s,
        }
    }
}

impl From<&Counters> for TrafficRow {
    fn from(counters: &Counters) -> TrafficRow {
        let Counters { down, up } = counters;
        TrafficRow {
            down_datagrams: down.datagrams,
            down_bytes: down.bytes.0,
            down_airtime_ms: down.air_time.micros.div_ceil(1_000),
            up_datagrams: up.datagrams,
            up_bytes: up.bytes.0,
            up_airtime_ms: up.air_time.micros.div_ceil(1_000),
        }
    }
}

impl From<&GroupView> for GroupRow {
    fn from(group: &GroupView) -> GroupRow {
        GroupRow {
            group: group.name.to_string(),
            members: group.members.iter().map(ToString::to_string).collect(),
            assigned: group.assigned.map(|image| image.to_string()),
        }
    }
}

impl From<&UpdateView> for UpdateRow {
    fn from(update: &UpdateView) -> UpdateRow {
        UpdateRow {
            device: update.device.to_string(),
            image: update.image.to_string(),
            image_version: String::new(),
            stage: update.stage.to_string(),
            settled: matches!(update.stage, Stage::UpToDate | Stage::Withheld | Stage::Blocked),
            offers: update.offers,
            transfer: update.transfer.as_ref().map(Into::into),
            deferral: update.deferral.as_ref().map(Into::into),
        }
    }
}

impl From<&LinkView> for LinkRow {
    fn from(link: &LinkView) -> LinkRow {
        LinkRow {
            name: link.config.name.to_string(),
            prefixes: link.config.prefixes.iter().map(ToString::to_string).collect(),
            rate_bits_per_second: link.config.rate.bits(),
            ack_timeout_ms: link.config.ack_timeout_ms,
            block_size: link.config.block_size().bytes(),
            mtu: link.config.mtu,
            devices: link.devices,
            queued: link.queued,
            traffic: (&link.total).into(),
            unattributed: (&link.unattributed).into(),
            deferred: link.events.deferred,
            paced: link.events.paced,
            dropped: link.events.dropped,
            repeated: link.events.repeated,
        }
    }
}
