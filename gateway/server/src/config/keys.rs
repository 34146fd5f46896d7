//! Every key of `gateway.toml`, once: `deltagate init`, `docs/gateway.example.toml` and `docs/configuration.md` are made of this
//! table, and tests hold it against what the configuration's reader takes: names, defaults and ranges.

use std::fmt::Write as _;

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// As written.
    pub(super) name: &'static str,
    /// A value, as written: the default, or a sensible one.
    pub(super) example: &'static str,
    /// Whether the example is in force, rather than a comment.
    pub(super) is_set: bool,
    /// What holds without it.
    pub(super) default: Without,
    /// Which values can stand. Of a number exactly its range, `1 to 16`.
    pub(super) expects: &'static str,
    /// What it is for, as lines of a comment.
    pub(super) about: &'static [&'static str],
}

/// What holds without a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Without {
    /// Nothing does: it is required.
    Refused,
    /// The same as with this value, as written.
    Value(&'static str),
    /// What no value says.
    Means(&'static str),
}

impl Without {
    fn clause(self) -> String {
        match self {
            Without::Refused => "required".into(),
            Without::Value(value) => format!("default: {value}"),
            Without::Means(what) => format!("default: {what}"),
        }
    }
}

/// Keys at the top.
pub(super) const GATEWAY: &[Key] = &[
    Key {
        name: "listen",
        example: "\"0.0.0.0:5683\"",
        is_set: true,
        default: Without::Value("\"[::]:5683\""),
        expects: "an address and port",
        about: &[
            "Where devices speak CoAP. On a host with several addresses name one of them: a reply from a wildcard",
            "socket leaves with the address that the routing table prefers, which may not be the one the device asked.",
            "[::] takes IPv6 and IPv4.",
        ],
    },
    Key {
        name: "coaps_listen",
        example: "\"0.0.0.0:5684\"",
        is_set: false,
        default: Without::Means("nowhere"),
        expects: "an address and port",
        about: &[
            "Where devices of the installed base speak CoAP over DTLS 1.2 with pre-shared keys (coaps://, whose port is 5684):",
            "deltagate device enrol --psk. Off unless it is named, for it is one more port that strangers reach. docs/dtls.md has suite,",
            "limits and clients.",
        ],
    },
    Key {
        name: "state_dir",
        example: "\"state\"",
        is_set: true,
        default: Without::Refused,
        expects: "a directory",
        about: &[
            "Database, images and artefacts. Created on first start, readable by the owner only.",
            "A backup needs gateway.db* and images/; what is missing of artefacts/ is built again at the next start.",
        ],
    },
    Key {
        name: "admin_socket",
        example: "\"/run/deltagate/admin.sock\"",
        is_set: false,
        default: Without::Value("\"state/admin.sock\""),
        expects: "a path of at most 107 bytes",
        about: &[
            "The technician's socket, for the gateway's own user and root. Without: admin.sock in state_dir.",
        ],
    },
    Key {
        name: "metrics",
        example: "\"127.0.0.1:9464\"",
        is_set: false,
        default: Without::Means("nowhere"),
        expects: "a loopback address and port",
        about: &[
            "Where metrics (for Prometheus), health and readiness are served over HTTP: a loopback address, because nobody",
            "is asked who they are. docs/operations.md lists what is there.",
        ],
    },
    Key {
        name: "log",
        example: "\"json\"",
        is_set: false,
        default: Without::Value("\"text\""),
        expects: "\"text\" or \"json\"",
        about: &[
            "How the log is written to stderr: \"text\" for people, \"json\" for programs, one object per line.",
        ],
    },
    Key {
        name: "trust",
        example: "[\"publisher.pub\"]",
        is_set: true,
        default: Without::Refused,
        expects: "a list of files",
        about: &[
            "Public keys (SPKI PEM) of the publishers whose images may be imported. A gateway never holds a private key.",
            "They are the keys that devices have from the factory: go on naming them when a set of trust anchors has taken their place",
            "(docs/anchors.md). Without sets, name the old and the new key until every device trusts the new. What a key signed that is",
            "no longer named here is offered to nobody from the next start on; a device that runs it may go on.",
        ],
    },
    Key {
        name: "access",
        example: "\"authenticated\"",
        is_set: true,
        default: Without::Value("\"authenticated\""),
        expects: "\"open\" or \"authenticated\"",
        about: &[
            "Who is served: with \"authenticated\" only devices that have a key (deltagate device enrol) and prove it; everybody else gets",
            "4.01, and `deltagate status` says who that was. With \"open\" whoever asks, but nobody is believed to be a device that has a",
            "key. Choose that for a link whose devices cannot have keys: whoever is on it can read all, and lie to you about them.",
        ],
    },
    Key {
        name: "trusted_prefixes",
        example: "[\"10.0.0.0/8\", \"203.0.113.0/24\"]",
        is_set: false,
        default: Without::Means(
            "the private ones: 127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, 169.254.0.0/16, ::1/128, fc00::/7, fe80::/10",
        ),
        expects: "a list of address/length",
        about: &[
            "Where a datagram's source address is believed. Anybody on the Internet can write another's address on a datagram, so a peer",
            "elsewhere without a key gets little before it has sent back what was sent to it (Echo, RFC 9175): docs/operations.md. Name the",
            "networks of clients that cannot do that, if nobody outside can send in their name; [] trusts nobody.",
        ],
    },
    Key {
        name: "public_images",
        example: "[\"3f2a9c0011d07e85\"]",
        is_set: false,
        default: Without::Value("[]"),
        expects: "a list of the first 16 hex digits of images' digests",
        about: &["Images that anybody may fetch from /i/, also where only devices with a key are served."],
    },
    Key {
        name: "check_in_interval_s",
        example: "3600",
        is_set: true,
        default: Without::Value("3600"),
        expects: "1 to 2592000",
        about: &[
            "How often a device with nothing to do asks again, in seconds. A device is late when a twelfth more has passed.",
        ],
    },
    Key {
        name: "deferral_patience_s",
        example: "259200",
        is_set: true,
        default: Without::Value("259200"),
        expects: "1 to 2592000",
        about: &[
            "How long a device's application may put an update off, in seconds, before `deltagate status` names the device among",
            "those that need a person. `update assign --defer-max` says it for one assignment, and tells the device, too; this is",
            "for assignments that do not say. Three days are a weekend; an agent goes on by itself after a week unless its author",
            "says otherwise.",
        ],
    },
    Key {
        name: "unclaimed_max",
        example: "256",
        is_set: true,
        default: Without::Value("256"),
        expects: "0 to 4096",
        about: &["How many devices are remembered that nobody has claimed."],
    },
    Key {
        name: "disk_bytes_max",
        example: "2_000_000_000",
        is_set: false,
        default: Without::Means("whatever the disk has"),
        expects: "1048576 to 1125899906842624",
        about: &[
            "What images and payloads may take on the disk, in bytes, each image counted as long as it is. When it is used up,",
            "payloads that no device is fetching or waiting for go, the longest unused first; they are made again when they are",
            "wanted. Images as they were imported are never removed by themselves (the gateway has the only copy it knows of): an",
            "import that would not fit is refused. Payloads that devices need now are made all the same.",
        ],
    },
    Key {
        name: "build_workers",
        example: "1",
        is_set: true,
        default: Without::Value("1"),
        expects: "1 to 16",
        about: &["Threads that compute deltas. One large delta takes a core for seconds."],
    },
];

/// Keys of each `[[link]]`.
pub(super) const LINK: &[Key] = &[
    Key {
        name: "name",
        example: "\"nb-iot\"",
        is_set: true,
        default: Without::Refused,
        expects: "1 to 32 of a-z A-Z 0-9 - _ ., unlike any other link's and \"default\"",
        about: &["What technicians call it."],
    },
    Key {
        name: "prefixes",
        example: "[\"127.1.0.0/16\"]",
        is_set: true,
        default: Without::Refused,
        expects: "a list of address/length, with zeros behind the length",
        about: &["Which devices are behind it."],
    },
    Key {
        name: "rate_bits_per_second",
        example: "26000",
        is_set: true,
        default: Without::Refused,
        expects: "100 to 10000000000",
        about: &["What the gateway may send, IP and UDP headers included."],
    },
    Key {
        name: "ack_timeout_ms",
        example: "8000",
        is_set: true,
        default: Without::Refused,
        expects: "100 to 600000",
        about: &[
            "RFC 7252 section 4.8 ACK_TIMEOUT, told to every device at check-in: more than a round trip takes.",
        ],
    },
    Key {
        name: "block_size_max",
        example: "512",
        is_set: true,
        default: Without::Value("1024"),
        expects: "16, 32, 64, 128, 256, 512 or 1024",
        about: &["Largest block. The packet may lower it further."],
    },
    Key {
        name: "mtu",
        example: "1280",
        is_set: true,
        default: Without::Value("1280"),
        expects: "127 to 65535",
        about: &[
            "Largest IP packet that the whole path carries. Where it carries less, `device show` says so.",
        ],
    },
    Key {
        name: "access",
        example: "\"authenticated\"",
        is_set: false,
        default: Without::Means("as at the top"),
        expects: "\"open\" or \"authenticated\"",
        about: &["Who is served on it."],
    },
];

/// Keys of `[remote]`, none of which is in force until somebody wants it.
pub(super) const REMOTE: &[Key] = &[
    Key {
        name: "address",
        example: "\"0.0.0.0:5685\"",
        is_set: false,
        default: Without::Refused,
        expects: "an address and port",
        about: &[
            "Where technicians are listened to, over TLS 1.3. Only who has a certificate of this site gets further than that.",
        ],
    },
    Key {
        name: "identity",
        example: "\"remote.pem\"",
        is_set: false,
        default: Without::Refused,
        expects: "a file of mode 0600, made by deltagate admin-cert gateway",
        about: &[
            "The gateway's key and certificate, and the certificate of the authority whose technicians are believed.",
        ],
    },
    Key {
        name: "admin",
        example: "[\"alice\"]",
        is_set: false,
        default: Without::Value("[]"),
        expects: "a list of names of 1 to 32 of A-Z a-z 0-9 . _ @ -",
        about: &[
            "Technicians who may do everything: also hold devices' secrets, take away what cannot be brought back, and read who",
            "did what. A name counts as it stands in the technician's certificate; docs/remote.md says who needs which role.",
        ],
    },
    Key {
        name: "operate",
        example: "[\"bob\"]",
        is_set: false,
        default: Without::Value("[]"),
        expects: "a list of names",
        about: &["Technicians who may bring images and updates to devices, and look."],
    },
    Key {
        name: "view",
        example: "[\"carol\"]",
        is_set: false,
        default: Without::Value("[]"),
        expects: "a list of names",
        about: &["Technicians who may look. Who stands in no list may nothing."],
    },
    Key {
        name: "revoked",
        example: "[]",
        is_set: false,
        default: Without::Value("[]"),
        expects: "a list of fingerprints, 64 hex digits each",
        about: &[
            "Certificates that do not count any more although their technician stays, as of a stolen laptop: deltagate admin-cert show",
            "prints the fingerprint. Read at the start, as all of this file: systemctl restart deltagate.",
        ],
    },
];

const REMOTE_ABOUT: [&str; 2] = [
    "Technicians on other machines, who ask what can be asked on the admin socket, each within a role: docs/remote.md.",
    "Without this table nobody is listened to.",
];

/// A second link, to show that there may be several: values for [`LINK`] in order.
const SECOND_LINK: [&str; 7] = [
    "\"mesh\"",
    "[\"127.2.0.0/16\", \"fd00:6c6f::/32\"]",
    "100000",
    "3000",
    "64",
    "1280",
    "\"open\"",
];

const LINKS_ABOUT: [&str; 3] = [
    "One table per access network. A device belongs to the link with the longest matching prefix; one that matches",
    "none belongs to the link \"default\": 10 Mbit/s and the timing of RFC 7252. These two are examples, on loopback",
    "addresses: change or remove them.",
];

/// A configuration with every key, explained.
pub fn example() -> String {
    let mut text = String::from(
        "# A gateway's configuration: every key there is. Relative paths start at this file's directory.\n",
    );
    for key in GATEWAY {
        text.push('\n');
        comment(&mut text, key);
        let mark = if key.is_set { "" } else { "# " };
        line(&mut text, &format!("{mark}{} = {}", key.name, key.example));
    }
    text.push('\n');
    LINKS_ABOUT
        .iter()
        .for_each(|about| line(&mut text, &format!("# {about}")));
    line(&mut text, "[[link]]");
    for key in LINK {
        comment(&mut text, key);
        line(&mut text, &format!("{} = {}", key.name, key.example));
    }
    text.push_str("\n[[link]]\n");
    for (key, value) in LINK.iter().zip(SECOND_LINK) {
        line(&mut text, &format!("{} = {value}", key.name));
    }
    text.push('\n');
    REMOTE_ABOUT
        .iter()
        .for_each(|about| line(&mut text, &format!("# {about}")));
    line(&mut text, "# [remote]");
    for key in REMOTE {
        comment(&mut text, key);
        line(&mut text, &format!("# {} = {}", key.name, key.example));
    }
    text
}

fn comment(text: &mut String, key: &Key) {
    key.about
        .iter()
        .for_each(|about| line(text, &format!("# {about}")));
    let (expects, default) = (key.expects, key.default.clause());
    line(text, &format!("# Expects {expects}; {default}."));
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// The reference, as Markdown.
pub fn reference() -> String {
    let mut text = String::from(
        "# gateway.toml\n\n\
         Every key of a gateway's configuration. This page is made by `deltagate docs configuration` from the table that\n\
         `deltagate init` writes a configuration from; tests hold the table against the reader. An unknown key is an error, because a\n\
         misspelt limit is a missing limit; an error names the file, the line, the key and what the key expects. Relative paths start\n\
         at the file's own directory.\n\n\
         A command finds its gateway by `--socket`, else `--config`, else `$DELTAGATE_SOCKET`, else `gateway.toml` in the working\n\
         directory or in `/etc/deltagate`; one on another machine by `--gateway` ([remote.md](remote.md)). A gateway reads its configuration once, at its start.\n\n\
         ## Top\n",
    );
    GATEWAY.iter().for_each(|key| entry(&mut text, key));
    text.push_str("\n## `[[link]]`\n\n");
    text.push_str(
        "One table per access network, at most 64. A device belongs to the link with the longest matching prefix; one that\n\
         matches none belongs to the link `default`: 10 Mbit/s and the timing of RFC 7252.\n",
    );
    LINK.iter().for_each(|key| entry(&mut text, key));
    text.push_str("\n## `[remote]`\n\n");
    REMOTE_ABOUT.iter().for_each(|about| line(&mut text, about));
    REMOTE.iter().for_each(|key| entry(&mut text, key));
    text
}

fn entry(text: &mut String, key: &Key) {
    let (name, expects, example) = (key.name, key.expects, key.example);
    let default = match key.default {
        Without::Value(value) => format!("default: `{value}`"),
        other => other.clause(),
    };
    // Writing to a String does not fail.
    let _ = write!(
        text,
        "\n### `{name}`\n\nExpects {expects}; {default}. Example: `{name} = {example}`\n\n"
    );
    line(text, &key.about.join("\n"));
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::{Config, ConfigError};
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("gateway.toml"))
    }

    /// A configuration with only these keys of each kind, at their examples, and one of them replaced.
    fn text(required_only: bool, replaced: Option<(&Key, &str)>) -> String {
        let lines = |keys: &[Key]| -> String {
            let mut text = String::new();
            for key in keys {
                match replaced.filter(|(other, _)| other.name == key.name) {
                    Some((_, value)) => line(&mut text, &format!("{} = {value}", key.name)),
                    None if required_only && !matches!(key.default, Without::Refused) => {}
                    None => line(&mut text, &format!("{} = {}", key.name, key.example)),
                }
            }
            text
        };
        format!(
            "{}[remote]\n{}[[link]]\n{}",
            lines(GATEWAY),
            lines(REMOTE),
            lines(LINK)
        )
    }

    fn docs(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs")
            .join(name)
    }

    #[test]
    fn documentation_is_what_the_table_says() {
        for (name, made, command) in [
            ("gateway.example.toml", example(), "example"),
            ("configuration.md", reference(), "configuration"),
        ] {
            let found = std::fs::read_to_string(docs(name)).unwrap_or_default();
            assert!(found == made, "run: deltagate docs {command} > docs/{name}");
        }
    }

    /// serde names the keys that it takes when it finds one that it does not.
    #[test]
    fn the_table_has_every_key_and_no_other() {
        let taken = |text: &str| {
            let problem = parse(text).unwrap_err().to_string();
            let (_, list) = problem.split_once("expected one of ").unwrap();
            let mut keys: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            keys.sort();
            keys
        };
        let listed = |keys: &[Key]| {
            let mut keys: Vec<String> = keys.iter().map(|key| key.name.to_owned()).collect();
            keys.sort();
            keys
        };
        let mut top = listed(GATEWAY);
        top.extend(["link".to_owned(), "remote".to_owned()]);
        top.sort();
        assert_eq!(taken("nonsense = 1\n"), top);
        assert_eq!(taken("[[link]]\nnonsense = 1\n"), listed(LINK));
        assert_eq!(taken("[remote]\nnonsense = 1\n"), listed(REMOTE));
    }

    #[test]
    fn what_is_required_is_and_the_defaults_hold() {
        let minimal = parse(&text(true, None)).unwrap();
        for key in GATEWAY.iter().chain(LINK).chain(REMOTE) {
            match key.default {
                Without::Value(default) => {
                    let explicit = parse(&text(true, Some((key, default)))).unwrap();
                    assert_eq!(explicit, minimal, "{}", key.name);
                }
                // The minimal configuration has none of these, and can stand.
                Without::Means(_) => drop(parse(&text(true, Some((key, key.example)))).unwrap()),
                Without::Refused => {
                    let without = text(true, None).replace(&format!("{} = {}\n", key.name, key.example), "");
                    let problem = parse(&without).unwrap_err().to_string();
                    assert!(
                        problem.ends_with(&format!("{}: is required and missing", key.name)),
                        "{problem}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_ranges_are_those_of_the_reader() {
        let mut ranges = 0;
        for key in GATEWAY.iter().chain(LINK).chain(REMOTE) {
            let Some((min, max)) = key.expects.split_once(" to ") else {
                continue;
            };
            let (Ok(min), Ok(max)) = (min.parse::<i64>(), max.parse::<i64>()) else {
                continue;
            };
            ranges += 1;
            for inside in [min, max] {
                parse(&text(false, Some((key, &inside.to_string())))).unwrap();
            }
            let problem = parse(&text(false, Some((key, &(max + 1).to_string())))).unwrap_err();
            let told = format!("{}: expects {}, found {}", key.name, key.expects, max + 1);
            assert!(problem.to_string().ends_with(&told), "{problem}");
        }
        assert!(ranges >= 6, "{ranges}");
    }

    #[test]
    fn the_example_can_stand() {
        let config = parse(&example()).unwrap();
        assert_eq!(config.links.len(), 2);
    }
}
