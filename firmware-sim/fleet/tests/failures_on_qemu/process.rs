//! Rows of the gateway's process, its database and its disk.

use crate::support::{self, PATIENCE, SMALL_BLOCKS};
use crate::table::{self, Ending, Told};
use crate::witness;
use fleet::board::Board;
use fleet::gateway::SmallDisk;
use fleet::link::LinkProfile;
use fleet::rig::Rig;
use rusqlite::Connection;
use std::path::PathBuf;

/// Exit codes of a gateway that does not start: forbidden by the machine's state, or a fault.
const REFUSED: i32 = 1;
const INTERNAL: i32 = 3;

/// What a gateway prints that does not start here.
fn start_refused(rig: &Rig, code: i32) -> Told {
    witness::refused(rig.gateway.run(&["serve"]), code, Ending::Updated)
}

/// Lets the device, which was caught in the middle, go on with a gateway that starts again.
fn goes_on(mut rig: Rig) {
    rig.restart_gateway().unwrap();
    rig.bridge.mend();
    witness::runs(&rig, 0, 2);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1, "the old path is still good");
    assert_eq!(observed.payload_back_bytes_max, 0, "nothing was fetched twice");
}

/// A device in the middle of a transfer from a gateway that was killed.
fn killed_in_the_middle() -> Rig {
    let mut rig = support::running_rig(SMALL_BLOCKS);
    support::caught_after(&rig, 5);
    rig.gateway.kill();
    rig
}

fn database(rig: &Rig) -> Connection {
    Connection::open(rig.gateway.state().join("gateway.db")).unwrap()
}

pub fn two_gateways_on_one_database() -> Told {
    let rig = support::running_rig(LinkProfile::FAST);
    let told = start_refused(&rig, REFUSED);
    Told {
        ending: witness::updated(&rig).ending,
        ..told
    }
}

pub fn the_database_is_of_an_older_version() -> Told {
    let mut rig = support::rig(Board::Mps2An385, LinkProfile::FAST, 2_000);
    rig.gateway.kill();
    let state = rig.gateway.state();
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/database/version-1.sql");
    let old = database(&rig);
    old.execute_batch(&std::fs::read_to_string(fixture).unwrap())
        .unwrap();
    // The device is claimed, and in a group.
    let device = rig.device_mac();
    old.execute("INSERT INTO device VALUES (?, 1, NULL)", [&device[..]])
        .unwrap();
    old.execute("INSERT INTO device_group VALUES ('roof')", [])
        .unwrap();
    old.execute("INSERT INTO member VALUES ('roof', ?)", [&device[..]])
        .unwrap();
    drop(old);
    rig.restart_gateway().unwrap();
    for (image, sequence) in [("v1.bin", 1), ("v2.bin", 2)] {
        support::import(&rig.gateway, &rig.sign(image, sequence).unwrap());
    }
    rig.machine.start().unwrap();
    support::line(&rig, 0, "checked in");
    let digest = rig.digest("v2.bin").unwrap();
    support::assign_behind_its_back(&rig, || {
        support::run(&rig.gateway, &["update", "assign", &digest, "--group", "roof"]);
    });
    rig.bridge.mend();
    witness::runs(&rig, 0, 2)
}

pub fn the_database_is_of_a_newer_version() -> Told {
    let rig = killed_in_the_middle();
    let version = |set: Option<i64>| {
        let database = database(&rig);
        let old = database
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        if let Some(set) = set {
            database.pragma_update(None, "user_version", set).unwrap();
        }
        old
    };
    let known = version(Some(1_000));
    let told = start_refused(&rig, REFUSED);
    assert_eq!(version(Some(known)), 1_000, "it was left as it was");
    goes_on(rig);
    told
}

pub fn a_row_of_the_database_is_damaged() -> Told {
    let rig = killed_in_the_middle();
    let connection = database(&rig);
    // What a last connection leaves behind is one file.
    let path = rig.gateway.state().join("gateway.db");
    connection
        .pragma_update(None, "wal_checkpoint", "TRUNCATE")
        .unwrap();
    let backup = std::fs::read(&path).unwrap();
    let damage = "INSERT INTO offer (path, device, artefact, image, offered_unix_s) VALUES ('no path at all', x'01', x'02', x'03', 4)";
    connection.execute(damage, []).unwrap();
    drop(connection);
    let told = start_refused(&rig, INTERNAL);
    // As it is told: from a backup.
    for file in ["gateway.db-wal", "gateway.db-shm"] {
        let _ = std::fs::remove_file(path.with_file_name(file));
    }
    std::fs::write(&path, backup).unwrap();
    goes_on(rig);
    told
}

pub fn artefacts_are_lost_with_a_disk() -> Told {
    let mut rig = killed_in_the_middle();
    let files = std::fs::read_dir(rig.gateway.state().join("artefacts")).unwrap();
    let removed = files.map(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
    assert!(removed.count() > 1);
    let mark = rig.gateway.log().mark();
    rig.restart_gateway().unwrap();
    let built = rig
        .gateway
        .log()
        .wait_for(mark, PATIENCE, support::is_patch_ready);
    built.expect("the patch is built again");
    rig.bridge.mend();
    let told = witness::runs(&rig, 0, 2);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1, "the old path is still good");
    assert_eq!(observed.payload_back_bytes_max, 0, "nothing was fetched twice");
    told
}

/// Where a machine forbids the mount, DELTAGATE_WITHOUT_MOUNTS=1 says so, and the test says that it did not run; nothing is left out
/// by itself.
#[test]
fn a_device_is_updated_whatever_fills_the_disk() {
    if std::env::var_os("DELTAGATE_WITHOUT_MOUNTS").is_some() {
        eprintln!("not run, as DELTAGATE_WITHOUT_MOUNTS asks: a disk that is really full");
        return;
    }
    let mut rig = support::rig(Board::Mps2An385, SMALL_BLOCKS, 2_000);
    let disk = SmallDisk { mebibytes: 20 };
    rig.reconfigure(|config| config.disk = Some(disk)).unwrap();
    let rig = support::started(rig);
    // Three times its length is needed, and of 20 MiB 8 are not for images.
    let large = vec![0xA5; 4 << 20];
    let (signed, _) = rig.sign_bytes(&rig.publisher, "large", &large, 3, None).unwrap();
    let import = ["image", "import", &signed.display().to_string()];
    let images = support::images(&rig);
    let no_room = witness::refused(rig.gateway.run(&import), REFUSED, Ending::Updated);
    assert_eq!(support::images(&rig), images, "nothing of it is kept");

    support::caught_after(&rig, 5);
    let filler = rig.gateway.seen_state().unwrap().join("filler");
    let full = std::fs::write(&filler, vec![7; 20 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let filled = witness::refused(rig.gateway.run(&import), REFUSED, Ending::Updated);
    rig.bridge.mend();
    let ending = witness::runs(&rig, 0, 2).ending;
    assert_eq!(rig.bridge.seen().observed.offers_of(2), 1);
    std::fs::remove_file(filler).unwrap();
    let small = rig
        .sign_bytes(&rig.publisher, "small", &[0xA5; 5_000], 3, None)
        .unwrap()
        .0;
    support::import(&rig.gateway, &small);

    table::row("the_disk_has_no_room_for_an_image").check(&Told { ending, ..no_room });
    table::row("somebody_else_fills_the_disk").check(&Told { ending, ..filled });
}
