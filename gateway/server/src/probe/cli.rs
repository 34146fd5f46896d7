//! `deltagate probe`: arguments, steps, and what is printed of them.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::Args;
use gateway_core::count;
use serde::Serialize;

use super::ProbeError;
use super::exchange::{NoAnswer, Peer, Reply, Request};
use super::fetch::{Fetched, fetch, millis};
use super::pretend::{self, Pretend};

/// Version of the JSON document.
const DOCUMENT_VERSION: u32 = 1;
/// Of a name with more addresses these are tried.
const ADDRESSES_MAX: usize = 4;
/// RFC 7252 §6.1.
const COAP_PORT: u16 = 5683;

/// Look at a gateway from a device's side, step by step
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// The gateway: a name or address, with :PORT unless it is 5683
    #[arg(value_name = "HOST[:PORT]")]
    pub gateway: String,
    /// Identifier of the device to pretend to be, in hex
    #[arg(long, value_name = "ID")]
    pub device: Option<String>,
    /// Its vendor: the domain that images are signed with, or a UUID
    #[arg(long, value_name = "NAME")]
    pub vendor: Option<String>,
    /// Its class: the name that images are signed with, or a UUID
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// Digest of what it runs, at least 16 digits
    #[arg(long, value_name = "DIGEST")]
    pub running: Option<String>,
    /// Sequence number of what it runs
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub sequence: u64,
    /// Check in for real: the gateway lists the device and may offer it an update
    #[arg(long)]
    pub record: bool,
    /// Fetch an image, by the first 16 digits of its digest or more, and check it
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub image: Option<String>,
    /// Largest block to ask for: 16, 32, 64, 128, 256, 512 or 1024
    #[arg(long, value_name = "BYTES", default_value_t = 1_024, value_parser = block_size)]
    pub block_size: u16,
    /// How long to wait before a message is sent again the first time, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=600_000))]
    pub ack_timeout: u32,
}

fn digest(text: &str) -> Result<String, String> {
    let is_digest = (16..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit());
    match is_digest {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("it is 16 to 64 hex digits".into()),
    }
}

fn block_size(text: &str) -> Result<u16, String> {
    let size = text.parse().ok().filter(|size: &u16| size.is_power_of_two());
    let size = size.filter(|size| (16..=1_024).contains(size));
    size.ok_or_else(|| "it is one of 16, 32, 64, 128, 256, 512 and 1024".into())
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "ProbeDocument"))]
pub(crate) struct Document {
    version: u32,
    gateway: String,
    steps: Vec<Step>,
    image: Option<Fetched>,
}

/// One step.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "ProbeStep"))]
struct Step {
    /// `name`, `UDP`, `CoAP`, `check-in` or `image`.
    step: &'static str,
    ok: bool,
    /// One clause.
    detail: String,
    /// Of one exchange.
    round_trip_ms: Option<u64>,
}

impl ProbeArgs {
    /// Takes one step after the other, and prints each as it is done.
    ///
    /// # Errors
    /// The first step that fails, with what to do about it.
    pub fn run(&self, json: bool, out: &mut dyn Write) -> Result<(), ProbeError> {
        let mut report = Report {
            json,
            out,
            document: Document {
                version: DOCUMENT_VERSION,
                gateway: self.gateway.clone(),
                steps: Vec::new(),
                image: None,
            },
        };
        let result = self.steps(&mut report);
        report.finish(&result)?;
        result
    }

    fn steps(&self, report: &mut Report<'_>) -> Result<(), ProbeError> {
        let pretend = Pretend {
            device: self.device.as_deref(),
            vendor: self.vendor.as_deref(),
            class: self.class.as_deref(),
            running: self.running.as_deref(),
            sequence_number: self.sequence,
            block_size: self.block_size,
        };
        let body = pretend::body(&pretend)?;
        let addresses = resolve(&self.gateway)?;
        let named: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        report.ok("name", named.join(", "), None)?;
        let (mut peer, address, took) = self.ping(&addresses)?;
        report.ok("UDP", format!("a ping came back from {address}"), Some(took))?;
        discover(&mut peer, report)?;
        self.check_in(&mut peer, &body, report)?;
        if let Some(digits) = &self.image {
            let fetched = fetch(&mut peer, digits, self.block_size)?;
            report.ok("image", clause(&fetched), None)?;
            report.document.image = Some(fetched);
        }
        Ok(())
    }

    /// The first address that answers.
    fn ping(&self, addresses: &[SocketAddr]) -> Result<(Peer, SocketAddr, Duration), ProbeError> {
        let ack_timeout = Duration::from_millis(self.ack_timeout.into());
        let mut missing = None;
        for address in addresses {
            let answered = Peer::connect(*address, ack_timeout)
                .map_err(NoAnswer::System)
                .and_then(|mut peer| peer.ping().map(|took| (peer, *address, took)));
            match answered {
                Ok(answered) => return Ok(answered),
                Err(no_answer) => missing = Some(no_answer),
            }
        }
        // A name without any address was refused before.
        Err(ProbeError::Udp(missing.unwrap_or(NoAnswer::NobodyListens).into()))
    }

    fn check_in(&self, peer: &mut Peer, body: &[u8], report: &mut Report<'_>) -> Result<(), ProbeError> {
        let path: &[&str] = if self.record { &["c"] } else { &["c", "dry"] };
        let reply = ask(peer, "check-in", Some(body), path)?;
        let took = Some(reply.took);
        match (reply.code().as_str(), self.record) {
            ("2.04", false) => report.ok(
                "check-in",
                format!("{}; nothing was recorded", reply.text()),
                took,
            ),
            ("2.04", true) => {
                let answer = wire_checkin::Answer::decode(&reply.packet.payload);
                let detail = match answer {
                    Ok(answer) => match answer.job {
                        Some(job) => format!(
                            "recorded, and told to fetch /{} of {} bytes",
                            job.path, job.payload_bytes
                        ),
                        None => format!(
                            "recorded, and told nothing but to come again in {} s",
                            answer.next_check_in_s
                        ),
                    },
                    Err(error) => {
                        return Err(ProbeError::Answered {
                            what: "check-in".into(),
                            code: "2.04".into(),
                            text: format!("and a body that is none: {error}"),
                        });
                    }
                };
                report.ok("check-in", detail, took)
            }
            ("4.03", _) => Err(ProbeError::Refused {
                why: reply.text().into(),
            }),
            ("4.01", _) => Err(ProbeError::NeedsKey),
            ("4.04", false) => Err(ProbeError::NoDryCheckIn),
            (code, _) => Err(unexpected("check-in", code, &reply)),
        }
    }
}

fn discover(peer: &mut Peer, report: &mut Report<'_>) -> Result<(), ProbeError> {
    let reply = ask(peer, "CoAP", None, &[".well-known", "core"]);
    let reply = reply.map_err(|error| match error {
        ProbeError::NoAnswer { missing, .. } => ProbeError::Coap {
            why: missing.to_string(),
        },
        other => other,
    })?;
    match reply.code().as_str() {
        // On links with small blocks only the beginning comes; the check-in is first.
        "2.05" if reply.text().contains("</c>") => {
            report.ok("CoAP", "a deltagate gateway answers".into(), Some(reply.took))
        }
        "2.05" | "4.04" => Err(ProbeError::Coap {
            why: "a CoAP server answers, and it is no deltagate gateway".into(),
        }),
        code => Err(unexpected("CoAP", code, &reply)),
    }
}

fn ask(peer: &mut Peer, step: &'static str, body: Option<&[u8]>, path: &[&str]) -> Result<Reply, ProbeError> {
    let request = Request {
        body,
        path,
        block2: None,
    };
    let reply = peer.ask(&request).map_err(|missing| ProbeError::NoAnswer {
        step,
        missing: missing.into(),
    })?;
    match reply.code().as_str() {
        "5.03" => Err(ProbeError::Busy),
        _ => Ok(reply),
    }
}

fn unexpected(what: &str, code: &str, reply: &Reply) -> ProbeError {
    ProbeError::Answered {
        what: what.into(),
        code: code.into(),
        text: reply.text().into(),
    }
}

/// The addresses of `HOST`, `HOST:PORT`, `ADDRESS`, `[V6]` or `[V6]:PORT`.
fn resolve(text: &str) -> Result<Vec<SocketAddr>, ProbeError> {
    let text = text.strip_prefix("coap://").unwrap_or(text);
    if let Ok(address) = text.parse() {
        return Ok(vec![address]);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse() {
        return Ok(vec![SocketAddr::new(ip, COAP_PORT)]);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, port),
            Err(_) => (text, COAP_PORT),
        },
        None => (text, COAP_PORT),
    };
    let nowhere = |source| ProbeError::Name {
        host: host.into(),
        source,
    };
    let addresses = (host, port).to_socket_addrs();
    let addresses: Vec<_> = addresses
        .map_err(|error| nowhere(Some(error)))?
        .take(ADDRESSES_MAX)
        .collect();
    match addresses.is_empty() {
        true => Err(nowhere(None)),
        false => Ok(addresses),
    }
}

fn clause(fetched: &Fetched) -> String {
    let per_s = fetched.size_bytes * 1_000 / fetched.took_ms.max(1);
    format!(
        "{} bytes are the image; {} of {} in {}.{:03} s ({per_s} B/s), {} sent again, {} put off, round trip {} ms, at most {} ms",
        fetched.size_bytes,
        count(fetched.blocks, "block", "blocks"),
        fetched.block_bytes,
        fetched.took_ms / 1_000,
        fetched.took_ms % 1_000,
        fetched.repeated,
        fetched.put_off,
        fetched.round_trip_ms_median,
        fetched.round_trip_ms_max
    )
}

/// What was done so far.
struct Report<'o> {
    json: bool,
    out: &'o mut dyn Write,
    document: Document,
}

impl Report<'_> {
    fn ok(&mut self, step: &'static str, detail: String, took: Option<Duration>) -> Result<(), ProbeError> {
        let round_trip_ms = took.map(millis);
        if !self.json {
            let took = round_trip_ms.map_or(String::new(), |ms| format!(" ({ms} ms)"));
            writeln!(self.out, "{step:8}  ok: {detail}{took}")?;
            self.out.flush()?;
        }
        self.document.steps.push(Step {
            step,
            ok: true,
            detail,
            round_trip_ms,
        });
        Ok(())
    }

    /// The document; the step that failed is in it as well as on standard error.
    fn finish(&mut self, result: &Result<(), ProbeError>) -> Result<(), ProbeError> {
        if !self.json {
            return Ok(());
        }
        if let Err(error) = result {
            const STEPS: [&str; 5] = ["name", "UDP", "CoAP", "check-in", "image"];
            let step = STEPS.get(self.document.steps.len()).copied().unwrap_or("image");
            self.document.steps.push(Step {
                step,
                ok: false,
                detail: crate::error_chain::chain(error),
                round_trip_ms: None,
            });
        }
        let text = serde_json::to_string_pretty(&self.document).expect("a report has string keys only");
        writeln!(self.out, "{text}")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_written_in_any_usual_way() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1:5683"),
            ("192.0.2.1:1234", "192.0.2.1:1234"),
            ("coap://192.0.2.1:1234", "192.0.2.1:1234"),
            ("2001:db8::1", "[2001:db8::1]:5683"),
            ("[2001:db8::1]", "[2001:db8::1]:5683"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
        ] {
            let addresses: [SocketAddr; 1] = [address.parse().unwrap()];
            assert_eq!(resolve(text).unwrap(), addresses, "{text}");
        }
        assert_eq!(resolve("localhost:7").unwrap()[0].port(), 7);
        assert_eq!(resolve("localhost").unwrap()[0].port(), COAP_PORT);
    }
}
