//! Secrets in the database: sealed, in their own rows, and gone when they are destroyed.

use gateway_core::{CredentialRecord, Credentials, Kid, Octets, Psk, PskIdentity, PskKey, PskRecord, Secret};

use super::*;

pub(super) fn kid(number: u8) -> Kid {
    Kid::new(&[0, number]).unwrap()
}

pub(super) fn credentials(number: u8, phase: Phase) -> Change {
    Change::Identity(IdentityChange::Credentials(CredentialRecord {
        device: device(),
        credentials: Credentials {
            kid: kid(number),
            gateway_id: Octets::EMPTY,
            secret: Secret::new(&[0xA0 | number; 16]),
            salt: Octets::new(&[3; 8]).unwrap(),
            id_context: Octets::EMPTY,
        },
        phase,
        enrolled_unix_s: 3,
    }))
}

pub(super) fn psk(number: u8, phase: Phase) -> Change {
    Change::Identity(IdentityChange::Psk(PskRecord {
        device: device(),
        psk: Psk {
            identity: PskIdentity::new(&[b'd', number]).unwrap(),
            key: PskKey::new(&vec![0xC0 | number; 14 + 2 * usize::from(number)]).unwrap(),
        },
        phase,
        enrolled_unix_s: 3,
        used_unix_s: (number == 1).then_some(4),
    }))
}

/// Printing a secret says nothing of it, so comparing what is printed is not enough.
#[tokio::test]
async fn secrets_come_back_as_they_were() {
    let temp = tempfile::tempdir().unwrap();
    let loaded = after_restart(&temp.path().join("db"), rows()).await;
    for number in [1, 2] {
        let found = loaded.iter().any(|change| {
            rows()
                .iter()
                .any(|row| row == change && matches!(row, Change::Identity(IdentityChange::Credentials(record)) if record.credentials.kid == kid(number)))
        });
        assert!(found, "{number}");
        let psks = |changes: &[Change]| -> Vec<PskRecord> {
            let psk = |change: &Change| match change {
                Change::Identity(IdentityChange::Psk(record)) => Some(record.clone()),
                _ => None,
            };
            changes.iter().filter_map(psk).collect()
        };
        assert_eq!(psks(&loaded), psks(&rows()));
    }
}

fn key_file(path: &Path) -> PathBuf {
    SealingKey::path_in(path.parent().unwrap())
}

#[tokio::test]
async fn a_key_that_is_wrong_or_gone_stops_the_start_and_destroys_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    after_restart(&path, rows()).await;
    let right = std::fs::read(key_file(&path)).unwrap();

    std::fs::remove_file(key_file(&path)).unwrap();
    let lost = Store::open(&path, None).unwrap_err();
    assert!(
        matches!(&lost, StoreError::Sealing(SealingError::Lost { sealed: 5, .. })),
        "{lost:?}"
    );
    assert!(!key_file(&path).exists());

    SealingKey::create(temp.path()).unwrap();
    let wrong = Store::open(&path, None).unwrap_err();
    assert!(
        matches!(&wrong, StoreError::Sealing(SealingError::Wrong { sealed: 5, .. })),
        "{wrong:?}"
    );

    std::fs::write(key_file(&path), right).unwrap();
    assert_eq!(sorted(reopened(&path)), sorted(rows()));
}

/// With nothing sealed, another key is as good.
#[tokio::test]
async fn a_key_that_nothing_is_sealed_with_may_go() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    drop(Store::open(&path, None).unwrap());
    for _ in 0..2 {
        std::fs::remove_file(key_file(&path)).unwrap();
        drop(Store::open(&path, None).unwrap());
    }
    let row = vec![credentials(1, Phase::Current)];
    assert_eq!(after_restart(&path, row.clone()).await, row);
}

#[tokio::test]
async fn the_gateways_own_key_stays_while_anybody_may_know_it() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    let own = || {
        let (_store, loaded) = Store::open(&path, None).unwrap();
        loaded.into_iter().find_map(|change| match change {
            Change::Identity(IdentityChange::OwnKey(key)) => Some(*key.public()),
            _ => None,
        })
    };
    let first = own();
    assert!(first.is_some() && own() == first);
    // With nobody enrolled a lost sealing key costs nothing but this one.
    std::fs::remove_file(key_file(&path)).unwrap();
    let second = own();
    assert_ne!(second, first);
    after_restart(&path, rows()).await;
    assert_eq!(own(), second);
}

#[tokio::test]
async fn what_is_sealed_opens_in_its_own_row_only() {
    for touch in [
        "UPDATE credential SET sealed = (SELECT sealed FROM credential WHERE kid = x'0002') WHERE kid = x'0001'",
        "UPDATE credential SET device = x'01' WHERE kid = x'0001'",
        "UPDATE credential SET kid = x'0003' WHERE kid = x'0001'",
        "UPDATE credential SET phase = 0, until_unix_s = NULL WHERE kid = x'0001'",
        "UPDATE credential SET until_unix_s = 10 WHERE kid = x'0001'",
        "UPDATE credential SET enrolled_unix_s = 4 WHERE kid = x'0002'",
        "UPDATE psk SET sealed = (SELECT sealed FROM psk WHERE identity = x'6402') WHERE identity = x'6401'",
        "UPDATE psk SET sealed = (SELECT sealed FROM credential WHERE kid = x'0002') WHERE identity = x'6401'",
        "UPDATE psk SET device = x'01' WHERE identity = x'6401'",
        "UPDATE psk SET identity = x'6403' WHERE identity = x'6401'",
        "UPDATE psk SET phase = 0, until_unix_s = NULL WHERE identity = x'6401'",
        "UPDATE psk SET used_unix_s = NULL WHERE identity = x'6401'",
        "UPDATE psk SET used_unix_s = 0 WHERE identity = x'6402'",
        "UPDATE public_key SET device = x'01'",
        "UPDATE public_key SET sealed = (SELECT sealed FROM own_key)",
        "UPDATE own_key SET sealed = (SELECT sealed FROM public_key)",
    ] {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("db");
        after_restart(&path, rows()).await;
        let connection = Connection::open(&path).unwrap();
        assert_eq!(connection.execute(touch, []).unwrap(), 1, "{touch}");
        drop(connection);
        let refused = Store::open(&path, None).unwrap_err();
        assert!(
            matches!(&refused, StoreError::Sealing(SealingError::Altered { .. })),
            "{touch}: {refused:?}"
        );
    }
}

/// Neither the secret nor what it was sealed as is left in any file of the database.
#[tokio::test]
async fn destroyed_credentials_leave_no_trace() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("db");
    let (store, _) = Store::open(&path, None).unwrap();
    store
        .commit(
            vec![credentials(1, Phase::Current), psk(2, Phase::Current)],
            Vec::new(),
        )
        .await
        .unwrap();
    let sealed = |table: &str| -> Vec<u8> {
        let connection = Connection::open(&path).unwrap();
        let sealed = format!("SELECT sealed FROM {table}");
        connection.query_row(&sealed, [], |row| row.get(0)).unwrap()
    };
    let (sealed, sealed_psk) = (sealed("credential"), sealed("psk"));
    let holds = |what: &[u8]| {
        let files = std::fs::read_dir(temp.path()).unwrap();
        files
            .filter(|file| {
                let bytes = std::fs::read(file.as_ref().unwrap().path()).unwrap();
                bytes.windows(what.len()).any(|window| window == what)
            })
            .count()
    };
    assert_ne!(holds(&sealed[25..]), 0);
    assert_ne!(holds(&sealed_psk[25..]), 0);
    assert_eq!(holds(&[0xA1; 16]) + holds(&[0xC2; 16]), 0);
    let destroyed = [
        IdentityChange::Destroyed(kid(1)),
        IdentityChange::PskDestroyed(PskIdentity::new(b"d\x02").unwrap()),
    ];
    for (change, sealed) in destroyed.into_iter().zip([sealed, sealed_psk]) {
        store
            .commit(vec![Change::Identity(change)], Vec::new())
            .await
            .unwrap();
        assert_eq!(holds(&sealed[25..]), 0);
    }
}
