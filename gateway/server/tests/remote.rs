//! Technicians on other machines: real certificates, the real binary, TLS over loopback; OpenSSL as the other implementation.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use deltagate::admin::role::{Role, samples};
use deltagate::admin::turned_away::BURST;
use deltagate::client::remote::Remote;
use deltagate::client::{Client, ClientError};
use deltagate::tls::authority::{Authority, Holder};
use socket2::{Domain, Protocol, Socket, Type};
use support::{Ran, Site, firmware, ran};

const TABLE: &str = "[remote]\naddress = \"127.0.0.1:0\"\nidentity = \"gateway.pem\"\nadmin = [\"alice\"]\noperate = [\"bob\"]\nview = [\"carol\"]\n";

/// A site whose gateway listens to technicians elsewhere. `more` is the end of its `[remote]`.
fn site(more: &str) -> Site {
    let mut site = Site::new();
    site.done("admin-cert authority roofs");
    site.done("admin-cert gateway localhost 127.0.0.1 --out gateway.pem");
    for technician in ["alice", "bob", "carol", "dave"] {
        site.done(&format!("admin-cert technician {technician}"));
    }
    site.configure("127.0.0.1:0", &format!("{TABLE}{more}"));
    site.start();
    site
}

fn address(site: &Site) -> SocketAddr {
    let text = fs::read_to_string(site.state().join("remote.addr")).unwrap();
    text.trim().parse().unwrap()
}

fn client(site: &Site, identity: &str) -> Client {
    let gateway = format!("localhost:{}", address(site).port());
    Client::of(Remote::new(&gateway, &site.path().join(identity)).unwrap())
}

/// A command from elsewhere: in a directory without gateway.toml.
fn from_elsewhere(site: &Site, identity: &str, arguments: &str) -> Ran {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_deltagate"));
    command
        .current_dir(elsewhere.path())
        .env_remove("DELTAGATE_SOCKET")
        .args(arguments.split_whitespace())
        .args(["--gateway", &address(site).to_string()])
        .arg("--identity")
        .arg(site.path().join(identity));
    ran(command.output().unwrap())
}

fn refused(result: Result<serde_json::Value, ClientError>) -> Option<String> {
    match result {
        Err(ClientError::Refused { problem, .. }) => Some(problem),
        Err(ClientError::Disbelief { problem, .. }) => Some(problem),
        Err(ClientError::Failed { .. }) | Ok(_) => None,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn each_role_gets_what_the_table_says_of_every_question() {
    let site = site("");
    let mut turned_away = 0;
    for (role, name) in [
        (Role::View, "carol"),
        (Role::Operate, "bob"),
        (Role::Admin, "alice"),
    ] {
        let client = client(&site, &format!("{name}.pem"));
        for ask in samples() {
            let needed = Role::needed(&ask);
            let problem = refused(client.ask(ask.clone()));
            let for_want = problem
                .as_deref()
                .is_some_and(|problem| problem.contains("has the role"));
            assert_eq!(for_want, role < needed, "{name} {ask:?}: {problem:?}");
            turned_away += u32::from(for_want);
        }
    }
    let trail = site.json("audit --all");
    let entries = trail["entries"].as_array().unwrap();
    let roles = entries
        .iter()
        .filter(|entry| entry["outcome"].as_str().unwrap().contains("needs the role"));
    assert_eq!(roles.clone().count(), BURST as usize, "of {turned_away}");
    let first = roles.clone().next().unwrap();
    let who = first["who"].as_str().unwrap();
    assert!(
        who.starts_with("carol (certificate ") && who.ends_with(") from 127.0.0.1"),
        "{who}"
    );
    // What was done by whom, each once.
    let done = |name: &str, what: &str| {
        let by = entries.iter().filter(|entry| {
            entry["who"].as_str().unwrap().starts_with(name)
                && entry["what"] == what
                && entry["outcome"] == "done"
        });
        by.count()
    };
    assert_eq!(done("bob", "group-create"), 1);
    assert_eq!(done("carol", "group-create"), 0);
}

#[test]
fn commands_work_from_elsewhere_and_files_go_along() {
    let site = site("");
    let status = from_elsewhere(&site, "carol.pem", "status");
    assert_eq!(status.code, Some(0), "{status:?}");
    // Longer than what either end buffers, so that it travels in pieces.
    site.sign("v1", &firmware(1, 300_000), 1, "publisher");
    let file = site.path().join("v1.suit");
    let imported = from_elsewhere(&site, "bob.pem", &format!("image import {}", file.display()));
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert_eq!(site.json("image list")["images"].as_array().unwrap().len(), 1);
    let record = site.path().join("first.dgc");
    let enrol = format!("device enrol 525400000001 --out {}", record.display());
    let no = from_elsewhere(&site, "bob.pem", &enrol);
    assert_eq!(no.code, Some(1), "{no:?}");
    assert!(
        no.stderr
            .contains("has the role operate, and device-enrol-check needs admin"),
        "{}",
        no.stderr
    );
    assert!(
        no.stderr
            .contains("hint: ask whoever keeps this gateway's gateway.toml"),
        "{}",
        no.stderr
    );
    assert!(!record.exists());
    assert_eq!(from_elsewhere(&site, "alice.pem", &enrol).code, Some(0));
    assert!(record.exists());
    let trail = site.json("audit");
    let last = trail["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["what"], "device-enrol");
    assert!(
        last["who"].as_str().unwrap().starts_with("alice (certificate "),
        "{last}"
    );
}

#[test]
fn what_is_about_this_machine_is_refused_for_another() {
    let site = site("");
    for (command, why) in [
        ("doctor", "is about the machine that it runs on"),
        ("serve", "is about the machine that it runs on"),
        ("delta inspect x", "works on files and asks no gateway"),
        (
            "device recover x --image y --serial z",
            "asks the device at its serial line",
        ),
    ] {
        let refused = from_elsewhere(&site, "alice.pem", command);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains(why), "{command}: {}", refused.stderr);
    }
}

#[test]
fn who_has_no_role_or_a_revoked_certificate_gets_nothing() {
    let mut site = site("");
    let shown = site.done("admin-cert show carol.pem");
    let fingerprint = shown
        .lines()
        .find_map(|line| line.strip_prefix("fingerprint   "))
        .unwrap()
        .to_owned();
    assert_eq!(from_elsewhere(&site, "carol.pem", "status").code, Some(0));
    site.terminate();
    site.configure("127.0.0.1:0", &format!("{TABLE}revoked = [\"{fingerprint}\"]\n"));
    site.start();
    let revoked = from_elsewhere(&site, "carol.pem", "status");
    assert_eq!(revoked.code, Some(1), "{revoked:?}");
    let short = &fingerprint[..16];
    assert!(
        revoked
            .stderr
            .contains(&format!("the certificate {short} of carol is revoked")),
        "{}",
        revoked.stderr
    );
    // Another one of the same name counts.
    site.done("admin-cert technician carol --out carol-2.pem");
    assert_eq!(from_elsewhere(&site, "carol-2.pem", "status").code, Some(0));
    let nobody = from_elsewhere(&site, "dave.pem", "status");
    assert!(
        nobody.stderr.contains("dave has no role at this gateway"),
        "{}",
        nobody.stderr
    );
    let trail = site.json("audit");
    let outcomes: Vec<&str> = trail["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["outcome"].as_str().unwrap())
        .collect();
    assert!(
        outcomes
            .iter()
            .any(|outcome| outcome.contains("of carol is revoked")),
        "{outcomes:?}"
    );
    assert!(
        outcomes
            .iter()
            .any(|outcome| outcome.contains("dave has no role")),
        "{outcomes:?}"
    );
}

/// The text between the lines that begin and end a PEM section, those included, of each section.
fn sections(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let ends = text.split_inclusive("-----\n").collect::<Vec<_>>();
    ends.chunks(2).map(|pair| pair.concat()).collect()
}

fn write_identity(path: &Path, parts: &[&str]) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, parts.concat()).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn certificates_that_do_not_count_are_named_on_both_sides() {
    let site = site("");
    let authority = Authority::read(&site.path().join("authority.pem")).unwrap();
    let day = Duration::from_secs(86_400);
    let now = SystemTime::now();
    let technician = Holder::Technician("carol".to_owned());
    authority
        .issue_for(
            &technician,
            now - 2 * day..now - day,
            &site.path().join("expired.pem"),
        )
        .unwrap();
    authority
        .issue_for(
            &technician,
            now + day..now + 2 * day,
            &site.path().join("early.pem"),
        )
        .unwrap();
    // Another authority's technician, who believes this site's gateway.
    let other = Authority::make("others", &site.path().join("other-authority.pem")).unwrap();
    other
        .issue(&technician, 1, &site.path().join("other.pem"))
        .unwrap();
    let (theirs, ours) = (
        sections(&site.path().join("other.pem")),
        sections(&site.path().join("carol.pem")),
    );
    write_identity(
        &site.path().join("mixed.pem"),
        &[&theirs[0], &theirs[1], &ours[2]],
    );
    for (identity, problem) in [
        ("expired.pem", "by its clock it has expired, or is not valid yet"),
        ("early.pem", "by its clock it has expired, or is not valid yet"),
        ("mixed.pem", "another authority has signed it"),
        ("gateway.pem", "it is not a technician's"),
        ("other.pem", "is no gateway of the authority in"),
    ] {
        let refused = from_elsewhere(&site, identity, "status");
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (Some(1), ""),
            "{identity}: {refused:?}"
        );
        assert!(refused.stderr.contains(problem), "{identity}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("\nhint: "),
            "{identity}: {}",
            refused.stderr
        );
    }
    // Key and certificate of two people.
    let bobs = sections(&site.path().join("bob.pem"));
    write_identity(&site.path().join("crossed.pem"), &[&bobs[0], &ours[1], &ours[2]]);
    let refused = from_elsewhere(&site, "crossed.pem", "status");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    // A file that others can read.
    let open = site.path().join("bob.pem");
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refused = from_elsewhere(&site, "bob.pem", "status");
    assert!(
        refused.stderr.contains("can be read by others (mode 644)"),
        "{}",
        refused.stderr
    );
    let trail = site.json("audit --all");
    let strangers = trail["entries"].as_array().unwrap().iter();
    let strangers = strangers.filter(|entry| entry["who"] == "somebody from 127.0.0.1");
    assert_eq!(strangers.count(), 5, "{trail}");
}

#[test]
fn a_technician_does_not_pass_for_a_gateway_nor_one_gateway_for_another() {
    let mut site = site("");
    site.terminate();
    for (identity, problem) in [
        ("carol.pem", "has a certificate that is not a gateway's"),
        ("elsewhere.pem", "has a certificate for other names"),
    ] {
        if !site.path().join(identity).exists() {
            site.done("admin-cert gateway elsewhere.example.com --out elsewhere.pem");
        }
        site.configure("127.0.0.1:0", &TABLE.replace("gateway.pem", identity));
        site.start();
        let refused = from_elsewhere(&site, "alice.pem", "status");
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(problem), "{}", refused.stderr);
        site.terminate();
    }
}

/// What differs from run to run: long hex digits become `#`, dates and times `@`.
fn normal(text: &str) -> String {
    let word = |word: &str| {
        let is = |fits: fn(char) -> bool| word.chars().all(fits) && word.chars().any(|c| c.is_ascii_digit());
        let bare = word.trim_matches(['(', ')', ',', ':']);
        if bare.len() >= 16 && bare.chars().all(|c| c.is_ascii_hexdigit()) {
            word.replace(bare, "#")
        } else if is(|c| c.is_ascii_digit() || matches!(c, '-' | ':')) && word.len() >= 5 {
            "@".to_owned()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Every command of the page's first part, as it stands there, with what it prints.
#[test]
fn the_page_shows_what_is_printed() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/remote.md");
    let page = fs::read_to_string(page).unwrap();
    let mut site = Site::new();
    let (mut configured, mut commands) = (false, 0);
    for block in page.split("```").skip(1).step_by(2) {
        if let Some(table) = block.strip_prefix("toml\n") {
            let table = table.replace("0.0.0.0:5685", "127.0.0.1:0");
            site.configure("127.0.0.1:0", &table);
            site.start();
            configured = true;
            continue;
        }
        for shown in block
            .trim_start_matches("console\n")
            .split("$ deltagate ")
            .skip(1)
        {
            let (command, printed) = shown.split_once('\n').unwrap();
            let mut run = Command::new(env!("CARGO_BIN_EXE_deltagate"));
            run.env_remove("DELTAGATE_SOCKET");
            let command = match configured {
                true => command.replace(
                    "gw1.example.com:5685",
                    &format!("localhost:{}", address(&site).port()),
                ),
                false => command.to_owned(),
            };
            let ran = ran(run
                .current_dir(site.path())
                .args(command.split(' '))
                .output()
                .unwrap());
            assert_eq!(
                normal(&(ran.stdout + &ran.stderr)),
                normal(printed),
                "deltagate {command}"
            );
            commands += 1;
        }
    }
    assert!(configured && commands >= 6, "{commands}");
}

/// OpenSSL's client, with a question.
fn openssl(site: &Site, arguments: &[&str], question: &str) -> String {
    let mut command = Command::new("openssl");
    command
        .current_dir(site.path())
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-connect",
            &address(site).to_string(),
        ])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("scripts/prepare interop installs openssl");
    // It may have ended already.
    let _ = child.stdin.as_mut().unwrap().write_all(question.as_bytes());
    let ran = ran(child.wait_with_output().unwrap());
    ran.stdout + &ran.stderr
}

#[test]
fn openssl_is_understood_with_a_certificate_and_turned_away_without() {
    let site = site("");
    let authority = sections(&site.path().join("authority.pem"));
    fs::write(site.path().join("ca.pem"), &authority[1]).unwrap();
    let status = "{\"v\":1,\"ask\":{\"status\":{}}}\n";
    let own = ["-CAfile", "ca.pem", "-cert", "carol.pem", "-key", "carol.pem"];
    let answer = openssl(&site, &own, status);
    assert!(answer.contains("{\"v\":1,\"ok\":{"), "{answer}");
    let answer = openssl(&site, &["-CAfile", "ca.pem"], status);
    assert!(
        answer.contains("certificate required") && !answer.contains("\"ok\""),
        "{answer}"
    );
    let old = [&own[..], &["-tls1_2"]].concat();
    let answer = openssl(&site, &old, status);
    assert!(
        answer.contains("protocol version") && !answer.contains("\"ok\""),
        "{answer}"
    );
}

#[test]
fn half_open_handshakes_keep_nobody_off_the_machine_and_end_by_themselves() {
    let site = site("");
    let gateway = address(&site);
    // More than there are places, from as many addresses as it takes.
    let held: Vec<TcpStream> = (0..20)
        .map(|n| {
            let from: SocketAddr = format!("127.0.1.{}:0", n + 1).parse().unwrap();
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
            socket.bind(&from.into()).unwrap();
            socket.connect(&gateway.into()).unwrap();
            let mut stream = TcpStream::from(socket);
            // The beginning of a record that never ends.
            stream.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
            stream
        })
        .collect();
    site.json("status");
    // Gets a place when five of them have had their time, which is 10 s: there are 16 places for 21 connections.
    let waited = from_elsewhere(&site, "carol.pem", "status");
    assert_eq!(waited.code, Some(0), "{waited:?}");
    drop(held);
    let trail = site.json("audit --all");
    let late = trail["entries"].as_array().unwrap().iter();
    let late = late.filter(|entry| entry["outcome"] == "refused: the handshake took too long");
    assert!(late.count() >= 5, "{trail}");
}

#[test]
fn without_the_table_nobody_is_listened_to() {
    let site = Site::started();
    assert!(!site.state().join("remote.addr").exists());
    let log = fs::read_to_string(site.path().join("gateway.log")).unwrap();
    assert!(!log.contains("remote"), "{log}");
}
