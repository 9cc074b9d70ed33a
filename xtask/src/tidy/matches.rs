//! Matches of our own enums: every variant is named, so that a new one is met wherever it matters.

use super::exceptions::{CATCH_ALLS, covers};

/// Enums of others, to which variants are added without us.
const OF_OTHERS: &[&str] = &["ErrorKind"];

/// Finds arms `_ =>` beside arms that name variants, without a comment that says why.
pub(super) fn check(path: &str, lines: &[&str], breaches: &mut Vec<String>) {
    for (place, line) in lines.iter().enumerate() {
        let arm = line.trim_start();
        if !arm.starts_with("_ =>") && !arm.starts_with("_ if ") {
            continue;
        }
        let is_explained =
            place > 0 && lines[place - 1].trim_start().starts_with("//") || line.contains(" // ");
        if is_explained || covers(CATCH_ALLS, path, line) || !siblings(lines, place).any(names_variant) {
            continue;
        }
        breaches.push(format!(
            "{path}:{}: `_ =>` hides variants of our own enum: name them, or say why above it",
            place + 1
        ));
    }
}

/// The other lines at this one's depth in the same block: rustfmt begins every arm of a match at one depth.
fn siblings<'a>(lines: &'a [&'a str], place: usize) -> impl Iterator<Item = &'a str> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let own = depth(lines[place]);
    let is_within = move |line: &&&str| line.trim().is_empty() || depth(line) >= own;
    let before = lines[..place].iter().rev().take_while(is_within);
    let after = lines[place + 1..].iter().take_while(is_within);
    before
        .chain(after)
        .filter(move |line| depth(line) == own)
        .copied()
}

/// Whether the pattern that begins this line names a variant, `Event::Traded`; a constant, `Traded::TEMPLATE`, is none.
fn names_variant(line: &str) -> bool {
    let pattern = line.split("=>").next().unwrap_or(line);
    let pattern = pattern.split(" if ").next().unwrap_or(pattern);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    pattern.match_indices("::").any(|(at, _)| {
        let (before, after) = (&pattern[..at], &pattern[at + 2..]);
        let owner = before.rsplit(|c| !is_word(c)).next().unwrap_or(before);
        let item = after.split(|c| !is_word(c)).next().unwrap_or(after);
        let is_type = |word: &str| word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase);
        is_type(owner) && is_type(item) && !OF_OTHERS.contains(&owner)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(arms: &str) -> usize {
        let text = format!("fn a(kind: Kind) {{\n    match kind {{\n{arms}    }}\n}}\n");
        let mut found = Vec::new();
        check("a.rs", &text.lines().collect::<Vec<_>>(), &mut found);
        found.len()
    }

    #[test]
    fn a_catch_all_beside_variants_needs_a_reason() {
        assert_eq!(breaches("        Kind::One(c) => c,\n        _ => 0,\n"), 1);
        assert_eq!(
            breaches("        (Some(Kind::One), 1) => c,\n        _ if d => 0,\n"),
            1
        );
        assert_eq!(
            breaches("        _ => 0,\n        kinds::Kind::One { c } => {\n            c\n        }\n"),
            1
        );
        let reasoned = "        Kind::One(c) => c,\n        // The others count nothing.\n        _ => 0,\n";
        assert_eq!(breaches(reasoned), 0);
    }

    #[test]
    fn numbers_words_and_what_others_name_are_no_variants() {
        assert_eq!(breaches("        1 => Kind::One,\n        _ => Kind::Two,\n"), 0);
        assert_eq!(breaches("        Kind::TEMPLATE => 1,\n        _ => 0,\n"), 0);
        assert_eq!(
            breaches("        ErrorKind::NotFound => 1,\n        _ => 0,\n"),
            0
        );
        let nested = "        1 => match c {\n            Kind::One => 1,\n            Kind::Two => 2,\n        },\n        _ => 0,\n";
        assert_eq!(breaches(nested), 0);
    }
}
