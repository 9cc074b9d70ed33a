//! A file's values laid over the defaults: unknown keys and wrong kinds of values are refused by name.

use toml::{Table, Value};

/// Replaces in `whole` what `given` names.
pub(super) fn overlay(whole: &mut Table, given: Table, path: &str) -> Result<(), String> {
    for (key, value) in given {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        if path == "participants" {
            list_of_tables(&value)?;
            whole.insert(key, value);
            continue;
        }
        match (whole.get_mut(&key), value) {
            (None, _) => return Err(format!("unknown key `{path}`")),
            (Some(Value::Table(inner)), Value::Table(given)) => overlay(inner, given, &path)?,
            (Some(_), Value::Integer(number)) if number < 0 => {
                return Err(format!("`{path}` = {number}: a whole number from 0 on is wanted"));
            }
            (Some(default), value) if kind(default) == kind(&value) => *default = value,
            (Some(default), value) => return Err(format!("`{path}` = {value}: {} is wanted", kind(default))),
        }
    }
    Ok(())
}

fn list_of_tables(value: &Value) -> Result<(), String> {
    let all_tables = value
        .as_array()
        .is_some_and(|list| list.iter().all(Value::is_table));
    if all_tables {
        Ok(())
    } else {
        Err(format!(
            "`participants` = {value}: tables [[participants]] are wanted"
        ))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a point",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
