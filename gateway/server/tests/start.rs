//! Starting, stopping, and refusing to start.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use support::Site;
use support::device::Device;

#[test]
fn a_configuration_error_names_file_line_key_and_what_is_expected() {
    let site = Site::new();
    site.configure("127.0.0.1:0", "unclaimed_max = \"many\"\n");
    let refused = site.run("serve");
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("gateway.toml:5: unclaimed_max: "),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("expected u64"), "{}", refused.stderr);
    assert!(refused.stdout.is_empty());
    assert!(!site.state().exists());
}

#[test]
fn a_trust_anchor_that_is_missing_or_private_is_refused() {
    let site = Site::new();
    std::fs::remove_file(site.path().join("publisher.pub")).unwrap();
    let refused = site.run("serve");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused
            .stderr
            .starts_with("error: trust: cannot read trust anchor publisher.pub: "),
        "{}",
        refused.stderr
    );
    std::fs::rename(
        site.path().join("publisher.key"),
        site.path().join("publisher.pub"),
    )
    .unwrap();
    let refused = site.run("serve");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("private key"), "{}", refused.stderr);
}

#[test]
fn a_second_gateway_on_the_same_state_is_refused_and_the_first_goes_on() {
    let site = Site::started();
    let refused = site.run("serve");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("used by another gateway"),
        "{}",
        refused.stderr
    );
    site.json("status");
}

#[test]
fn a_newer_database_is_refused() {
    let mut site = Site::started();
    assert_eq!(site.terminate(), Some(0));
    let database = rusqlite::Connection::open(site.state().join("gateway.db")).unwrap();
    database.pragma_update(None, "user_version", 1_000).unwrap();
    drop(database);
    let refused = site.run("serve");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("version 1000"), "{}", refused.stderr);
}

#[test]
fn the_state_is_for_its_owner_only() {
    let site = Site::started();
    let mode = |name: &str| {
        std::fs::metadata(site.state().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("admin.sock"), 0o600);
}

#[test]
fn the_address_is_left_for_tools_and_the_socket_goes_with_the_gateway() {
    let mut site = Site::started();
    let left = std::fs::read_to_string(site.state().join("coap.addr")).unwrap();
    assert_eq!(left.trim(), site.address().to_string());
    assert_eq!(site.json("status")["coap"], left.trim());
    assert_eq!(site.terminate(), Some(0));
    assert!(!site.state().join("admin.sock").exists());
}

#[test]
fn a_command_without_a_gateway_says_how_to_start_one() {
    let site = Site::new();
    let refused = site.run("device list");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("no gateway answers"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("hint: deltagate serve --config"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_gateway_is_found_by_socket_environment_or_configuration() {
    let site = Site::started();
    let socket = site.state().join("admin.sock");
    let run = |arguments: &[&str], environment: Option<&std::path::Path>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_deltagate"));
        let elsewhere = tempfile::tempdir().unwrap();
        command
            .current_dir(elsewhere.path())
            .env_remove("DELTAGATE_SOCKET")
            .args(arguments);
        command.envs(environment.map(|path| ("DELTAGATE_SOCKET", path)));
        support::ran(command.output().unwrap())
    };
    assert_eq!(
        run(&["status", "--socket", socket.to_str().unwrap()], None).code,
        Some(0)
    );
    assert_eq!(run(&["status"], Some(&socket)).code, Some(0));
    let config = site.path().join("gateway.toml");
    assert_eq!(
        run(&["status", "--config", config.to_str().unwrap()], None).code,
        Some(0)
    );
    let lost = run(&["status"], None);
    assert_eq!(lost.code, Some(2));
    assert!(lost.stderr.contains("DELTAGATE_SOCKET"), "{}", lost.stderr);
}

#[test]
fn a_socket_left_by_a_killed_gateway_is_replaced() {
    let mut site = Site::started();
    site.kill();
    assert!(site.state().join("admin.sock").exists());
    site.start();
    site.json("status");
}

#[test]
fn refusals_end_with_1_and_wrong_usage_with_2() {
    let site = Site::started();
    let refused = site.run("device show 525400000001");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.lines().any(|line| line.starts_with("hint: ")),
        "{}",
        refused.stderr
    );
    assert_eq!(site.run("device show nonsense").code, Some(1));
    assert_eq!(site.run("update assign 0011 --device 52").code, Some(1));
    assert_eq!(site.run("link show nowhere").code, Some(1));
    assert_eq!(site.run("device").code, Some(2));
    assert_eq!(site.run("update assign 0011").code, Some(2));
}

#[test]
fn a_question_of_another_version_or_without_end_is_refused() {
    let site = Site::started();
    let ask = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(site.state().join("admin.sock")).unwrap();
        // The gateway may answer and close before it has everything.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    };
    assert!(ask(b"{\"v\":2,\"ask\":{\"later\":{}}}\n").contains("version 2"));
    assert!(ask(b"{\"v\":1,\"ask\":{\"reboot\":{}}}\n").contains("refused"));
    assert!(ask(&[b'x'; 10_000]).contains("one line"));
    assert!(
        ask(b"{\"v\":1,\"ask\":{\"image-import\":{}},\"body_bytes\":99999999999}\n").contains("longer than")
    );
    assert!(
        ask(b"{\"v\":1,\"ask\":{\"image-import\":{}},\"body_bytes\":10}\nshort").contains("ends after 5")
    );
    site.json("status");
}

#[test]
fn datagrams_of_any_shape_leave_the_gateway_answering() {
    let site = Site::started();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [0, 1, 3, 4, 5, 100, 1_500, 9_000] {
        for byte in [0x00, 0x40, 0x4f, 0x7f, 0xff] {
            socket.send_to(&vec![byte; length], site.address()).unwrap();
        }
    }
    let mut device = Device::running(1, b"any", 1);
    assert!(device.check_in(site.address()).job.is_none());
}

#[test]
fn links_are_shown_as_configured() {
    let mut site = Site::new();
    let link = "[[link]]\nname = \"local\"\nprefixes = [\"127.0.0.0/8\"]\nrate_bits_per_second = 1_000_000\n\
                ack_timeout_ms = 3_000\nblock_size_max = 64\n";
    site.configure("127.0.0.1:0", link);
    site.start();
    let mut device = Device::running(1, b"any", 1);
    device.check_in(site.address());
    let shown = site.json("link show local");
    assert_eq!(shown["link"]["block_size"], 64);
    assert_eq!(shown["link"]["devices"], 1);
    assert!(shown["link"]["traffic"]["up_bytes"].as_u64().unwrap() > 28);
    assert!(site.done("link list").contains("1000000 bit/s"));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let site = Site::started();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_deltagate"))
        .current_dir(site.path())
        .args(["status", "--json", "--config", "gateway.toml"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = support::ran(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_gateway_that_breaks_off_is_an_internal_failure() {
    let site = Site::new();
    let path = site.path().join("broken.sock");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let breaks_off = std::thread::spawn(move || drop(socket.accept().unwrap()));
    let failed = site.run("status --socket broken.sock");
    breaks_off.join().unwrap();
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(
        failed.stderr.starts_with("error: gateway stopped answering"),
        "{}",
        failed.stderr
    );
}

#[test]
fn every_listing_is_a_document_with_json() {
    let site = Site::started();
    Device::running(1, b"any", 1).check_in(site.address());
    let listings = [
        ("image list", "images"),
        ("device list", "devices"),
        ("group list", "groups"),
        ("update status", "updates"),
        ("link list", "links"),
        ("status", "updates"),
    ];
    for (listing, key) in listings {
        assert!(site.json(listing)[key].is_array(), "{listing}");
    }
}

#[test]
fn every_refusal_names_what_was_asked_for_and_the_command_that_helps() {
    let site = Site::started();
    let digest = site.import("v1", b"an image", 1);
    let image = &digest[..16];
    let refused = |arguments: String, problem: &str, hint: &str| {
        let ran = site.run(&arguments);
        assert_eq!(ran.code, Some(1), "{arguments}: {ran:?}");
        let changes = !arguments.contains(" show ");
        let changed = if changes { "nothing changed\n" } else { "" };
        let told = format!("error: {problem}\n{changed}hint: {hint}\n");
        assert_eq!(ran.stderr, told, "{arguments}");
    };
    let device = "525400000009";
    let unknown = format!("device {device} is not known");
    let find = format!("deltagate device find {device}");
    refused(format!("device show {device}"), &unknown, &find);
    refused(
        format!("update assign {image} --device {device}"),
        &unknown,
        &find,
    );
    refused(format!("update retry --device {device}"), &unknown, &find);
    refused(
        format!("update assign 0123abcd --device {device}"),
        "image 0123abcd is not known",
        "deltagate image list",
    );
    refused(
        format!("update assign {image} --group roof"),
        "group roof does not exist",
        "deltagate group create roof",
    );
    site.done("group create roof");
    refused(format!("group add roof {device}"), &unknown, &find);
    refused(
        "link show nowhere".to_owned(),
        "link nowhere is not configured",
        "deltagate link list",
    );
    let other_class = "00000000-0000-0000-0000-000000000001";
    let class = site.json("image list")["images"][0]["class_id"]
        .as_str()
        .unwrap()
        .to_owned();
    refused(
        format!("update assign {image} --class {other_class}"),
        &format!("image {image} is for class {class}, not for class {other_class}"),
        "deltagate image list",
    );
    let mut newer = Device::running(1, b"newer", 7);
    newer.check_in(site.address());
    refused(
        format!("update assign {image} --device {}", newer.id()),
        &format!(
            "image {image} has sequence number 1, but device {} runs sequence number 7",
            newer.id()
        ),
        "deltagate image sign FILE --sequence 8 --version VERSION --vendor DOMAIN --class NAME --key FILE --out FILE",
    );
    let mut stranger = Device::running(2, b"other", 1);
    stranger.check_in.class_id = [0xC1; 16];
    stranger.check_in(site.address());
    let ran = site.run(&format!("update assign {image} --device {}", stranger.id()));
    assert!(ran.stderr.contains("is of class c1c1c1c1-"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: deltagate device show"),
        "{}",
        ran.stderr
    );
}
