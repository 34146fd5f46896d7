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
            "To rotate a key, name the old and the new one until every device trusts the new. What a key signed that is no longer",
            "named here is offered to nobody from the next start on; a device that runs it may go on.",
        ],
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
];

/// A second link, to show that there may be several: values for [`LINK`] in order.
const SECOND_LINK: [&str; 6] = [
    "\"mesh\"",
    "[\"127.2.0.0/16\", \"fd00:6c6f::/32\"]",
    "100000",
    "3000",
    "64",
    "1280",
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
         directory or in `/etc/deltagate`. A gateway reads its configuration once, at its start.\n\n\
         ## Top\n",
    );
    GATEWAY.iter().for_each(|key| entry(&mut text, key));
    text.push_str("\n## `[[link]]`\n\n");
    text.push_str(
        "One table per access network, at most 64. A device belongs to the link with the longest matching prefix; one that\n\
         matches none belongs to the link `default`: 10 Mbit/s and the timing of RFC 7252.\n",
    );
    LINK.iter().for_each(|key| entry(&mut text, key));
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
        format!("{}[[link]]\n{}", lines(GATEWAY), lines(LINK))
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
        top.push("link".to_owned());
        top.sort();
        assert_eq!(taken("nonsense = 1\n"), top);
        assert_eq!(taken("[[link]]\nnonsense = 1\n"), listed(LINK));
    }

    #[test]
    fn what_is_required_is_and_the_defaults_hold() {
        let minimal = parse(&text(true, None)).unwrap();
        for key in GATEWAY.iter().chain(LINK) {
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
        for key in GATEWAY.iter().chain(LINK) {
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
