//! The rules of style that a program can check: sizes, first lines, words that do not belong on main.

use crate::shell::root;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines.
const FILE_LINES_MAX: usize = 600;
/// Longest function, in lines of code.
const FUNCTION_LINES_MAX: usize = 60;
/// Longest README and map, in lines.
const DOCUMENTS: &[(&str, usize)] = &[("README.md", 150), ("docs/ARCHITECTURE.md", 250)];
/// Rooms that hold Rust.
const ROOMS: &[&str] = &[
    "protocol", "engine", "journal", "gateway", "client", "server", "perf", "benches", "xtask", "fuzz",
];
/// The only places where unsafe code stands, each with its invariant on its page.
const UNSAFE_PLACES: &[&str] = &[
    "journal/src/unsafe_",
    "journal/src/memory.rs",
    "journal/tests/",
    "server/tests/",
    "server/src/allocations.rs",
    "gateway/tests/",
    "protocol/tests/",
    "xtask/src/crash",
];

/// Words that say a thing is not done; assembled, so that this list does not find itself.
fn unfinished() -> [String; 5] {
    ["TO-DO", "FIX-ME", "#[ig-nore]", "to-do!(", "unimple-mented!("].map(|word| word.replace('-', ""))
}

/// Checks every file; names each breach with its place.
pub fn tidy() -> Result<()> {
    let mut breaches = Vec::new();
    let mut files = 0;
    for room in ROOMS {
        for path in rust_files(&root().join(room))? {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            files += 1;
            check_file(&shown, &text, &mut breaches);
        }
    }
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
    println!("tidy: {files} files of Rust");
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
    for (number, line) in (1..).zip(&lines) {
        let code = line.split("//").next().unwrap_or(line);
        if unfinished().iter().any(|word| line.contains(word.as_str())) {
            breaches.push(format!("{path}:{number}: unfinished work does not stand on main"));
        }
        if !is_test && number <= tests_from && code.contains(&format!(".{}()", "unwrap")) {
            breaches.push(format!(
                "{path}:{number}: `unwrap` gives no reason; `expect` does"
            ));
        }
        if code.contains(&format!("{} {{", "unsafe"))
            && !UNSAFE_PLACES.iter().any(|place| path.starts_with(place))
        {
            breaches.push(format!(
                "{path}:{number}: unsafe code stands in its own places only"
            ));
        }
    }
    check_functions(path, &lines, breaches);
}

/// Finds functions by their first line and the brace that closes it at the same depth: rustfmt keeps both in place.
/// Lines that only name a field or an arm do not count: they are as many as the type has, and read as a table.
fn check_functions(path: &str, lines: &[&str], breaches: &mut Vec<String>) {
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let is_function =
            trimmed.starts_with("fn ") || trimmed.contains(" fn ") && trimmed.starts_with("pub");
        // A function that ends on its own line, as in a macro, is one line long.
        if !is_function || trimmed.starts_with("//") || trimmed.ends_with('}') {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let length = lines[start..]
            .iter()
            .position(|line| *line == closing)
            .map_or(1, |offset| offset + 1);
        let is_code = |line: &&&str| {
            let line = line.trim();
            // Arms of a match are as many as the enum has variants; fields of a literal are as many as the struct has.
            let is_arm = line.contains("=>") || line.starts_with('|');
            let is_field = line.ends_with(',') && !line.contains('(') && !line.contains('{');
            !is_arm && !is_field && !line.is_empty() && !line.starts_with("//")
        };
        let length = lines[start..start + length].iter().filter(is_code).count();
        if length > FUNCTION_LINES_MAX {
            breaches.push(format!(
                "{path}:{}: {length} lines in one function, at most {FUNCTION_LINES_MAX}",
                start + 1
            ));
        }
    }
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
        let unfinished = format!("//! A.\n// {}: later\n", unfinished()[0]);
        assert!(breaches("engine/src/a.rs", &unfinished)[0].contains("unfinished"));
    }
}
