//! The annotated text: the defaults' own, line by line, with other values put in.

use super::DEFAULTS;
use std::fmt::Write;
use toml::{Table, Value};

/// The defaults' text with the values that `given` names.
pub(super) fn annotated(given: &Table) -> String {
    let (mut out, mut section) = (String::new(), None);
    for line in DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = given.get(name).and_then(Value::as_table);
        }
        let replaced = line
            .split_once(" = ")
            .filter(|(key, _)| !key.starts_with('#'))
            .and_then(|(key, _)| Some((key, section?.get(key)?)));
        match replaced {
            Some((key, value)) => writeln!(out, "{key} = {value}"),
            None => writeln!(out, "{line}"),
        }
        .expect("writing to a string does not fail");
    }
    for participant in given
        .get("participants")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        out.push_str("\n[[participants]]\n");
        for (key, value) in participant.as_table().into_iter().flatten() {
            writeln!(out, "{key} = {value}").expect("writing to a string does not fail");
        }
    }
    out
}
