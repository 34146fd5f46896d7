//! What a question would do, in the words of the audit trail.

use serde_json::Value;

use super::{AnswerResult, Ask};

/// A question that may change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    /// The command's words: `update-assign`.
    pub(crate) what: String,
    /// The one device that it names, by identifier or label.
    pub(crate) device: Option<String>,
    /// Everything else that it names: `image=3f2a group=roof`.
    pub(crate) detail: String,
}

impl Deed {
    /// One for each device whose trail it belongs in; none of a question that only asks.
    pub(crate) fn all_of(ask: &Ask) -> Vec<Deed> {
        let deed = Deed::of(ask);
        let other = match (ask, &deed) {
            (Ask::DeviceSwap { device, by }, Some(deed)) => Some(Deed {
                what: deed.what.clone(),
                device: Some(spelled(by)),
                detail: format!("of={}", spelled(device)),
            }),
            _ => None,
        };
        deed.into_iter().chain(other).collect()
    }

    /// `None` for a question that only asks.
    pub(crate) fn of(ask: &Ask) -> Option<Deed> {
        // Every question stands here, so that a new one is placed by whoever adds it.
        let only_asks = match ask {
            Ask::ImageList {}
            | Ask::AnchorsList {}
            | Ask::ImageShow { .. }
            | Ask::DeviceList { .. }
            | Ask::DeviceShow { .. }
            | Ask::DeviceFind { .. }
            | Ask::DeviceEnrolCheck { .. }
            | Ask::DeviceGatewayKey {}
            | Ask::DeviceRotateCheck { .. }
            | Ask::GroupList {}
            | Ask::UpdatePlan { .. }
            | Ask::UpdateStatus {}
            | Ask::LinkList {}
            | Ask::LinkShow { .. }
            | Ask::Status {}
            | Ask::Audit { .. }
            | Ask::Logs { .. } => true,
            Ask::ImageImport { .. }
            | Ask::AnchorsImport {}
            | Ask::ImageRemove { .. }
            | Ask::ImagePin { .. }
            | Ask::ImageUnpin { .. }
            | Ask::DeviceLabel { .. }
            | Ask::DeviceClaim { .. }
            | Ask::DeviceForget { .. }
            | Ask::DeviceEnrol { .. }
            | Ask::DeviceEnrolKey { .. }
            | Ask::DeviceRotate { .. }
            | Ask::DeviceEnrolPsk { .. }
            | Ask::DeviceRotatePsk { .. }
            | Ask::DeviceImport { .. }
            | Ask::DeviceSwap { .. }
            | Ask::DeviceRetire { .. }
            | Ask::GroupCreate { .. }
            | Ask::GroupDelete { .. }
            | Ask::GroupAdd { .. }
            | Ask::GroupRemove { .. }
            | Ask::UpdateAssign { .. }
            | Ask::UpdateCancel { .. }
            | Ask::UpdateRetry { .. }
            | Ask::UpdatePause {}
            | Ask::UpdateResume {} => false,
        };
        (!only_asks).then(|| Deed::told(ask))
    }

    /// Of who came no further than to connect.
    pub(crate) fn of_connecting(what: &str) -> Deed {
        Deed {
            what: what.to_owned(),
            device: None,
            detail: String::new(),
        }
    }

    /// The same of whatever was asked.
    pub(crate) fn told(ask: &Ask) -> Deed {
        let (what, fields) = taken_apart(ask);
        let mut words = Vec::new();
        spell(&fields, &mut words);
        let device = words.iter().position(|(name, _)| name == "device");
        let device = device.map(|at| spelled(&words.remove(at).1));
        let words: Vec<String> = words
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Deed {
            what,
            device,
            detail: words.join(" "),
        }
    }
}

/// The command's words of a question: `update-assign`.
pub(crate) fn question_name(ask: &Ask) -> String {
    taken_apart(ask).0
}

/// As it travels: `{"update-assign": {"image": …, "to": {"group": …}}}`.
fn taken_apart(ask: &Ask) -> (String, Value) {
    let only = match serde_json::to_value(ask) {
        Ok(Value::Object(ask)) => ask.into_iter().next(),
        _ => None,
    };
    only.unwrap_or_default()
}

/// A device's identifier as it is kept, however it was typed; what is none stays as it is.
pub(super) fn spelled(device: &str) -> String {
    let id = device.parse::<wire_checkin::DeviceId>();
    id.map_or_else(|_| device.to_owned(), |id| id.to_string())
}

/// Whether a text can only be an identifier that is typed, of whatever device.
pub(super) fn is_identifier(device: &str) -> bool {
    device.parse::<wire_checkin::DeviceId>().is_ok()
}

fn spell(fields: &Value, words: &mut Vec<(String, String)>) {
    let Value::Object(fields) = fields else { return };
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::Object(_) => spell(value, words),
            Value::String(text) => words.push((name.clone(), text.clone())),
            other => words.push((name.clone(), other.to_string())),
        }
    }
}

/// What came of a deed; `None` when nothing was left to do, which leaves no entry: who repeats a command every minute would
/// wear out the card.
pub(crate) fn outcome(result: &AnswerResult) -> Option<String> {
    match result {
        AnswerResult::Ok(document) => {
            let done = document["done"].as_str().unwrap_or("done");
            (done != gateway_core::Reply::Unchanged.to_string()).then(|| done.to_owned())
        }
        AnswerResult::Refused { problem, .. } => Some(format!("refused: {problem}")),
        AnswerResult::Failed { problem } => Some(format!("failed: {problem}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Target;

    #[test]
    fn a_deed_is_told_in_the_words_of_its_command() {
        let assign = |to| Ask::UpdateAssign {
            image: "3f2a".to_owned(),
            to,
            severity: 1,
            defer_s_max: None,
        };
        let deed = Deed::of(&assign(Target::Group("roof".to_owned()))).unwrap();
        assert_eq!((deed.what.as_str(), deed.device), ("update-assign", None));
        assert_eq!(deed.detail, "image=3f2a severity=1 group=roof");
        let deed = Deed::of(&assign(Target::Device("52".to_owned()))).unwrap();
        assert_eq!(deed.device.as_deref(), Some("52"));
        assert_eq!(spelled("52540012ABCD"), "52540012abcd");
        assert_eq!(spelled("roof"), "roof");
        assert_eq!(deed.detail, "image=3f2a severity=1");
        assert_eq!(Deed::of(&Ask::Status {}), None);
    }

    #[test]
    fn what_changed_nothing_leaves_no_entry() {
        let done = |done: &str| AnswerResult::Ok(serde_json::json!({"version": 1, "done": done}));
        assert_eq!(outcome(&done("nothing to do")), None);
        assert_eq!(
            outcome(&done("assigned to 3 devices")).unwrap(),
            "assigned to 3 devices"
        );
        let refused = AnswerResult::refused("device 52 is not known", "deltagate device list");
        assert_eq!(outcome(&refused).unwrap(), "refused: device 52 is not known");
    }
}
