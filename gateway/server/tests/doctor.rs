//! `deltagate doctor` on machines that are well, and on ones that are not.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;

use support::{Ran, Site};

/// The line of a check and its remedy.
fn check<'r>(ran: &'r Ran, name: &str) -> (&'r str, &'r str) {
    let mut lines = ran.stdout.lines().peekable();
    while let Some(line) = lines.next() {
        if line.split_whitespace().nth(1) == Some(name) {
            let remedy = lines.peek().and_then(|next| next.trim().strip_prefix("→ "));
            return (line, remedy.unwrap_or(""));
        }
    }
    panic!("no check {name}: {ran:?}")
}

/// A site whose publisher's private key is elsewhere.
fn site() -> Site {
    let site = Site::new();
    fs::rename(site.path().join("publisher.key"), site.path().join("elsewhere")).unwrap();
    site
}

#[test]
fn a_machine_that_is_well_passes_with_a_gateway_and_without() {
    let mut site = site();
    let before = site.run("doctor");
    assert_eq!(before.code, Some(0), "{before:?}");
    assert!(
        check(&before, "state").0.ends_with("is made at the first start"),
        "{before:?}"
    );
    assert!(check(&before, "gateway").0.starts_with("warn"), "{before:?}");
    assert!(check(&before, "socket").0.ends_with(" is free"), "{before:?}");
    assert!(!site.state().exists());

    site.start();
    let running = site.run("doctor");
    assert_eq!(running.code, Some(0), "{running:?}");
    let address = site.address();
    assert!(
        check(&running, "gateway")
            .0
            .ends_with(&format!("runs on coap://{address}")),
        "{running:?}"
    );
    assert!(
        check(&running, "socket").0.contains("answers devices"),
        "{running:?}"
    );
    assert!(
        check(&running, "database").0.ends_with("sound, 0 devices"),
        "{running:?}"
    );
    let (open, remedy) = check(&running, "access");
    assert!(
        open.starts_with("warn") && open.ends_with(": default"),
        "{running:?}"
    );
    assert!(remedy.contains("deltagate device enrol"), "{running:?}");
    for name in ["configuration", "trust", "state", "permissions", "clock"] {
        assert!(check(&running, name).0.starts_with("ok   "), "{running:?}");
    }
    assert!(running.stdout.lines().count() < 24, "{running:?}");
    let document = site.json("doctor");
    assert_eq!(document["checks"].as_array().unwrap().len(), 11);
}

#[test]
fn each_fault_is_named_with_its_remedy() {
    let mut site = site();
    let bad = |site: &Site, name: &str, found: &str, remedy: &str| {
        let ran = site.run("doctor");
        let (line, told) = check(&ran, name);
        assert!(line.starts_with("BAD "), "{ran:?}");
        assert!(line.contains(found), "{name}: {line}");
        assert!(told.contains(remedy), "{name}: {told}");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(" checks failed\nhint: "), "{ran:?}");
    };
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    site.configure(&taken.local_addr().unwrap().to_string(), "");
    bad(
        &site,
        "socket",
        "cannot listen on 127.0.0.1:",
        "another program has it: ss -ulpn",
    );
    site.configure("192.0.2.1:5683", "");
    bad(&site, "socket", "cannot listen on 192.0.2.1:5683", "ip address");

    site.configure("127.0.0.1:0", "chekin = 3\n");
    bad(
        &site,
        "configuration",
        "gateway.toml:5: chekin: ",
        "mend that line",
    );
    fs::remove_file(site.path().join("gateway.toml")).unwrap();
    bad(
        &site,
        "configuration",
        "cannot read gateway.toml",
        "deltagate init",
    );
    site.configure("127.0.0.1:0", "");

    let key = site.path().join("publisher.pub");
    let public = fs::read(&key).unwrap();
    fs::write(&key, "no key").unwrap();
    bad(&site, "trust", "publisher.pub", "");
    fs::write(&key, public).unwrap();

    fs::write(site.state(), "a file").unwrap();
    bad(&site, "state", "is no directory", "name another state_dir");
    fs::remove_file(site.state()).unwrap();

    site.start();
    assert_eq!(site.terminate(), Some(0));
    let database = deltagate::store::path_in(&site.state());
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    bad(
        &site,
        "database",
        "database is of version 99",
        "restore gateway.db*",
    );
    fs::write(&database, vec![0x55; 8_192]).unwrap();
    bad(&site, "database", "file is not a database", "restore gateway.db*");
}

#[test]
fn what_could_be_better_is_warned_of_and_is_no_failure() {
    let mut site = Site::new();
    site.start();
    fs::set_permissions(site.state(), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = site.run("doctor");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (line, remedy) = check(&ran, "permissions");
    assert!(line.starts_with("warn") && line.ends_with("mode 755"), "{ran:?}");
    assert_eq!(remedy, "chmod 700 state");
    let (line, remedy) = check(&ran, "trust");
    assert!(
        line.starts_with("warn") && line.contains("publisher.key lies here"),
        "{ran:?}"
    );
    assert!(
        remedy.starts_with("keep it on the publisher's machine"),
        "{ran:?}"
    );
}

#[test]
fn a_gateway_that_hangs_is_told_from_one_that_does_not_run() {
    let site = site();
    fs::create_dir(site.state()).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(site.state().join("admin.sock")).unwrap();
    let breaks_off = std::thread::spawn(move || drop(socket.accept().unwrap()));
    let ran = site.run("doctor");
    breaks_off.join().unwrap();
    let (line, remedy) = check(&ran, "gateway");
    assert!(
        line.starts_with("BAD ") && line.contains("gateway stopped answering"),
        "{ran:?}"
    );
    assert!(remedy.contains("journalctl"), "{ran:?}");
}
