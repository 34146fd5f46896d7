//! Technicians' questions about who holds which key. Secrets come in the question's body and go to the core, nowhere else.

use gateway_core::{
    Command, Credentials, DeviceName, DeviceView, Enrolment, IdentityCommand, Label, NameKind, Octets, Psk,
    PskIdentity, Reply, Secret,
};
use wire_checkin::DeviceId;

use super::Engine;
use super::answer::{Refused, document, label_of};
use crate::admin::{AnswerResult, Ask, DeviceNames};
use crate::audit::Entry;
use crate::factory;
use crate::report::{BadRow, Enrolled, EnrolledPsk, GatewayKey, ImportedDevices};

impl Engine {
    /// A question with a body.
    pub(super) fn answer_with_body(&mut self, ask: Ask, body: &[u8], who: &str) -> AnswerResult {
        let answered = match ask {
            Ask::DeviceEnrol { device, names } => self.enrol(&device, &names, body),
            Ask::DeviceRotate { device, old_valid_s } => self.rotate(&device, old_valid_s, body),
            Ask::DeviceEnrolPsk { device, names } => self.enrol_psk(&device, &names, body),
            Ask::DeviceRotatePsk { device, old_valid_s } => self.rotate_psk(&device, old_valid_s, body),
            Ask::AnchorsImport {} => self.import_anchors(body),
            Ask::DeviceImport { skip_bad } => self.import_devices(skip_bad, body, who),
            _ => Err(Refused(
                "question takes no file".into(),
                "deltagate --help".into(),
            )),
        };
        answered.unwrap_or_else(|Refused(problem, hint)| AnswerResult::refused(problem, hint))
    }

    fn enrol(&mut self, device: &str, names: &DeviceNames, body: &[u8]) -> Result<AnswerResult, Refused> {
        let (device, credentials) = (identifier(device)?, credentials(body)?);
        let kid = credentials.kid;
        let enrolment = enrolment(device, Some(credentials), names)?;
        let command = Command::Identity(IdentityCommand::Enrol(enrolment));
        let done = match self.parts.core.handle_command(self.parts.clock.now(), command)? {
            Reply::Unchanged => Reply::Unchanged.to_string(),
            _ => format!("enrolled device {device} with key {kid}"),
        };
        Ok(enrolled(done, device, kid.to_string()))
    }

    fn rotate(&mut self, device: &str, old_valid_s: u32, body: &[u8]) -> Result<AnswerResult, Refused> {
        let (device, credentials) = (self.device_named(device)?, credentials(body)?);
        let kid = credentials.kid;
        let command = Command::Identity(IdentityCommand::Rotate {
            device,
            credentials,
            old_valid_s,
        });
        let done = match self.parts.core.handle_command(self.parts.clock.now(), command)? {
            Reply::Unchanged => Reply::Unchanged.to_string(),
            _ => format!("gave device {device} key {kid}; its old one counts until it uses this"),
        };
        Ok(enrolled(done, device, kid.to_string()))
    }

    fn enrol_psk(&mut self, device: &str, names: &DeviceNames, body: &[u8]) -> Result<AnswerResult, Refused> {
        let (device, psk) = (identifier(device)?, psk(body)?);
        let identity = psk.identity;
        let enrolment = Enrolment {
            psk: Some(psk),
            ..enrolment(device, None, names)?
        };
        let command = Command::Identity(IdentityCommand::Enrol(enrolment));
        let done = match self.parts.core.handle_command(self.parts.clock.now(), command)? {
            Reply::Unchanged => Reply::Unchanged.to_string(),
            _ => format!("enrolled device {device} with PSK identity {identity}"),
        };
        Ok(enrolled_psk(done, device, identity))
    }

    fn rotate_psk(&mut self, device: &str, old_valid_s: u32, body: &[u8]) -> Result<AnswerResult, Refused> {
        let (device, psk) = (self.device_named(device)?, psk(body)?);
        let identity = psk.identity;
        let command = Command::Identity(IdentityCommand::RotatePsk {
            device,
            psk,
            old_valid_s,
        });
        let is_rotating = |view: DeviceView| view.identity.psk_leaving_unix_s.is_some();
        let done = match self.parts.core.handle_command(self.parts.clock.now(), command)? {
            Reply::Unchanged => Reply::Unchanged.to_string(),
            _ if self.parts.core.device(device).is_some_and(is_rotating) => {
                format!("gave device {device} PSK identity {identity}; its old one counts until it uses this")
            }
            _ => format!(
                "gave device {device} another key under PSK identity {identity}; the old one is destroyed"
            ),
        };
        Ok(enrolled_psk(done, device, identity))
    }

    fn import_devices(&mut self, skip_bad: bool, list: &[u8], who: &str) -> Result<AnswerResult, Refused> {
        let help = || "deltagate device import --help; docs/identity.md has the columns".to_owned();
        let import = factory::read(list, skip_bad).map_err(|error| Refused(error.to_string(), help()))?;
        let command = Command::Identity(IdentityCommand::Import(import));
        let reply = self.parts.core.handle_command(self.parts.clock.now(), command)?;
        let Reply::Imported(report) = &reply else {
            return Err(Refused("import ended without a report".into(), help()));
        };
        let (count, bad) = (report.enrolled.len(), report.bad.len());
        let done = match (count, bad) {
            (0, 0) => Reply::Unchanged.to_string(),
            (_, 0) => reply.to_string(),
            (0, _) => format!("enrolled nobody: {bad} lines cannot be imported"),
            _ => format!("{reply}; {bad} lines were left out"),
        };
        // One for each device, so that a device's own trail begins with it; the log is told once of all of them.
        for keys in &report.enrolled {
            let kid = keys.kid.map(|kid| format!("kid={kid} "));
            let psk = keys.psk.map(|identity| format!("psk={identity} "));
            let own = keys.has_public_key.then(|| "key=own ".to_owned());
            let detail = [kid, psk, own].into_iter().flatten().collect::<String>() + "by=import";
            let entry = Entry::now(who, "device-enrol", detail, "done");
            self.pending.audit.push(Entry {
                device: Some(keys.device.to_string()),
                ..entry
            });
        }
        Ok(document(ImportedDevices {
            done,
            enrolled: count,
            unchanged: report.unchanged,
            bad: report
                .bad
                .iter()
                .map(|bad| BadRow {
                    line: bad.line,
                    what: bad.what.clone(),
                    why: bad.why.clone(),
                })
                .collect(),
        }))
    }

    /// Enrols a device by a key of its own.
    pub(super) fn enrol_key(
        &mut self,
        device: &str,
        names: &DeviceNames,
        public_key: &str,
    ) -> Result<AnswerResult, Refused> {
        let device = identifier(device)?;
        let public_key = factory::read_public_key(public_key).map_err(|why| {
            Refused(
                format!("public key cannot be read: {why}"),
                "name the x-coordinate, or the point as SEC 1 has it, compressed or not: deltagate device enrol --help"
                    .into(),
            )
        })?;
        let enrolment = Enrolment {
            public_key: Some(public_key),
            ..enrolment(device, None, names)?
        };
        let command = Command::Identity(IdentityCommand::Enrol(enrolment));
        let done = match self.parts.core.handle_command(self.parts.clock.now(), command)? {
            Reply::Unchanged => Reply::Unchanged.to_string(),
            _ => format!("enrolled device {device} by a key of its own"),
        };
        Ok(document(Enrolled {
            done,
            device: device.to_string(),
            kid: String::new(),
            file: None,
            gateway_key: self
                .parts
                .core
                .own_key()
                .map(|key| crate::delta::hex(key.as_bytes())),
        }))
    }

    /// What devices that have keys of their own know the gateway by.
    pub(super) fn gateway_key(&self) -> Result<AnswerResult, Refused> {
        let key = self.parts.core.own_key().ok_or_else(|| {
            Refused(
                "gateway has no key".into(),
                "start it with `deltagate serve`".into(),
            )
        })?;
        Ok(document(GatewayKey {
            public_key: crate::delta::hex(key.as_bytes()),
            kid: crate::delta::hex(&gateway_core::GATEWAY_KID),
        }))
    }

    /// Whether a device could be enrolled so, and with which key id.
    pub(super) fn check_enrol(&self, device: &str, names: &DeviceNames) -> Result<AnswerResult, Refused> {
        let device = identifier(device)?;
        let enrolment = enrolment(device, Some(self.blank()), names)?;
        self.check(device, IdentityCommand::Enrol(enrolment))
    }

    /// Whether a device could be given another key, and with which key id.
    pub(super) fn check_rotate(&self, device: &str) -> Result<AnswerResult, Refused> {
        let device = self.device_named(device)?;
        let command = IdentityCommand::Rotate {
            device,
            credentials: self.blank(),
            old_valid_s: 0,
        };
        self.check(device, command)
    }

    fn check(&self, device: DeviceId, command: IdentityCommand) -> Result<AnswerResult, Refused> {
        let now = self.parts.clock.now();
        let command = Command::Identity(command);
        self.parts.core.check_command(now, command)?;
        let kid = self.parts.core.free_kid().to_string();
        Ok(enrolled(String::new(), device, kid))
    }

    /// Credentials that nobody uses: a secret of zeros, under the next key id.
    fn blank(&self) -> Credentials {
        Credentials {
            kid: self.parts.core.free_kid(),
            gateway_id: Octets::EMPTY,
            secret: Secret::new(&[0; gateway_core::SECRET_BYTES]),
            salt: Octets::EMPTY,
            id_context: Octets::EMPTY,
        }
    }
}

fn identifier(text: &str) -> Result<DeviceId, Refused> {
    factory::identifier(text).ok_or_else(|| {
        Refused(
            format!("\"{text}\" is not an identifier of 2 to 32 hex digits"),
            "name what it checks in with; --serial, --imei and --eui name the rest: deltagate device enrol --help"
                .into(),
        )
    })
}

fn credentials(record: &[u8]) -> Result<Credentials, Refused> {
    Credentials::decode(record).map_err(|error| {
        Refused(
            format!("credentials cannot be read: {error}"),
            "use the deltagate binary that the gateway was started from".into(),
        )
    })
}

fn psk(record: &[u8]) -> Result<Psk, Refused> {
    Psk::decode(record).ok_or_else(|| {
        Refused(
            "identity and key cannot be read".into(),
            "use the deltagate binary that the gateway was started from".into(),
        )
    })
}

fn enrolment(
    device: DeviceId,
    credentials: Option<Credentials>,
    names: &DeviceNames,
) -> Result<Enrolment, Refused> {
    let label: Option<Label> = names.label.as_deref().map(label_of).transpose()?;
    let kinds = [
        (NameKind::Eui, &names.eui),
        (NameKind::Imei, &names.imei),
        (NameKind::Serial, &names.serial),
    ];
    let mut found = Vec::new();
    for (kind, text) in kinds {
        let Some(text) = text else { continue };
        let unfit = || {
            Refused(
                format!("\"{text}\" is not {}", kind.expects()),
                "deltagate device enrol --help".into(),
            )
        };
        found.push(DeviceName::new(kind, text).ok_or_else(unfit)?);
    }
    Ok(Enrolment {
        device,
        credentials,
        psk: None,
        public_key: None,
        names: found,
        label,
        group: None,
    })
}

fn enrolled(done: String, device: DeviceId, kid: String) -> AnswerResult {
    document(Enrolled {
        done,
        device: device.to_string(),
        kid,
        file: None,
        gateway_key: None,
    })
}

fn enrolled_psk(done: String, device: DeviceId, identity: PskIdentity) -> AnswerResult {
    document(EnrolledPsk {
        done,
        device: device.to_string(),
        psk_identity: identity.to_string(),
        file: None,
    })
}
