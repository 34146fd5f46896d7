//! As much of JSON Schema as our own schemas use, and stricter: a keyword that is not known here and a key that no schema
//! names are faults.

use serde_json::Value;

/// What is wrong with `value`, if anything, with the path to it.
pub(crate) fn faults(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(root, schema, value, "$", &mut faults);
    faults
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        assert_eq!(schema, &Value::Bool(true), "{at}");
        return;
    };
    for (keyword, wanted) in keywords {
        let holds = match keyword.as_str() {
            "description" | "title" | "format" | "default" => true,
            "$ref" => {
                let name = wanted.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                check(root, &root["$defs"][name], value, at, faults);
                true
            }
            "type" => match wanted {
                Value::Array(types) => types.iter().any(|wanted| is(value, wanted)),
                wanted => is(value, wanted),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "anyOf" | "oneOf" => wanted
                .as_array()
                .unwrap()
                .iter()
                .any(|schema| self::faults(root, schema, value).is_empty()),
            "required" => wanted
                .as_array()
                .unwrap()
                .iter()
                .all(|key| value.get(key.as_str().unwrap()).is_some()),
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    match wanted.get(key) {
                        Some(schema) => check(root, schema, value, &format!("{at}.{key}"), faults),
                        None => faults.push(format!("{at}.{key} is in no schema")),
                    }
                }
                true
            }
            // Keys beside those that are named, which "properties" above looks at.
            "additionalProperties" => wanted == &Value::Bool(true),
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, value, &format!("{at}[{index}]"), faults);
                }
                true
            }
            other => panic!("{at}: keyword {other} is not known here"),
        };
        if !holds {
            faults.push(format!("{at}: {value} against {keyword} {wanted}"));
        }
    }
}

fn is(value: &Value, wanted: &Value) -> bool {
    match wanted.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other} is not known here"),
    }
}
