//! Functions: how long, and of how many arguments.

/// Longest function, in lines of code.
const LINES_MAX: usize = 60;
/// Most arguments; `self` is who is asked, not what is told, and does not count.
const ARGUMENTS_MAX: usize = 5;

/// Finds functions by their first line and the brace that closes it at the same depth: rustfmt keeps both in place.
pub(super) fn check(path: &str, lines: &[&str], breaches: &mut Vec<String>) {
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(name) = name(trimmed) else {
            continue;
        };
        let place = format!("{path}:{}: `{name}`", start + 1);
        let count = arguments(&lines[start..]);
        if count > ARGUMENTS_MAX {
            breaches.push(format!(
                "{place}: {count} arguments of one function, at most {ARGUMENTS_MAX}"
            ));
        }
        // A function that ends on its own line, as in a macro, is one line long; one without a body has none.
        if trimmed.ends_with('}') || trimmed.ends_with(';') {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - trimmed.len()]);
        let length = lines[start..]
            .iter()
            .position(|line| *line == closing)
            .map_or(1, |offset| offset + 1);
        let length = lines[start..start + length]
            .iter()
            .filter(|line| is_code(line))
            .count();
        if length > LINES_MAX {
            breaches.push(format!(
                "{place}: {length} lines in one function, at most {LINES_MAX}"
            ));
        }
    }
}

/// The name of the function that this line opens.
fn name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let mut words = before.split_whitespace();
    let is_opening = words.all(|word| {
        let word = word.split('(').next().unwrap_or(word);
        [
            "pub", "crate)", "super)", "const", "async", "extern", "\"C\"", "unsafe",
        ]
        .contains(&word)
    });
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (is_opening && end > 0).then_some(&after[..end])
}

/// Lines that only name a field or an arm do not count: they are as many as the type has, and read as a table.
fn is_code(line: &str) -> bool {
    let line = line.trim();
    // Arms of a match are as many as the enum has variants; fields of a literal are as many as the struct has.
    let is_arm = line.contains("=>") || line.starts_with('|');
    let is_field = line.ends_with(',') && !line.contains('(') && !line.contains('{');
    !is_arm && !is_field && !line.is_empty() && !line.starts_with("//")
}

/// How many arguments the function takes whose first line this is.
fn arguments(lines: &[&str]) -> usize {
    // Depth of brackets of any kind, generics among them; the arguments' own stand at depth 1.
    let (mut depth, mut is_inside) = (0_usize, false);
    let (mut arguments, mut current) = (Vec::new(), String::new());
    let mut last = ' ';
    for line in lines {
        let code = line.split("//").next().unwrap_or(line);
        for c in code.chars() {
            let is_arrow = last == '-' && c == '>';
            last = c;
            match c {
                '(' if depth == 0 => (depth, is_inside) = (1, true),
                '(' | '[' | '{' | '<' => depth += 1,
                ')' if is_inside && depth == 1 => {
                    arguments.push(current);
                    arguments.retain(|argument| !is_nothing(argument));
                    return arguments.len();
                }
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                '>' if !is_arrow => depth = depth.saturating_sub(1),
                ',' if is_inside && depth == 1 => arguments.push(std::mem::take(&mut current)),
                _ if is_inside => current.push(c),
                _ => {}
            }
        }
    }
    0
}

/// Whether this is what follows the last comma, or the receiver.
fn is_nothing(argument: &str) -> bool {
    let argument = argument.trim();
    argument.is_empty() || argument.ends_with("self") || argument.starts_with("self:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_counted_without_self() {
        let count = |text: &str| arguments(&text.lines().collect::<Vec<_>>());
        assert_eq!(count("fn a() {"), 0);
        assert_eq!(count("pub fn a(&self) -> u8 {"), 0);
        assert_eq!(count("fn a<T: Fn(u8, u8) -> u8>(b: T, c: (u8, u8)) {"), 2);
        assert_eq!(
            count("fn a(&mut self, b: Map<u8, u8>, c: impl Fn(u8, u8) -> u8) {"),
            2
        );
        assert_eq!(
            count("fn a(\n    &self,\n    b: u8, // one, of two\n    c: [u8; 2],\n) {"),
            2
        );
    }

    #[test]
    fn a_function_has_a_name() {
        assert_eq!(name("pub(crate) const fn a_b<T>(t: T) {"), Some("a_b"));
        assert_eq!(name("let a = |b: fn (u8)| b;"), None);
        assert_eq!(name("/// A fn of sorts."), None);
    }
}
