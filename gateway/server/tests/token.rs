//! Release keys in PKCS#11 tokens, with SoftHSM for a token and OpenSC's tool for a second opinion.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{CLASS, Ran, Site, VENDOR, firmware, hex, ran, sha256};

/// Where Debian has it.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "271828";
const SO_PIN: &str = "31415926";
const KEY: &str = "pkcs11:token=release;object=r1";

/// A site whose publisher has a token.
struct Desk {
    site: Site,
}

impl Desk {
    /// With a token called "release" and no key in it.
    fn new() -> Desk {
        let desk = Desk { site: Site::new() };
        fs::create_dir(desk.path("tokens")).unwrap();
        desk.configure("");
        desk.softhsm(&format!(
            "--init-token --free --label release --so-pin {SO_PIN} --pin {PIN}"
        ));
        desk
    }

    /// With a key in it, called "r1", whose public key is in r1.pub.
    fn with_key() -> Desk {
        let desk = Desk::new();
        desk.done(&format!("key generate --token {KEY} --out r1"));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.path().join(name)
    }

    fn configure(&self, more: &str) {
        let tokens = self.path("tokens");
        let text = format!(
            "directories.tokendir = {}\nlog.level = ERROR\n{more}\n",
            tokens.display()
        );
        fs::write(self.path("softhsm2.conf"), text).unwrap();
    }

    fn command(&self, program: &str, arguments: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.site.path())
            .args(arguments.split_whitespace());
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        command
            .env("DELTAGATE_PKCS11_MODULE", MODULE)
            .env("DELTAGATE_PIN", PIN);
        command.stdin(Stdio::null());
        command
    }

    fn deltagate(&self, arguments: &str) -> Command {
        self.command(env!("CARGO_BIN_EXE_deltagate"), arguments)
    }

    fn run(&self, arguments: &str) -> Ran {
        ran(self.deltagate(arguments).output().unwrap())
    }

    fn done(&self, arguments: &str) -> String {
        succeeded(arguments, self.run(arguments))
    }

    fn tool(&self, program: &str, arguments: &str) -> String {
        let output = self.command(program, arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run scripts/prepare token"));
        succeeded(arguments, ran(output))
    }

    fn softhsm(&self, arguments: &str) -> String {
        self.tool("softhsm2-util", arguments)
    }

    fn opensc(&self, arguments: &str) -> String {
        let log_in = format!("--module {MODULE} --token-label release --login --pin {PIN}");
        self.tool("pkcs11-tool", &format!("{log_in} {arguments}"))
    }

    /// The arguments that sign version 1 into v1.suit.
    fn signing(&self, key: &str) -> String {
        fs::write(self.path("v1.bin"), firmware(1, 20_000)).unwrap();
        format!(
            "image sign v1.bin --vendor {VENDOR} --class {CLASS} --version 1.0 --sequence 1 --key {key} --out v1.suit"
        )
    }

    /// What is said of a key that signs nothing.
    fn refused(&self, key: &str) -> Ran {
        self.refusal(ran(self.deltagate(&self.signing(key)).output().unwrap()))
    }

    /// Nothing was written, and the next line says what to do.
    fn refusal(&self, ran: Ran) -> Ran {
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stderr.lines().nth(1).unwrap().starts_with("hint: "),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains(PIN), "{}", ran.stderr);
        assert!(!self.path("v1.suit").exists());
        ran
    }
}

fn succeeded(arguments: &str, ran: Ran) -> String {
    assert_eq!(ran.code, Some(0), "{arguments}: {}{}", ran.stdout, ran.stderr);
    ran.stdout
}

fn says(ran: &Ran, text: &str) {
    assert!(ran.stderr.contains(text), "no {text:?} in {}", ran.stderr);
}

#[test]
fn a_key_made_in_a_token_signs_an_image_that_the_gateway_imports() {
    let mut desk = Desk::new();
    let made = desk.done(&format!("key generate --token {KEY} --out r1"));
    assert!(
        made.contains("private key   pkcs11:token=release;object=r1;id=%"),
        "{made}"
    );
    assert!(!desk.path("r1.key").exists());
    let signed = desk.done(&desk.signing(KEY));
    let key_id = made.lines().next().unwrap().split_whitespace().last().unwrap();
    assert!(
        signed.contains(&format!("signed by     key {key_id}\n")),
        "{signed}"
    );

    let text = "listen = \"127.0.0.1:0\"\nstate_dir = \"state\"\ntrust = [\"r1.pub\"]\n";
    fs::write(desk.path("gateway.toml"), text).unwrap();
    desk.site.start();
    desk.site.done("image import v1.suit");
    assert_eq!(desk.site.files("images"), [hex(&sha256(&firmware(1, 20_000)))]);
}

/// Signatures beside another key's, sets of keys, statements of what is newest.
#[test]
fn whatever_signs_takes_a_key_in_a_token() {
    let desk = Desk::with_key();
    desk.done(&desk.signing("publisher.key"));
    desk.done(&format!("image cosign v1.suit --key {KEY}"));
    desk.done("image inspect v1.suit --trust r1.pub");
    desk.done(
        "anchors new --number 1 --sequence-max 100 --release publisher.pub --recovery r1.pub --out set.suit",
    );
    let signed = desk.done(&format!("anchors sign set.suit --key {KEY}"));
    let key_id = desk.done("key show r1.pub");
    let key_id = key_id.lines().next().unwrap().split_whitespace().last().unwrap();
    assert!(signed.contains(key_id), "{signed}");
    desk.done(&format!(
        "image latest --vendor {VENDOR} --class {CLASS} --sequence 1 --number 1 --key {KEY} --out latest.cbor"
    ));
}

#[test]
fn a_key_made_in_a_token_cannot_be_read_out_of_it() {
    let desk = Desk::with_key();
    let said = desk.opensc("--list-objects --type privkey");
    assert!(
        said.contains("sensitive, always sensitive, never extractable, local"),
        "{said}"
    );
}

#[test]
fn keys_are_listed_and_shown() {
    let desk = Desk::with_key();
    let public = fs::read_to_string(desk.path("r1.pub")).unwrap();
    let listed = desk.done("key list");
    assert!(
        listed.starts_with("token         pkcs11:token=release;serial="),
        "{listed}"
    );
    assert!(
        listed.contains("\nEd25519       makes keys and signs\n"),
        "{listed}"
    );
    let line = listed.lines().find(|line| line.starts_with("key  ")).unwrap();
    let (id, uri) = line["key".len()..].trim().split_once("  ").unwrap();
    // What is listed names the key.
    let shown = desk.done(&format!("key show {uri}"));
    let made = "made in the token, which shows it to nobody";
    assert_eq!(
        shown,
        format!("key id        {id}\nprivate key   {uri}\n              {made}\n{public}")
    );
    assert_eq!(desk.done("key list pkcs11:token=release"), listed);
    assert_eq!(
        desk.done("key show r1.pub"),
        format!("key id        {id}\n{public}")
    );

    desk.softhsm(&format!(
        "--import publisher.key --token release --label r2 --id 0b --pin {PIN}"
    ));
    let shown = desk.done("key show pkcs11:object=r2;token=release --out r2.pub");
    assert!(shown.contains("copies may be elsewhere"), "{shown}");
    let file = desk.done("key show publisher.key");
    assert_eq!(shown.lines().next(), file.lines().next());
    assert_eq!(
        fs::read(desk.path("r2.pub")).unwrap(),
        fs::read(desk.path("publisher.pub")).unwrap()
    );
    says(
        &desk.run(&format!("key show {uri} --out r2.pub")),
        "error: r2.pub exists already",
    );
    assert_eq!(desk.done("key list").matches("\nkey  ").count(), 2);
}

#[test]
fn a_second_key_of_the_same_name_is_not_made() {
    let desk = Desk::with_key();
    let public = fs::read(desk.path("r1.pub")).unwrap();
    let refused = desk.run(&format!("key generate --token {KEY} --out other"));
    assert_eq!(refused.code, Some(1));
    says(&refused, "error: pkcs11:token=release;object=r1;id=%");
    says(&refused, " exists already\nhint: ");
    assert!(!desk.path("other.pub").exists());
    let refused = desk.run("key generate --token pkcs11:token=release;object=r2 --out r1");
    says(&refused, "error: r1.pub exists already\nhint: ");
    assert_eq!(
        desk.opensc("--list-objects --type privkey")
            .matches("label:")
            .count(),
        1
    );
    assert_eq!(fs::read(desk.path("r1.pub")).unwrap(), public);
    let refused = desk.run("key generate --token pkcs11:token=release --out r2");
    says(&refused, "error: the new key has no label\nhint: ");
}

/// Nobody has the public key of a key that was made; its file could not be written.
#[test]
fn a_key_whose_public_key_is_not_written_does_not_stay() {
    let desk = Desk::new();
    let refused = desk.run(&format!("key generate --token {KEY} --out missing/r1"));
    assert_eq!(refused.code, Some(1));
    says(&refused, "error: cannot write missing/r1.pub");
    assert_eq!(desk.opensc("--list-objects").trim(), "");
}

#[test]
fn a_wrong_pin_is_tried_once_and_signs_nothing() {
    let desk = Desk::with_key();
    let mut sign = desk.deltagate(&desk.signing(KEY));
    let refused = desk.refusal(ran(sign.env("DELTAGATE_PIN", "999999").output().unwrap()));
    says(
        &refused,
        "error: token release refuses the PIN; it counts wrong ones",
    );
    assert!(!refused.stderr.contains("999999"), "{}", refused.stderr);
    desk.done(&desk.signing(KEY));
}

/// SoftHSM never locks a PIN: its flag is set in the token's file, as a device would set it.
#[test]
fn a_locked_pin_is_not_tried() {
    /// `CKF_USER_PIN_LOCKED` of PKCS#11.
    const LOCKED: u64 = 0x0004_0000;
    /// SoftHSM's attribute with a token's flags, and that eight bytes of a number follow.
    const FLAGS: [u8; 16] = [0, 0, 0, 0, 0x80, 0, 0x53, 0x4b, 0, 0, 0, 0, 0, 0, 0, 2];

    let desk = Desk::with_key();
    let token = fs::read_dir(desk.path("tokens"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let file = token.path().join("token.object");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(16).position(|window| window == FLAGS).unwrap() + 16;
    let flags = u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    bytes[at..at + 8].copy_from_slice(&(flags | LOCKED).to_be_bytes());
    fs::write(&file, bytes).unwrap();
    let refused = desk.refused(KEY);
    says(
        &refused,
        "error: token release is locked: too many wrong PINs\nhint: unlock it with its SO PIN",
    );
}

#[test]
fn a_token_without_a_pin_is_told_from_a_wrong_one() {
    let desk = Desk::new();
    let init = format!("--module {MODULE} --slot-index 1 --init-token --label fresh --so-pin {SO_PIN}");
    desk.tool("pkcs11-tool", &init);
    let refused = desk.refused("pkcs11:token=fresh;object=r1");
    says(&refused, "error: token fresh has no user PIN yet\nhint: set it");
}

#[test]
fn a_missing_key_or_token_is_named_with_those_there_are() {
    let desk = Desk::with_key();
    let refused = desk.refused("pkcs11:token=release;object=r2");
    says(
        &refused,
        "error: token release has no private key object=r2\nhint: there are: pkcs11:token=release;object=r1;id=%",
    );
    let refused = desk.refused("pkcs11:token=relaese;object=r1");
    says(
        &refused,
        "error: no token is token=relaese\nhint: there are: token=release;serial=",
    );
}

#[test]
fn two_keys_with_one_label_sign_nothing_until_an_id_says_which() {
    let desk = Desk::with_key();
    desk.softhsm(&format!(
        "--import publisher.key --token release --label r1 --id 0b --pin {PIN}"
    ));
    let refused = desk.refused(KEY);
    says(
        &refused,
        "error: token release has 2 private keys object=r1\nhint: say which: pkcs11:token=release;object=r1;id=%",
    );
    says(&refused, "pkcs11:token=release;object=r1;id=%0b");
    desk.done(&desk.signing("pkcs11:token=release;id=%0b"));
    desk.done("image inspect v1.suit --trust publisher.pub");
}

#[test]
fn what_is_no_signature_by_the_public_key_is_not_written() {
    let desk = Desk::new();
    desk.opensc("--keypairgen --key-type EC:edwards25519 --id 0b --label r1");
    desk.softhsm(&format!(
        "--import publisher.key --token release --label other --id 0c --pin {PIN}"
    ));
    // Two public keys with one id: which is the private key's is not known.
    desk.softhsm(&format!(
        "--import publisher.key --token release --label stranger --id 0b --pin {PIN} --force"
    ));
    desk.opensc("--delete-object --type privkey --label stranger");
    let refused = desk.refused(KEY);
    says(
        &refused,
        "error: the token has 2 different public keys with the id or label of pkcs11:token=release;object=r1;id=%0b",
    );
    // One, and it is another's.
    desk.opensc("--delete-object --type pubkey --label r1");
    says(
        &desk.run(&format!("key show {KEY}")),
        "error: the token returned what is no signature",
    );
    let refused = desk.refused(KEY);
    says(
        &refused,
        "error: the token returned what is no signature by pkcs11:token=release;object=r1;id=%0b: nothing was written",
    );
    // None.
    desk.opensc("--delete-object --type pubkey --label stranger");
    let refused = desk.refused(KEY);
    says(
        &refused,
        "error: the token does not say the public key of pkcs11:token=release;object=r1;id=%0b",
    );
}

#[test]
fn a_key_of_another_kind_signs_nothing() {
    let desk = Desk::new();
    desk.opensc("--keypairgen --key-type EC:prime256v1 --id 0b --label r1");
    says(
        &desk.refused(KEY),
        "error: pkcs11:token=release;object=r1;id=%0b is not an Ed25519 key, but CKK_EC\nhint: ",
    );
}

#[test]
fn a_key_that_wants_its_pin_each_time_is_refused() {
    let desk = Desk::new();
    desk.opensc("--keypairgen --key-type EC:edwards25519 --id 0b --label r1 --always-auth");
    says(
        &desk.refused(KEY),
        "error: pkcs11:token=release;object=r1;id=%0b wants its PIN again for each signature",
    );
}

#[test]
fn a_token_without_ed25519_is_not_asked_for_its_pin() {
    let desk = Desk::with_key();
    desk.configure("slots.mechanisms = CKM_ECDSA,CKM_SHA256");
    let mut sign = desk.deltagate(&desk.signing(KEY));
    let refused = desk.refusal(ran(sign.env("DELTAGATE_PIN", "999999").output().unwrap()));
    says(
        &refused,
        "error: token release does not offer CKM_EDDSA\nhint: take a token that signs with Ed25519",
    );
    desk.configure("slots.mechanisms = CKM_EDDSA,CKM_SHA256");
    desk.done(&desk.signing(KEY));
    let refused = desk.run("key generate --token pkcs11:token=release;object=r2 --out r2");
    says(
        &refused,
        "error: token release does not offer CKM_EC_EDWARDS_KEY_PAIR_GEN",
    );
}

#[test]
fn a_module_that_is_missing_or_none_is_named() {
    let desk = Desk::with_key();
    let with = |module: &str| {
        let mut sign = desk.deltagate(&desk.signing(KEY));
        desk.refusal(ran(sign.env("DELTAGATE_PKCS11_MODULE", module).output().unwrap()))
    };
    says(
        &with("/missing.so"),
        "error: cannot load the PKCS#11 module /missing.so: ",
    );
    fs::write(desk.path("text.so"), "text").unwrap();
    says(
        &with("./text.so"),
        "error: cannot load the PKCS#11 module ./text.so: ",
    );
    says(&with(""), "error: no PKCS#11 module was named\nhint: ");
    says(&with(""), MODULE);
    let uri = format!("{KEY}?module-path={MODULE}");
    let mut sign = desk.deltagate(&desk.signing(&uri));
    succeeded(
        "module-path",
        ran(sign.env_remove("DELTAGATE_PKCS11_MODULE").output().unwrap()),
    );
}

#[test]
fn a_pin_file_is_for_its_owner_only() {
    let desk = Desk::with_key();
    let file = desk.path("pin");
    let uri = format!("{KEY}?pin-source=file:{}", file.display());
    let signed = || {
        let mut sign = desk.deltagate(&desk.signing(&uri));
        ran(sign.env_remove("DELTAGATE_PIN").output().unwrap())
    };
    fs::write(&file, format!("{PIN}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    says(
        &desk.refusal(signed()),
        "can be read by others (mode 644)\nhint: chmod 600 ",
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    succeeded("pin-source", signed());
    fs::remove_file(desk.path("v1.suit")).unwrap();
    fs::write(&file, "\n").unwrap();
    says(&desk.refusal(signed()), "holds no PIN\nhint: ");
    let refused = desk.refused(&format!("{KEY}?pin-value={PIN}"));
    says(&refused, "pin-value is refused");
}

#[test]
fn nobody_at_a_terminal_is_not_asked() {
    let desk = Desk::with_key();
    let program = env!("CARGO_BIN_EXE_deltagate");
    let mut sign = desk.command("setsid", &format!("--wait {program} {}", desk.signing(KEY)));
    let refused = desk.refusal(ran(sign.env_remove("DELTAGATE_PIN").output().unwrap()));
    says(
        &refused,
        "error: token release wants its PIN, and there is nobody to ask\nhint: ",
    );
    says(&refused, "DELTAGATE_PIN");
}

/// At a terminal of `script`'s making.
#[test]
fn a_typed_pin_is_not_shown() {
    let desk = Desk::with_key();
    let program = env!("CARGO_BIN_EXE_deltagate");
    let sign = format!("{program} {}", desk.signing(&format!("'{KEY}'")));
    let mut terminal = desk.command("script", "--quiet --return --flush --command");
    terminal.arg(sign).arg("/dev/null").env_remove("DELTAGATE_PIN");
    terminal.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut terminal = terminal.spawn().unwrap();
    let mut shown = Vec::new();
    let mut output = terminal.stdout.take().unwrap();
    while !shown.ends_with(b"PIN of token release: ") {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        shown.push(byte[0]);
    }
    terminal
        .stdin
        .as_mut()
        .unwrap()
        .write_all(format!("{PIN}\n").as_bytes())
        .unwrap();
    output.read_to_end(&mut shown).unwrap();
    assert!(terminal.wait().unwrap().success());
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("signed by     key "), "{shown}");
    assert!(!shown.contains(PIN), "{shown}");
    desk.done("image inspect v1.suit --trust r1.pub");
}
