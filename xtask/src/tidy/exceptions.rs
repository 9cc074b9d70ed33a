//! Where a rule of style is broken on purpose, and why; an exception that nothing needs any more is a breach itself.

/// One place that breaks a rule.
pub(super) struct Exception {
    /// The file, from the root.
    pub path: &'static str,
    /// What stands there, enough of the line to know it by.
    pub code: &'static str,
    /// Why the rule would make the place worse.
    pub why: &'static str,
}

/// Casts with `as` in the core.
pub(super) const CASTS: &[Exception] = &[
    Exception {
        path: "engine/src/order.rs",
        code: "place as usize",
        why: "the one door from a 32-bit place to an index: `From` is not const, and `try_from` costs a branch",
    },
    Exception {
        path: "engine/src/levels.rs",
        code: "; FAN as usize]",
        why: "the length of an array is computed when it is compiled",
    },
    Exception {
        path: "protocol/src/frame.rs",
        code: "self.block_length as usize",
        why: "a const function, where `From` cannot be called; it only widens",
    },
    Exception {
        path: "protocol/src/frame.rs",
        code: "size_of::<M>() as u16",
        why: "computed when it is compiled, beside the assertion that a body fits its frame",
    },
    Exception {
        path: "protocol/src/packet.rs",
        code: "(size_of::<M>() / 8) as u8",
        why: "computed when it is compiled, beside the assertion that a body fits its packet",
    },
];

/// Arms `_ =>` beside arms of an enum. A comment above the arm does as well.
pub(super) const CATCH_ALLS: &[Exception] = &[
    Exception {
        path: "engine/src/exchange.rs",
        code: "_ if cfg!(feature = \"mutant-drop-dedup\")",
        why: "the defect takes every request for a new one",
    },
    Exception {
        path: "journal/src/command/scan.rs",
        code: "_ => End { view: 0, offset: 0 }",
        why: "without a first segment that is valid, nothing is intact, whatever is wrong with it",
    },
    Exception {
        path: "journal/src/command/scan.rs",
        code: "_ => self.find_intact(view, begins, opens)",
        why: "a segment is searched whatever its header is, unless that itself proves that the journal went on",
    },
];

/// The only places where unsafe code stands, each with its invariant on its page.
const UNSAFE_PLACES: &[&str] = &[
    "journal/src/memory.rs",
    "journal/tests/",
    "server/tests/",
    "protocol/tests/",
    "xtask/src/crash/power.rs",
];

/// What opens unsafe code; assembled, so that this list does not find itself.
pub(super) fn is_unsafe(code: &str) -> bool {
    ["{", "fn ", "impl "]
        .iter()
        .any(|what| code.contains(&format!("{} {what}", "unsafe")))
}

/// Whether unsafe code may stand in this file.
pub(super) fn may_be_unsafe(path: &str) -> bool {
    UNSAFE_PLACES.iter().any(|place| path.starts_with(place))
}

/// Whether a line is among the exceptions.
pub(super) fn covers(exceptions: &[Exception], path: &str, line: &str) -> bool {
    exceptions
        .iter()
        .any(|exception| exception.path == path && line.contains(exception.code))
}

/// Names the exceptions that no file needs any more; files as path and text.
pub(super) fn check(files: &[(String, String)], breaches: &mut Vec<String>) {
    for Exception { path, code, why } in CASTS.iter().chain(CATCH_ALLS) {
        if !files
            .iter()
            .any(|(file, text)| file == path && text.contains(code))
        {
            breaches.push(format!(
                "{path}: `{code}` does not stand there any more, though excepted: {why}"
            ));
        }
    }
    for place in UNSAFE_PLACES {
        let is_needed = |(file, text): &(String, String)| file.starts_with(place) && is_unsafe(text);
        if !files.iter().any(is_needed) {
            breaches.push(format!(
                "{place}: nothing is unsafe there any more, though it may"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_that_nothing_needs_is_a_breach() {
        let mut breaches = Vec::new();
        check(&[], &mut breaches);
        assert_eq!(
            breaches.len(),
            CASTS.len() + CATCH_ALLS.len() + UNSAFE_PLACES.len()
        );
        let needed = (CASTS[0].path.to_owned(), format!("    {}\n", CASTS[0].code));
        breaches.clear();
        check(&[needed], &mut breaches);
        assert!(!breaches.iter().any(|breach| breach.contains(CASTS[0].code)));
    }
}
