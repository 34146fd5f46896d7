//! Deltas by hand: what is made can be applied, nothing is written that should not be, and image files say where they run.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Ran, Site, hex, sha256};

/// Where the images of Thumb code in the fixtures run.
const ADDRESS: u32 = 0x0800_4000;
/// Where the target runs.
const NEW_ADDRESS: u32 = 0x0800_4040;

/// A directory with two images of Thumb code.
fn desk() -> Site {
    let site = Site::new();
    for (name, fixture) in [("old.bin", "thumb-base.bin"), ("new.bin", "thumb-target.bin")] {
        write(&site, name, &image(fixture));
    }
    site
}

fn image(fixture: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/patch");
    fs::read(fixtures.join(fixture)).unwrap()
}

fn write(site: &Site, name: &str, bytes: &[u8]) {
    fs::write(site.path().join(name), bytes).unwrap();
}

fn read(site: &Site, name: &str) -> Vec<u8> {
    fs::read(site.path().join(name)).unwrap()
}

/// A refusal says what cannot be done, that nothing changed and what to do next, and changes nothing.
fn refused(site: &Site, command: &str) -> String {
    let names = |site: &Site| {
        let entries = fs::read_dir(site.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names(site);
    let Ran { code, stdout, stderr } = site.run(command);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(lines[0].starts_with("error: "), "{stderr}");
    assert!(lines[1].starts_with("hint: nothing changed; "), "{stderr}");
    assert_eq!(names(site), before);
    lines[0].to_owned()
}

/// A 32-bit ELF file for a machine, with one segment at a physical address.
fn elf(machine: u16, address: u32, data: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2, machine] {
        file.extend(half.to_le_bytes());
    }
    // version, entry, program header offset, section header offset, flags
    for word in [1_u32, 0, 52, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    // header size, program header size and count, section header size, count and names
    for half in [52_u16, 32, 1, 40, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let len = data.len() as u32;
    // PT_LOAD, offset, virtual and physical address, sizes, flags, alignment
    for word in [1, 84, 0x2000_0000, address, len, len, 5, 4] {
        file.extend(word.to_le_bytes());
    }
    file.extend(data);
    file
}

/// An Intel HEX file of such parts.
fn intel_hex(parts: &[(u32, &[u8])]) -> String {
    let record = |kind: u8, offset: u16, data: &[u8]| {
        let mut bytes = vec![data.len() as u8, (offset >> 8) as u8, offset as u8, kind];
        bytes.extend(data);
        let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        bytes.push(sum.wrapping_neg());
        let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        format!(":{digits}\n")
    };
    let mut file = String::new();
    for (address, data) in parts {
        for (at, chunk) in data.chunks(16).enumerate() {
            let address = address + at as u32 * 16;
            file += &record(4, 0, &(address >> 16).to_be_bytes()[2..]);
            file += &record(0, address as u16, chunk);
        }
    }
    file + &record(1, 0, &[])
}

/// The text without its figures and digests, which change with every better model.
fn shape(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ';']);
        let is_digest = bare.len() == 64 && bare.bytes().all(|digit| digit.is_ascii_hexdigit());
        if is_digest {
            word.replace(bare, "DIGEST")
        } else if !bare.starts_with("0x") && bare.trim_matches(['(', ')']).parse::<f64>().is_ok() {
            word.replace(bare.trim_matches(['(', ')']), "N")
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(word).collect();
        words.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn a_patch_makes_the_new_image_of_the_old_one() {
    let site = desk();
    for memory in ["4KiB", "8KiB", "16KiB", "32KiB", "64KiB", "128KiB"] {
        let created = site.json(&format!("delta create --memory {memory} old.bin new.bin patch"));
        let patch = read(&site, "patch");
        assert_eq!(created["size_bytes"], patch.len());
        let kib: u64 = memory.trim_end_matches("KiB").parse().unwrap();
        assert_eq!(created["decoder_memory_bytes"], kib << 10);
        let digest = hex(&sha256(&image("thumb-target.bin")));
        assert_eq!(created["new"]["digest"], digest.as_str());
        let applied = site.json(&format!(
            "delta apply --expect-sha256 {digest} old.bin patch result.bin"
        ));
        assert_eq!(applied["digest"], digest.as_str());
        assert_eq!(applied["is_expected"], true);
        assert_eq!(read(&site, "result.bin"), image("thumb-target.bin"));
    }
}

#[test]
fn another_base_is_refused_before_anything_is_written() {
    let site = desk();
    site.done("delta create old.bin new.bin patch");
    let error = refused(&site, "delta apply new.bin patch result.bin");
    assert!(error.contains("the patch is for the image "), "{error}");
    refused(&site, "delta inspect new.bin patch");
}

#[test]
fn a_truncated_or_altered_patch_leaves_what_was_there() {
    let site = desk();
    site.done("delta create old.bin new.bin patch");
    let patch = read(&site, "patch");
    write(&site, "result.bin", b"before");
    let middle = patch.len() / 2;
    let altered = {
        let mut altered = patch.clone();
        altered[middle] ^= 1;
        altered
    };
    for (bytes, clause) in [
        (&patch[..10], "cannot apply patch: patch ends early"),
        (&patch[..middle], "cannot apply patch: "),
        (&altered, "cannot apply patch: "),
        (
            b"no patch, whatever it may be",
            "cannot apply patch: not a deltagate patch",
        ),
    ] {
        write(&site, "patch", bytes);
        let error = refused(&site, "delta apply old.bin patch result.bin");
        assert!(error.contains(clause), "{error}");
        assert_eq!(read(&site, "result.bin"), b"before");
    }
}

#[test]
fn a_patch_for_more_memory_is_refused() {
    let site = desk();
    site.done("delta create --memory 16KiB old.bin new.bin patch");
    site.done("delta apply --memory 16KiB old.bin patch result.bin");
    let error = refused(&site, "delta apply --memory 8KiB old.bin patch other.bin");
    assert_eq!(
        error,
        "error: cannot apply the patch: it needs 16384 bytes of decoder memory, and may use 8192"
    );
}

#[test]
fn an_unexpected_result_is_not_written() {
    let site = desk();
    site.done("delta create old.bin new.bin patch");
    let other = hex(&sha256(b"another image"));
    let error = refused(
        &site,
        &format!("delta apply --expect-sha256 {other} old.bin patch result.bin"),
    );
    assert!(error.ends_with(&format!("expected was {other}")), "{error}");
    let usage = site.run("delta apply --expect-sha256 1234 old.bin patch result.bin");
    assert_eq!(usage.code, Some(2), "{usage:?}");
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let site = desk();
    let error = refused(&site, "delta create old.bin absent.bin patch");
    assert!(error.starts_with("error: cannot read absent.bin: "), "{error}");
    let error = refused(&site, "delta create old.bin new.bin absent/patch");
    assert!(error.starts_with("error: cannot write absent/patch: "), "{error}");
    let error = refused(&site, "delta create old.bin new.bin /dev/null");
    assert_eq!(
        error,
        "error: cannot write /dev/null: it is there and no regular file"
    );
    let error = refused(&site, "delta inspect absent.bin");
    assert!(error.starts_with("error: cannot read absent.bin: "), "{error}");
}

#[test]
fn elf_files_say_where_they_run_and_are_flattened() {
    let site = desk();
    write(&site, "old.elf", &elf(40, ADDRESS, &image("thumb-base.bin")));
    write(
        &site,
        "new.elf",
        &elf(40, NEW_ADDRESS, &image("thumb-target.bin")),
    );
    let created = site.json("delta create old.elf new.elf patch");
    assert_eq!(created["addresses_from"], "files");
    assert_eq!(created["relocation"]["base"][0]["address"], "0x08004000");
    assert_eq!(created["old"]["format"], "elf");
    assert_eq!(created["old"]["machine"], "Arm");
    assert_eq!(created["relocation"]["isa"], "thumb");
    assert_eq!(created["isa_from"], "files");
    assert_eq!(created["old"]["address"], "0x08004000");
    // What was inferred from the raw images is what the files say.
    let inferred = site.json("delta create old.bin new.bin raw");
    assert_eq!(inferred["addresses_from"], "inferred");
    assert_eq!(read(&site, "patch"), read(&site, "raw"));
    // A patch is for the image, whatever file that is in.
    site.done("delta apply old.elf raw result.bin");
    assert_eq!(read(&site, "result.bin"), image("thumb-target.bin"));
}

#[test]
fn hex_files_say_where_they_run_and_their_gaps_are_erased_flash() {
    let site = desk();
    let base = image("thumb-base.bin");
    let (code, rest) = base.split_at(1_000);
    write(
        &site,
        "old.hex",
        intel_hex(&[(ADDRESS, code), (ADDRESS + 1_024, rest)]).as_bytes(),
    );
    write(&site, "new.hex", intel_hex(&[(ADDRESS, &base)]).as_bytes());
    let created = site.json("delta create old.hex new.hex patch");
    assert_eq!(created["addresses_from"], "files");
    assert_eq!(created["old"]["format"], "hex");
    assert_eq!(created["old"]["address"], "0x08004000");
    assert_eq!(created["old"]["gaps"][0]["address"], "0x080043e8");
    assert_eq!(created["old"]["gaps"][0]["bytes"], 24);
    let flat = [code, &[0xFF; 24], rest].concat();
    assert_eq!(created["old"]["digest"], hex(&sha256(&flat)).as_str());
    write(&site, "flat.bin", &flat);
    site.done("delta apply flat.bin patch result.bin");
    assert_eq!(read(&site, "result.bin"), base);
    let whole = intel_hex(&[(ADDRESS, &base)]);
    let (cut, _) = whole.split_at(whole.len() - 12);
    write(&site, "cut.hex", cut.as_bytes());
    let error = refused(&site, "delta create old.bin cut.hex other");
    assert_eq!(
        error,
        "error: cannot make an image of cut.hex: Intel HEX file ends early, without an end record"
    );
}

/// A UF2 file of one family.
fn uf2(family: u32, address: u32, data: &[u8]) -> Vec<u8> {
    let total = data.len().div_ceil(256) as u32;
    let block = |(number, chunk): (u32, &[u8])| {
        let (place, bytes) = (address + number * 256, chunk.len() as u32);
        let words = [
            0x0a32_4655,
            0x9e5d_5157,
            0x2000,
            place,
            bytes,
            number,
            total,
            family,
        ];
        let mut block = words.map(u32::to_le_bytes).concat();
        block.extend_from_slice(chunk);
        block.resize(508, 0);
        block.extend(0x0ab1_6f30_u32.to_le_bytes());
        block
    };
    (0..).zip(data.chunks(256)).flat_map(block).collect()
}

#[test]
fn uf2_files_say_where_and_on_what_they_run() {
    const NRF52840: u32 = 0xada5_2840;
    let site = desk();
    write(
        &site,
        "old.uf2",
        &uf2(NRF52840, ADDRESS, &image("thumb-base.bin")),
    );
    let other = uf2(0xe48b_ff56, ADDRESS, &image("thumb-base.bin"));
    let new = uf2(NRF52840, NEW_ADDRESS, &image("thumb-target.bin"));
    write(&site, "new.uf2", &[new, other].concat());
    let error = refused(&site, "delta create old.uf2 new.uf2 patch");
    assert_eq!(
        error,
        "error: cannot make an image of new.uf2: it is for several families: NRF52840 (0xada52840), RP2040 (0xe48bff56)"
    );
    let created = site.json("delta create --family nrf52840 old.uf2 new.uf2 patch");
    assert_eq!(created["isa_from"], "files");
    assert_eq!(created["addresses_from"], "files");
    assert_eq!(created["old"]["format"], "uf2");
    // What was inferred from the raw images is what the files say.
    site.done("delta create old.bin new.bin raw");
    assert_eq!(read(&site, "patch"), read(&site, "raw"));
    let usage = site.run("delta create --family z80 old.uf2 new.uf2 patch");
    assert_eq!(usage.code, Some(2), "{usage:?}");
}

#[test]
fn an_image_outside_the_slot_is_refused_by_its_address() {
    let site = desk();
    write(&site, "old.elf", &elf(40, ADDRESS, &image("thumb-base.bin")));
    let error = refused(
        &site,
        "delta create --slot-address 0x08004000 --slot-bytes 1KiB old.elf old.elf patch",
    );
    assert_eq!(
        error,
        "error: cannot make an image of old.elf: data at 0x08004400 lies outside the slot, which is 1024 bytes from 0x08004000 on"
    );
    let usage = site.run("delta create --slot-address 0x08004000 old.elf old.elf patch");
    assert_eq!(usage.code, Some(2), "{usage:?}");
}

#[test]
fn a_typed_address_goes_before_that_of_the_file() {
    let site = desk();
    write(&site, "old.elf", &elf(40, 0x1000, &image("thumb-base.bin")));
    let typed = "--base-address 0x08004000 --target-address 134234112";
    let created = site.json(&format!("delta create {typed} old.elf new.bin patch"));
    assert_eq!(created["addresses_from"], "given");
    assert_eq!(created["relocation"]["base"][0]["address"], "0x08004000");
    assert_eq!(created["relocation"]["target"][0]["address"], "0x08004000");
    let usage = site.run("delta create --base-address flash old.bin new.bin patch");
    assert_eq!(usage.code, Some(2), "{usage:?}");
}

#[test]
fn a_wrong_instruction_set_costs_bytes_only_and_none_moves_nothing() {
    let site = desk();
    let size = |isa: &str| {
        let created = site.json(&format!("delta create {isa} old.bin new.bin patch"));
        site.done("delta apply old.bin patch result.bin");
        assert_eq!(read(&site, "result.bin"), image("thumb-target.bin"));
        site.done("delta inspect old.bin patch");
        (
            created["size_bytes"].as_u64().unwrap(),
            created["relocation"]["isa"].clone(),
        )
    };
    let inferred = size("");
    assert_eq!(inferred.1, "thumb");
    assert_eq!(size("--isa thumb"), inferred);
    assert_eq!(size("--isa none").1, Value::Null);
    for isa in ["riscv32", "riscv64", "aarch64", "xtensa", "avr", "mcs51", "words"] {
        assert!(size(&format!("--isa {isa}")).0 > inferred.0, "{isa}");
    }
}

#[test]
fn every_effort_makes_the_new_image() {
    let site = desk();
    for effort in ["fast", "default", "best"] {
        site.done(&format!(
            "delta create --memory 4KiB --effort {effort} old.bin new.bin patch"
        ));
        site.done("delta apply old.bin patch result.bin");
        assert_eq!(read(&site, "result.bin"), image("thumb-target.bin"), "{effort}");
    }
}

#[test]
fn a_patch_for_a_single_slot_says_its_reach() {
    let site = desk();
    let created = site.json("delta create --memory 4KiB --in-place 1KiB old.bin new.bin patch");
    assert_eq!(created["in_place_reach_bytes"], 1_024);
    let inspected = site.json("delta inspect old.bin patch");
    assert_eq!(inspected["in_place_reach_bytes"], 1_024);
    assert_eq!(inspected["parts"][0]["bytes"], 24.0);
    site.done("delta apply old.bin patch made.bin");
    assert!(read(&site, "made.bin") == read(&site, "new.bin"));
    for reach in ["1000", "0", "KiB", "16MiB", "99999KiB"] {
        let usage = site.run(&format!("delta create --in-place {reach} old.bin new.bin other"));
        assert_eq!(usage.code, Some(2), "{reach}");
        assert!(
            usage.stderr.contains("such as 12288 or 28KiB"),
            "{}",
            usage.stderr
        );
    }
}

#[test]
fn an_inspection_accounts_for_every_byte() {
    let site = desk();
    site.done("delta create old.bin new.bin patch");
    let inspected = site.json("delta inspect --plot plot.svg old.bin patch");
    let size = read(&site, "patch").len() as f64;
    let parts = inspected["parts"].as_array().unwrap();
    let bytes = |name: &str| {
        let part = parts.iter().find(|part| part["part"] == name).unwrap();
        part["bytes"].as_f64().unwrap()
    };
    let sum: f64 = parts.iter().map(|part| part["bytes"].as_f64().unwrap()).sum();
    assert!((sum - size).abs() < 0.1, "{sum} of {size}");
    assert!(bytes("end of the coder").abs() < 5.0);
    assert_eq!(bytes("header"), 22.0);
    let origins = &inspected["origins"];
    let origin = |name: &str| origins[name].as_u64().unwrap();
    assert_eq!(
        origin("base_bytes") + origin("itself_bytes") + origin("literal_bytes"),
        inspected["target_size_bytes"].as_u64().unwrap()
    );
    let far = |kind: &&Value| kind["kind"] == "far";
    let kinds = inspected["kinds"].as_array().unwrap();
    let calls = kinds.iter().find(far).unwrap();
    assert!(calls["predicted"].as_u64().unwrap() * 10 > calls["groups"].as_u64().unwrap() * 8);
    let plot = String::from_utf8(read(&site, "plot.svg")).unwrap();
    assert!(plot.starts_with("<svg ") && plot.ends_with("</svg>\n"));
    assert!(!plot.contains("NaN") && !plot.contains("inf"));
}

#[test]
fn without_the_old_image_a_patch_says_what_it_is() {
    let site = desk();
    site.done("delta create old.bin new.bin patch");
    let whole = site.json("delta inspect old.bin patch");
    let alone = site.json("delta inspect patch");
    for key in [
        "size_bytes",
        "relocation",
        "triples",
        "origins",
        "base_digest_prefix",
    ] {
        assert_eq!(alone[key], whole[key], "{key}");
    }
    assert_eq!(alone["kinds"], Value::Null);
    let usage = site.run("delta inspect --plot plot.svg patch");
    assert_eq!(usage.code, Some(2), "{usage:?}");
}

#[test]
fn empty_and_equal_images_are_images() {
    let site = desk();
    write(&site, "empty.bin", b"");
    for (old, new) in [
        ("empty.bin", "new.bin"),
        ("old.bin", "empty.bin"),
        ("old.bin", "old.bin"),
        ("empty.bin", "empty.bin"),
    ] {
        site.done(&format!("delta create --memory 4KiB {old} {new} patch"));
        site.done(&format!("delta apply {old} patch result.bin"));
        assert_eq!(read(&site, "result.bin"), read(&site, new));
        site.done(&format!("delta inspect --plot plot.svg {old} patch"));
    }
}

#[test]
fn commands_say_what_they_did() {
    let site = desk();
    write(&site, "old.elf", &elf(40, ADDRESS, &image("thumb-base.bin")));
    assert_eq!(
        shape(&site.done("delta create old.elf new.bin patch")),
        "old N bytes, SHA-256 DIGEST\n\
         from ELF for Arm, at 0x08004000\n\
         new N bytes, SHA-256 DIGEST\n\
         code thumb, from the files\n\
         addresses old at 0x08004000, new at 0x08004040, from the files\n\
         patch N bytes, N % of the new image; applied and compared\n\
         memory N bytes for the decoder\n\
         written patch\n"
    );
    assert_eq!(
        shape(&site.done("delta apply old.elf patch result.bin")),
        "new N bytes, SHA-256 DIGEST\nwritten result.bin\n"
    );
    let text = shape(&site.done("delta inspect --plot plot.svg old.bin patch"));
    let (head, tables) = text.split_once("\n\n").unwrap();
    assert_eq!(
        head,
        "patch N bytes, N % of the new image, version N\n\
         memory N bytes for the decoder\n\
         old N bytes, SHA-256 DIGEST\n\
         new N bytes, SHA-256 DIGEST\n\
         code thumb, old at 0x08004000, new at 0x08004040\n\
         triples N; the map holds N of at most N copies\n\
         made of old image N bytes (N %), itself N bytes (N %), literals N bytes (N %)"
    );
    assert!(
        tables.starts_with(
            "PART BYTES SHARE\n\
             header N N %\n\
             setup N N %\n\
             triples N N %\n\
             block flags N N %\n\
             groups as predicted N N %\n\
             groups not as predicted N N %\n\
             literals N N %\n\
             end of the coder N N %\n\n\
             GROUPS NUMBER PREDICTED RATE BYTES\n\
             plain N N N % N bytes as they were\n"
        ),
        "{tables}"
    );
    assert!(tables.ends_with("\n\nplot written to plot.svg\n"), "{tables}");
}
