mod identity;

use super::*;
use crate::audit::{AuditRow, Check};
use gateway_core::{
    AirTime, AnchorsRecord, ArtefactDigest, ArtefactRecord, Assignment, BuildFormats, BuildKey, Bytes,
    ClassId, Counters, DeviceName, DeviceRecord, DeviceReport, GroupName, IdentityChange, ImageDigest,
    ImageRecord, KeyState, Label, LinkEvents, LinkName, NameKind, Offer, OfferPath, Phase, PrivateKey,
    Progress, Retirement, Selector, StatementRecord, Terms, Traffic, UpdateRecord, UpdateState, VendorId,
};
use wire_checkin::{
    Deferral, DeferralReason, DeferralStage, DeviceId, DigestPrefix, Format, Formats, Freshness, Outcome,
    Severity,
};
use wire_manifest::{Latest, Roles, SetKey, SignedLatest, write_set};

use identity::{credentials, kid, psk};

const IMAGE: ImageDigest = ImageDigest([1; 32]);
const OTHER: ImageDigest = ImageDigest([2; 32]);

fn device() -> DeviceId {
    DeviceId::new(&[0x52, 0x54, 0, 0x12, 0xab, 0xcd]).unwrap()
}

fn path() -> OfferPath {
    OfferPath::new("a1B2c3D").unwrap()
}

fn group() -> GroupName {
    GroupName::new("roof").unwrap()
}

fn key() -> BuildKey {
    let formats = BuildFormats {
        full: true,
        lz4: true,
        bsdiff: false,
        patch_memory: Some(Bytes(8_192)),
        in_place: Some(Bytes(28_672)),
    };
    BuildKey {
        base: Some(OTHER),
        target: IMAGE,
        formats,
    }
}

fn counters(from: u64) -> Counters {
    let traffic = |n| Traffic {
        datagrams: n,
        bytes: Bytes(n + 1),
        air_time: AirTime { micros: n + 2 },
    };
    Counters {
        down: traffic(from),
        up: traffic(from + 10),
    }
}

fn anchors(class: Option<ClassId>, number: u16) -> AnchorsRecord {
    let mut keys = [SetKey::new(Roles::RELEASE.and(Roles::RECOVERY), &[7; 32])];
    let (mut out, class) = ([0; 512], class.map(|class| class.0));
    let envelope = write_set(&mut out, number, class, 99, (1, 1), &mut keys).unwrap();
    AnchorsRecord::read(envelope, 7).unwrap()
}

fn report() -> DeviceReport {
    DeviceReport {
        class: ClassId([3; 16]),
        vendor: VendorId([4; 16]),
        running: DigestPrefix::new(&[1; 8]).unwrap(),
        sequence_number: 7,
        slot_capacity: Bytes(520_192),
        staging: Some(Bytes(4_096)),
        sector: Bytes(4_096),
        block_szx: 5,
        round_trip_ms: 2_000,
        decoder_memory: Bytes(16_384),
        formats: Formats::of(&[Format::Full, Format::Patch]),
        on_trial: true,
        deferral: Some(Deferral {
            stage: DeferralStage::Restart,
            reason: DeferralReason::Other(200),
            seconds: u32::MAX,
        }),
        in_place: Some(Bytes(16_384)),
        freshness: Some(Freshness {
            number: 3,
            is_stale: true,
            is_behind: false,
        }),
        anchors: Some(2),
        anchors_waiting: Some(300),
        link: LinkName("nb-iot".into()),
    }
}

fn image() -> ImageRecord {
    ImageRecord {
        digest: IMAGE,
        size: Bytes(65_536),
        vendor: VendorId([4; 16]),
        class: ClassId([3; 16]),
        sequence_number: u64::from(u32::MAX),
        predecessor_min: u64::from(u32::MAX) - 1,
        version: "2.0.1".into(),
        description: String::new(),
        envelope: vec![0xd8, 0x6b],
        key_id: [9; 8],
        imported_unix_s: 1_767_225_600,
    }
}

fn withheld() -> UpdateRecord {
    let state = UpdateState::Withheld {
        outcome: Outcome::RevertedNoContact,
        detail: Some(3),
    };
    UpdateRecord {
        device: device(),
        image: IMAGE,
        state,
        offers: 1,
        changed_unix_s: 12,
    }
}

fn assigned_to_device() -> Assignment {
    Assignment {
        selector: Selector::Device(device()),
        image: IMAGE,
        assigned_unix_s: 7,
        terms: Terms::default(),
    }
}

/// One of every row there is, in the order in which they are loaded.
fn rows() -> Vec<Change> {
    let silent = DeviceRecord {
        id: DeviceId::new(&[1]).unwrap(),
        claimed: true,
        class: None,
        report: None,
    };
    let heard = DeviceRecord {
        id: device(),
        claimed: true,
        class: Some(ClassId([3; 16])),
        report: Some(report()),
    };
    vec![
        Change::Image(image()),
        Change::Pinned(IMAGE),
        Change::Anchors(anchors(Some(ClassId([3; 16])), 2)),
        Change::Anchors(anchors(None, 1)),
        Change::Artefact(ArtefactRecord {
            digest: ArtefactDigest([5; 32]),
            target: IMAGE,
            base: Some(OTHER),
            format: Format::Patch,
            size: Bytes(900),
            decoder_memory: Bytes(8_192),
            in_place: Some(Bytes(28_672)),
            built_unix_s: 5,
        }),
        Change::Artefact(ArtefactRecord {
            digest: ArtefactDigest(IMAGE.0),
            target: IMAGE,
            base: None,
            format: Format::Full,
            size: Bytes(65_536),
            decoder_memory: Bytes(0),
            in_place: None,
            built_unix_s: 5,
        }),
        Change::Statement(StatementRecord {
            vendor: VendorId([4; 16]),
            class: ClassId([3; 16]),
            signed: SignedLatest {
                latest: Latest {
                    number: 3,
                    sequence: 7,
                    issued_s: u32::MAX,
                    valid_s: 86_400,
                },
                signature: [5; 64],
            },
            key_id: [6; 8],
            imported_unix_s: 7,
        }),
        Change::Device(silent),
        Change::Device(heard),
        Change::Labelled(device(), Label::new("roof 3, sn A1234").unwrap()),
        Change::GroupCreated(group()),
        Change::MemberAdded(group(), device()),
        Change::Assigned(Assignment {
            selector: Selector::Group(group()),
            image: IMAGE,
            assigned_unix_s: 6,
            terms: Terms {
                severity: Severity::Critical,
                defer_s_max: Some(u32::MAX),
            },
        }),
        Change::Assigned(assigned_to_device()),
        Change::Paused(8),
        Change::Offered(Offer {
            path: path(),
            device: device(),
            artefact: ArtefactDigest([5; 32]),
            image: IMAGE,
            offered_unix_s: 8,
        }),
        Change::Served {
            path: path(),
            progress: Progress {
                served_to: Bytes(512),
                first_unix_s: 9,
                last_unix_s: 10,
            },
        },
        Change::Update(withheld()),
        Change::Update(UpdateRecord {
            device: device(),
            image: OTHER,
            state: UpdateState::Offered { path: path() },
            offers: 2,
            changed_unix_s: 11,
        }),
        Change::Built(key()),
        Change::BuildFailed {
            key: BuildKey { base: None, ..key() },
            reason: "no memory".into(),
            failed_unix_s: 13,
        },
        Change::LinkCounters {
            link: LinkName("nb-iot".into()),
            total: counters(100),
            unattributed: counters(200),
            events: LinkEvents {
                deferred: 1,
                paced: 2,
                dropped: 3,
                repeated: 4,
            },
        },
        Change::DeviceCounters {
            device: device(),
            counters: counters(300),
            last_seen_unix_s: 14,
        },
        credentials(1, Phase::Leaving { until_unix_s: 9 }),
        credentials(2, Phase::Next),
        psk(1, Phase::Leaving { until_unix_s: 9 }),
        psk(2, Phase::Next),
        Change::Identity(IdentityChange::KeyState(
            kid(1),
            KeyState {
                reserved: 128,
                used_unix_s: Some(7),
                renewed: Some([5; 16]),
            },
        )),
        Change::Identity(IdentityChange::PublicKey(
            device(),
            *PrivateKey::of_seed(&[5; 32]).unwrap().public(),
        )),
        Change::Identity(IdentityChange::Named(
            device(),
            DeviceName::new(NameKind::Serial, "A-1").unwrap(),
        )),
        Change::Identity(IdentityChange::Retired(
            DeviceId::new(&[1]).unwrap(),
            Retirement {
                at_unix_s: 5,
                successor: Some(device()),
            },
        )),
    ]
}

/// Commits, closes, and opens again.
async fn after_restart(path: &Path, changes: Vec<Change>) -> Vec<Change> {
    let (store, _) = Store::open(path, None).unwrap();
    store.commit(changes, Vec::new()).await.unwrap();
    drop(store);
    reopened(path)
}

/// What a database holds, but for the gateway's own key, which is always there.
fn reopened(path: &Path) -> Vec<Change> {
    let (_store, mut loaded) = Store::open(path, None).unwrap();
    let is_own_key = |change: &Change| matches!(change, Change::Identity(IdentityChange::OwnKey(_)));
    assert_eq!(loaded.iter().filter(|change| is_own_key(change)).count(), 1);
    loaded.retain(|change| !is_own_key(change));
    loaded
}

fn sorted(mut changes: Vec<Change>) -> Vec<String> {
    changes.sort_by_key(|change| format!("{change:?}"));
    changes.iter().map(|change| format!("{change:?}")).collect()
}

#[tokio::test]
async fn every_row_comes_back() {
    let temp = tempfile::tempdir().unwrap();
    let loaded = after_restart(&temp.path().join("db"), rows()).await;
    assert_eq!(sorted(loaded), sorted(rows()));
}

/// What the first version wrote reads back as what it meant.
#[tokio::test]
async fn a_database_of_the_first_version_is_taken_over() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(schema::V1).unwrap();
    let selector = key::selector_bytes(&Selector::Device(device()));
    old.execute(
        "INSERT INTO assignment VALUES (?, ?, 7)",
        rusqlite::params![selector, IMAGE.0],
    )
    .unwrap();
    old.execute(
        "INSERT INTO device VALUES (?, 1, ?)",
        rusqlite::params![device().as_bytes(), [3u8; 16]],
    )
    .unwrap();
    old.execute(
        "INSERT INTO report VALUES (?, ?, ?, ?, 7, 520192, 4096, 4096, 5, 2000, 16384, 9, 1, 'nb-iot')",
        rusqlite::params![device().as_bytes(), [3u8; 16], [4u8; 16], [1u8; 8]],
    )
    .unwrap();
    old.execute(
        "INSERT INTO image VALUES (?, 65536, ?, ?, 4294967295, '2.0.1', '', ?, ?, 1767225600)",
        rusqlite::params![IMAGE.0, [4u8; 16], [3u8; 16], [0xd8u8, 0x6b], [9u8; 8]],
    )
    .unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let heard = DeviceRecord {
        id: device(),
        claimed: true,
        class: Some(ClassId([3; 16])),
        report: Some(DeviceReport {
            deferral: None,
            in_place: None,
            freshness: None,
            anchors: None,
            anchors_waiting: None,
            ..report()
        }),
    };
    let image = ImageRecord {
        predecessor_min: 0,
        ..image()
    };
    let expected = vec![
        Change::Image(image),
        Change::Device(heard),
        Change::Assigned(assigned_to_device()),
    ];
    assert_eq!(sorted(after_restart(&path, Vec::new()).await), sorted(expected));
}

#[tokio::test]
async fn writing_the_same_rows_again_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    after_restart(&path, rows()).await;
    assert_eq!(sorted(after_restart(&path, rows()).await), sorted(rows()));
}

#[tokio::test]
async fn removals_leave_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let db = temp.path().join("db");
    let removals = vec![
        Change::OfferWithdrawn(path()),
        Change::AnchorsRemoved(None, 1),
        Change::AnchorsRemoved(Some(ClassId([3; 16])), 2),
        Change::Resumed,
        Change::UpdateForgotten(device(), IMAGE),
        Change::UpdateForgotten(device(), OTHER),
        Change::Unassigned(Selector::Group(group())),
        Change::Unassigned(Selector::Device(device())),
        Change::BuildReleased(BuildKey { base: None, ..key() }),
        Change::Identity(IdentityChange::Destroyed(kid(1))),
        Change::Identity(IdentityChange::Destroyed(kid(2))),
        Change::Identity(IdentityChange::PskDestroyed(
            gateway_core::PskIdentity::new(b"d\x01").unwrap(),
        )),
        Change::Identity(IdentityChange::PskDestroyed(
            gateway_core::PskIdentity::new(b"d\x02").unwrap(),
        )),
        Change::Identity(IdentityChange::PublicKeyRemoved(device())),
        Change::DeviceForgotten(device()),
        Change::DeviceForgotten(DeviceId::new(&[1]).unwrap()),
        Change::GroupRemoved(group()),
        Change::BuildForgotten(key()),
        Change::ArtefactRemoved {
            target: IMAGE,
            base: Some(OTHER),
            digest: ArtefactDigest([5; 32]),
        },
        Change::ArtefactRemoved {
            target: IMAGE,
            base: None,
            digest: ArtefactDigest(IMAGE.0),
        },
        Change::Unpinned(IMAGE),
        Change::ImageRemoved(IMAGE),
    ];
    after_restart(&db, rows()).await;
    let left = after_restart(&db, removals).await;
    let expected = rows().into_iter();
    // Numbers that were used under a key stay used, should it ever come back; keys that were made anew of it do not. The newest statement stays, or an old
    // one would be news.
    let stays = |change: Change| match change {
        Change::Identity(IdentityChange::KeyState(kid, state)) => {
            let state = KeyState {
                renewed: None,
                ..state
            };
            Some(Change::Identity(IdentityChange::KeyState(kid, state)))
        }
        kept @ (Change::LinkCounters { .. } | Change::Statement(_)) => Some(kept),
        _ => None,
    };
    let expected = expected.filter_map(stays);
    assert_eq!(sorted(left), sorted(expected.collect()));
}

#[tokio::test]
async fn a_device_row_without_report_removes_the_old_one() {
    let temp = tempfile::tempdir().unwrap();
    let db = temp.path().join("db");
    let bare = DeviceRecord {
        id: device(),
        claimed: false,
        class: None,
        report: None,
    };
    let full = DeviceRecord {
        report: Some(report()),
        ..bare.clone()
    };
    let loaded = after_restart(&db, vec![Change::Device(full), Change::Device(bare.clone())]).await;
    assert_eq!(loaded, [Change::Device(bare)]);
}

#[test]
fn a_newer_database_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    drop(Store::open(&path, None).unwrap());
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(matches!(
        Store::open(&path, None),
        Err(StoreError::Newer { found: 99, .. })
    ));
}

#[tokio::test]
async fn the_audit_trail_only_grows() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    let (store, _) = Store::open(&path, None).unwrap();
    let entry = |at_unix_s, device: &str| Entry {
        at_unix_s,
        device: Some(device.into()),
        ..Entry::now("alice (uid 1000)", "device-claim", "", "refused: no")
    };
    let entries = vec![entry(5, "52"), entry(6, "53")];
    store.commit(Vec::new(), entries).await.unwrap();
    store.commit(Vec::new(), vec![entry(7, "52")]).await.unwrap();
    drop(store);
    let read = |since_unix_s, device: Option<&str>, after| {
        let device = device.map(str::to_owned);
        let query = AuditQuery {
            since_unix_s,
            device,
            after,
        };
        read_audit(&path, &query).unwrap()
    };
    let ids = |rows: Vec<AuditRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(read(0, None, 0)), [1, 2, 3]);
    assert_eq!(ids(read(6, None, 0)), [2, 3]);
    assert_eq!(ids(read(0, Some("52"), 1)), [3]);
    let mut check = Check::default();
    read(0, None, 0).iter().for_each(|row| check.take(row).unwrap());
    let connection = Connection::open(&path).unwrap();
    for forbidden in [
        "DELETE FROM audit",
        "UPDATE audit SET detail = ''",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE id = 1",
    ] {
        let refused = connection.execute(forbidden, []).unwrap_err();
        assert!(
            refused.to_string().contains("append-only"),
            "{forbidden}: {refused}"
        );
    }
}

/// Entries of an older database have no chain, and it begins behind them.
#[tokio::test]
async fn a_trail_from_before_the_chain_is_carried_on() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(schema::V1).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    let old = "INSERT INTO audit (at_unix_s, what, detail) VALUES (1, 'command', 'ClaimDevice')";
    connection.execute(old, []).unwrap();
    drop(connection);
    let (store, _) = Store::open(&path, None).unwrap();
    let entry = Entry::now("gateway.toml", "trust-add", "ab", "");
    store.commit(Vec::new(), vec![entry]).await.unwrap();
    drop(store);
    let rows = read_audit(&path, &AuditQuery::default()).unwrap();
    assert_eq!((rows[0].what.as_str(), rows[0].chain.as_ref()), ("command", None));
    let mut check = Check::default();
    rows.iter().for_each(|row| check.take(row).unwrap());
    assert!(check.end().1.is_some());
    assert_eq!(Store::trusted_keys(&path).unwrap(), ["ab"]);
}

#[test]
fn a_damaged_row_is_an_error_and_not_a_guess() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    drop(Store::open(&path, None).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection
        .execute(
            "INSERT INTO offer VALUES ('no path at all', x'01', x'02', x'03', 4)",
            [],
        )
        .unwrap();
    drop(connection);
    assert!(matches!(Store::open(&path, None), Err(StoreError::Sqlite(_))));
}
