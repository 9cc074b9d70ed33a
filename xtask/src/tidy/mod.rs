//! The rules of style that a program can check: sizes, first lines, words that do not belong on main, casts, matches.

mod exceptions;
mod functions;
mod matches;

use crate::shell::root;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines.
const FILE_LINES_MAX: usize = 600;
/// Longest README and map, in lines.
const DOCUMENTS: &[(&str, usize)] = &[("README.md", 150), ("docs/ARCHITECTURE.md", 250)];
/// Rooms that hold Rust.
const ROOMS: &[&str] = &[
    "protocol",
    "engine",
    "journal",
    "gateway",
    "client",
    "server",
    "settlement-bridge",
    "perf",
    "benches",
    "xtask",
    "fuzz",
];
/// The core, in which numbers change their type by `From` or `try_from`, never by `as`.
const CORE: &[&str] = &["engine/src/", "protocol/src/"];
/// What `as` casts to.
const NUMBERS: &[&str] = &[
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64", "_",
];

/// Words that say a thing is not done; assembled, so that this list does not find itself.
fn unfinished() -> [String; 5] {
    ["TO-DO", "FIX-ME", "#[ig-nore]", "to-do!(", "unimple-mented!("].map(|word| word.replace('-', ""))
}

/// Checks every file; names each breach with its place.
pub fn tidy() -> Result<()> {
    let (mut breaches, mut files) = (Vec::new(), Vec::new());
    for room in ROOMS {
        for path in rust_files(&root().join(room))? {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            check_file(&shown, &text, &mut breaches);
            files.push((shown, text));
        }
    }
    exceptions::check(&files, &mut breaches);
    for (document, lines_max) in DOCUMENTS {
        let text =
            fs::read_to_string(root().join(document)).with_context(|| format!("cannot read {document}"))?;
        let lines = text.lines().count();
        if lines > *lines_max {
            breaches.push(format!("{document}: {lines} lines, at most {lines_max}"));
        }
    }
    if !breaches.is_empty() {
        bail!("{} breaches of style:\n{}", breaches.len(), breaches.join("\n"));
    }
    println!("tidy: {} files of Rust", files.len());
    Ok(())
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn check_file(path: &str, text: &str, breaches: &mut Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > FILE_LINES_MAX {
        breaches.push(format!("{path}: {} lines, at most {FILE_LINES_MAX}", lines.len()));
    }
    if !lines
        .iter()
        .find(|line| !line.starts_with("#!"))
        .is_some_and(|line| line.starts_with("//! "))
    {
        breaches.push(format!(
            "{path}:1: a file opens with one `//!` sentence that says what it is"
        ));
    }
    let tests_from = lines
        .iter()
        .position(|line| line.trim() == "#[cfg(test)]")
        .unwrap_or(lines.len());
    let is_test = path.contains("/tests/") || path.contains("/examples/");
    let tests_from = if is_test { 0 } else { tests_from };
    for (number, line) in (1..).zip(&lines) {
        let code = line.split("//").next().unwrap_or(line);
        if unfinished().iter().any(|word| line.contains(word.as_str())) {
            breaches.push(format!("{path}:{number}: unfinished work does not stand on main"));
        }
        if number <= tests_from && code.contains(&format!(".{}()", "unwrap")) {
            breaches.push(format!(
                "{path}:{number}: `unwrap` gives no reason; `expect` does"
            ));
        }
        if number <= tests_from && is_cast_in_core(path, code) {
            breaches.push(format!(
                "{path}:{number}: `as` may cut a number; `From` and `try_from` say what happens"
            ));
        }
        if exceptions::is_unsafe(code) && !exceptions::may_be_unsafe(path) {
            breaches.push(format!(
                "{path}:{number}: unsafe code stands in its own places only"
            ));
        }
    }
    functions::check(path, &lines, breaches);
    matches::check(path, &lines[..tests_from], breaches);
}

fn is_cast_in_core(path: &str, code: &str) -> bool {
    let is_number = |rest: &str| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        NUMBERS.contains(&&rest[..end.unwrap_or(rest.len())])
    };
    CORE.iter().any(|core| path.starts_with(core))
        && code.split(" as ").skip(1).any(is_number)
        && !exceptions::covers(exceptions::CASTS, path, code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        check_file(path, text, &mut found);
        found
    }

    #[test]
    fn each_rule_names_its_breach() {
        assert!(breaches("engine/src/a.rs", "//! A file.\nfn a() {\n}\n").is_empty());
        assert!(breaches("engine/src/a.rs", "fn a() {}\n")[0].contains("opens with"));
        let word = "unwrap";
        assert!(breaches("engine/src/a.rs", &format!("//! A.\nfn a() {{ b.{word}() }}\n"))[0].contains(word));
        let word = "unsafe";
        assert!(
            breaches(
                "engine/src/a.rs",
                &format!("//! A.\nfn a() {{ {word} {{ b() }} }}\n")
            )[0]
            .contains(word)
        );
        let long = format!("//! A.\nfn a() {{\n{}}}\n", "    b();\n".repeat(60));
        assert!(breaches("engine/src/a.rs", &long)[0].contains("62 lines in one function"));
        let cast = "//! A.\nfn a(b: u64) -> u32 {\n    b as u32\n}\n";
        assert!(breaches("engine/src/a.rs", cast)[0].contains("`as`"));
        assert!(breaches("server/src/a.rs", cast).is_empty());
        let tested = cast.replacen("fn", "#[cfg(test)]\nfn", 1);
        assert!(breaches("engine/src/a.rs", &tested).is_empty());
        assert!(breaches("engine/src/a.rs", "//! A.\nuse b as c;\n").is_empty());
        let many = "//! A.\nfn a(b: B, c: C, d: D, e: E, f: F, g: G) {}\n";
        assert!(breaches("engine/src/a.rs", many)[0].contains("6 arguments"));
        let unfinished = format!("//! A.\n// {}: later\n", unfinished()[0]);
        assert!(breaches("engine/src/a.rs", &unfinished)[0].contains("unfinished"));
    }
}
