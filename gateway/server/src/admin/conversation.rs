//! One exchange with a technician, over whatever carries it: a question within bounds, what it needs, an answer.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use gateway_core::{PSK_RECORD_BYTES_MAX, RECORD_BYTES_MAX};
use wire_manifest::ENVELOPE_BYTES_MAX;

use super::deed::{is_identifier, question_name, spelled};
use super::role::Role;
use super::turned_away::{TurnedAway, What};
use super::{
    Answer, AnswerResult, Ask, BODY_BYTES_MAX, Calls, EngineAsk, LINE_BYTES_MAX, PROTOCOL_VERSION, Question,
    Secrets,
};
use crate::error_chain::chain;
use crate::factory::LIST_BYTES_MAX;
use crate::import::{ImportFile, Importer};
use crate::logging::Recent;
use crate::report::{AuditPage, Document, LogPage};
use crate::store::{AuditQuery, read_audit};

/// Who asks, what they may, and how long they may take.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// For the audit trail.
    pub(super) who: String,
    /// What they may.
    pub(super) role: Role,
    /// How long they may take.
    pub(super) pace: Pace,
}

/// How long a caller may take. All on the runtime's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// For the question's line.
    pub(super) line: Duration,
    /// Between two pieces of a file, or of the answer.
    pub(super) silence: Duration,
    /// For all of the file, and again for all of the answer.
    pub(super) whole: Duration,
}

/// Where questions are taken to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The engine, for all that it does not answer itself.
    pub calls: Calls,
    /// Who verifies and keeps images.
    pub importer: Importer,
    /// The database, for its audit trail.
    pub database: PathBuf,
    /// The newest lines of the log.
    pub recent: Recent,
}

/// Reads a question, and answers it if the caller may ask it. What was refused for want of a role is noted.
pub(super) async fn converse<S>(
    stream: &mut S,
    desk: &Desk,
    caller: &Caller,
    refusals: &TurnedAway,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let result = match asked(stream, caller, refusals).await {
        Ok((ask, body)) => desk.answer(ask, body, &caller.who).await,
        Err(result) => result,
    };
    tell(stream, result, caller.pace).await
}

/// Writes an answer, piece by piece: each must be taken in time.
pub(super) async fn tell<S>(stream: &mut S, result: AnswerResult, pace: Pace) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let v = PROTOCOL_VERSION;
    let mut line = serde_json::to_vec(&Answer { v, result })?;
    line.push(b'\n');
    let end = Instant::now() + pace.whole;
    for piece in line.chunks(PIECE_BYTES) {
        let soon = end.min(Instant::now() + pace.silence);
        timeout_at(soon, stream.write_all(piece)).await??;
    }
    timeout(pace.silence, stream.shutdown()).await?
}

/// What is read or written at a time.
const PIECE_BYTES: usize = 16 * 1024;

/// The question and its body, if the caller may ask it; else what to answer. The role is compared before a body is made room for.
async fn asked<S>(
    stream: &mut S,
    caller: &Caller,
    refusals: &TurnedAway,
) -> Result<(Ask, Zeroizing<Vec<u8>>), AnswerResult>
where
    S: AsyncRead + Unpin,
{
    let late = |_| malformed("question took too long".to_owned());
    let read = timeout(caller.pace.line, read_line(stream));
    let (question, begun) = read.await.map_err(late)??;
    let needed = Role::needed(&question.ask);
    if caller.role < needed {
        let (who, name) = (&caller.who, question_name(&question.ask));
        let (has, needs) = (caller.role.name(), needed.name());
        let why = format!("{name} needs the role {needs}, not {has}");
        let what = What::Question(Box::new(question.ask));
        refusals.note(who, what, why).await;
        return Err(AnswerResult::refused(
            format!("{who} has the role {has}, and {name} needs {needs}"),
            format!(
                "ask whoever keeps this gateway's gateway.toml for the role {needs} (the list `{needs}` of [remote]), or to do it there"
            ),
        ));
    }
    let body = read_body(stream, &question, begun, caller.pace).await?;
    Ok((question.ask, body))
}

fn malformed(problem: String) -> AnswerResult {
    AnswerResult::Refused { problem, hint: None }
}

/// The question's line, and what came with it of the body. A body may hold secrets: nothing of it is left in a buffer that is not
/// wiped.
async fn read_line<S>(stream: &mut S) -> Result<(Question, Zeroizing<Vec<u8>>), AnswerResult>
where
    S: AsyncRead + Unpin,
{
    let mut head = Zeroizing::new([0; LINE_BYTES_MAX]);
    let mut filled = 0;
    let end = loop {
        if let Some(end) = head[..filled].iter().position(|byte| *byte == b'\n') {
            break end;
        }
        let read = stream.read(&mut head[filled..]).await;
        match read.map_err(|error| malformed(format!("question cannot be read: {error}")))? {
            0 => {
                return Err(malformed(format!(
                    "question is not one line of at most {LINE_BYTES_MAX} bytes"
                )));
            }
            more => filled += more,
        }
    };
    let question = parse_line(&head[..end])?;
    Ok((question, Zeroizing::new(head[end + 1..filled].to_vec())))
}

/// A line as a question of this version, whose body is not too long for it; else what to answer.
pub fn parse_line(line: &[u8]) -> Result<Question, AnswerResult> {
    let version = serde_json::from_slice::<Version>(line).map(|version| version.v);
    if let Ok(found) = version
        && found != PROTOCOL_VERSION
    {
        let problem =
            format!("question is of version {found}, this gateway answers version {PROTOCOL_VERSION}");
        return Err(AnswerResult::refused(
            problem,
            "use the deltagate binary that the gateway was started from",
        ));
    }
    let question: Question = serde_json::from_slice(line)
        .map_err(|error| malformed(format!("question cannot be understood: {error}")))?;
    let longest = match question.ask {
        Ask::DeviceImport { .. } => LIST_BYTES_MAX,
        Ask::AnchorsImport {} => ENVELOPE_BYTES_MAX as u64,
        Ask::DeviceEnrol { .. } | Ask::DeviceRotate { .. } => RECORD_BYTES_MAX as u64,
        Ask::DeviceEnrolPsk { .. } | Ask::DeviceRotatePsk { .. } => PSK_RECORD_BYTES_MAX as u64,
        _ => BODY_BYTES_MAX,
    };
    match question.body_bytes > longest {
        true => Err(malformed(format!(
            "file of {} bytes is longer than {longest} bytes",
            question.body_bytes
        ))),
        false => Ok(question),
    }
}

async fn read_body<S>(
    stream: &mut S,
    question: &Question,
    begun: Zeroizing<Vec<u8>>,
    pace: Pace,
) -> Result<Zeroizing<Vec<u8>>, AnswerResult>
where
    S: AsyncRead + Unpin,
{
    // At most BODY_BYTES_MAX, and never grown, so that no copy is left behind.
    let length = question.body_bytes as usize;
    let mut body = Zeroizing::new(Vec::with_capacity(length));
    body.extend_from_slice(&begun[..begun.len().min(length)]);
    let end = Instant::now() + pace.whole;
    while body.len() < length {
        let left = (length - body.len()).min(PIECE_BYTES) as u64;
        let soon = end.min(Instant::now() + pace.silence);
        let mut piece = (&mut *stream).take(left);
        match timeout_at(soon, piece.read_buf(&mut *body)).await {
            Err(_) => return Err(malformed("file took too long".to_owned())),
            Ok(Ok(1..)) => {}
            Ok(_) => {
                return Err(malformed(format!(
                    "file ends after {} of {length} bytes",
                    body.len()
                )));
            }
        }
    }
    Ok(body)
}

/// What every version's question has.
#[derive(serde::Deserialize)]
struct Version {
    v: u32,
}

impl Desk {
    async fn answer(&self, ask: Ask, body: Zeroizing<Vec<u8>>, who: &str) -> AnswerResult {
        let calls = self.calls.by(who);
        match ask {
            Ask::DeviceEnrol { .. }
            | Ask::DeviceRotate { .. }
            | Ask::DeviceEnrolPsk { .. }
            | Ask::DeviceRotatePsk { .. }
            | Ask::DeviceImport { .. } => calls.ask(EngineAsk::WithBody(ask, Secrets(body))).await,
            Ask::AnchorsImport {} => self.importer.import_anchors(Secrets(body), &calls).await,
            Ask::ImageImport { detached_at } => {
                let mut body = body;
                let file = ImportFile {
                    bytes: std::mem::take(&mut *body),
                    detached_at,
                };
                self.importer.import(file, &calls).await
            }
            Ask::Audit {
                since_unix_s,
                device,
                after,
            } => {
                let device = match device {
                    Some(text) => match device_named(&calls, &text).await {
                        // A device that was forgotten is still in the trail.
                        Err(refused) if !is_identifier(&text) => return refused,
                        named => Some(named.unwrap_or_else(|_| spelled(&text))),
                    },
                    None => None,
                };
                let query = AuditQuery {
                    since_unix_s,
                    device,
                    after,
                };
                self.audit(query).await
            }
            Ask::Logs { text } => {
                // What is logged of a device names it by its identifier.
                let text = device_named(&calls, &text).await.unwrap_or(text);
                let lines = self.recent.containing(&text);
                let lines = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
                AnswerResult::ok(&Document::new(LogPage {
                    lines: lines.collect(),
                }))
            }
            ask => calls.ask(EngineAsk::Ask(ask)).await,
        }
    }

    /// Read past the engine, which a long trail must not hold up.
    async fn audit(&self, query: AuditQuery) -> AnswerResult {
        let database = self.database.clone();
        let failed = |error: &dyn std::error::Error| AnswerResult::Failed {
            problem: format!("audit trail cannot be read: {}", chain(error)),
        };
        match tokio::task::spawn_blocking(move || read_audit(&database, &query)).await {
            Ok(Ok(entries)) => AnswerResult::ok(&Document::new(AuditPage { entries })),
            Ok(Err(error)) => failed(&error),
            Err(error) => failed(&error),
        }
    }
}

/// The identifier of the device that is called so, or what is answered to whoever asks for it.
async fn device_named(calls: &Calls, text: &str) -> Result<String, AnswerResult> {
    let device = text.to_owned();
    let answer = calls.ask(EngineAsk::Ask(Ask::DeviceShow { device })).await;
    let id = match &answer {
        AnswerResult::Ok(shown) => shown["device"]["device"].as_str().map(str::to_owned),
        _ => None,
    };
    id.ok_or(answer)
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const PACE: Pace = Pace {
        line: Duration::from_secs(10),
        silence: Duration::from_secs(20),
        whole: Duration::from_secs(900),
    };

    /// What comes of a caller who sends `pieces` with this long before each, and how long that took.
    async fn asked_by(
        role: Role,
        pause: Duration,
        pieces: &'static [&'static [u8]],
        last: usize,
    ) -> (Result<usize, String>, Duration) {
        let (mut near, far): (DuplexStream, DuplexStream) = duplex(64);
        tokio::spawn(async move {
            let mut far = far;
            for piece in pieces.iter().copied().chain(std::iter::repeat_n(&b"x"[..], last)) {
                tokio::time::sleep(pause).await;
                if far.write_all(piece).await.is_err() {
                    return;
                }
            }
            // Stays, and says no more.
            tokio::time::sleep(Duration::from_secs(100_000)).await;
        });
        let (calls, _engine) = Calls::channel();
        let caller = Caller {
            who: "carol".to_owned(),
            role,
            pace: PACE,
        };
        let begin = Instant::now();
        let result = asked(&mut near, &caller, &TurnedAway::new(calls)).await;
        let result = match result {
            Ok((_, body)) => Ok(body.len()),
            Err(AnswerResult::Refused { problem, .. }) => Err(problem),
            Err(other) => panic!("{other:?}"),
        };
        (result, begin.elapsed())
    }

    const STATUS: &[u8] = b"{\"v\":1,\"ask\":{\"status\":{}}}\n";
    const IMPORT: &[u8] = b"{\"v\":1,\"ask\":{\"image-import\":{}},\"body_bytes\":1000}\n";

    #[tokio::test(start_paused = true)]
    async fn a_question_in_time_is_taken() {
        let nine = Duration::from_secs(9);
        let (result, took) = asked_by(Role::View, nine, &[STATUS], 0).await;
        assert_eq!((result, took), (Ok(0), nine));
    }

    #[tokio::test(start_paused = true)]
    async fn who_drips_a_question_is_cut_off_at_its_deadline() {
        let (result, took) = asked_by(Role::Admin, Duration::from_secs(1), &[b"{"], 1_000).await;
        assert_eq!(result.unwrap_err(), "question took too long");
        assert_eq!(took, PACE.line);
    }

    #[tokio::test(start_paused = true)]
    async fn who_falls_silent_or_drips_a_file_is_cut_off() {
        let (result, took) = asked_by(Role::Operate, Duration::ZERO, &[IMPORT], 500).await;
        assert_eq!(result.unwrap_err(), "file took too long");
        assert_eq!(took, PACE.silence);
        // Never silent for long, and still not done in time.
        let (result, took) = asked_by(Role::Operate, Duration::from_secs(5), &[IMPORT], 1_000).await;
        assert_eq!(result.unwrap_err(), "file took too long");
        assert_eq!(took, PACE.whole + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_the_answer_is_cut_off() {
        let (mut near, _far) = duplex(64);
        let begin = Instant::now();
        let long = AnswerResult::ok(&"x".repeat(100_000));
        let told = tell(&mut near, long, PACE).await;
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed(), PACE.silence);
    }
}
