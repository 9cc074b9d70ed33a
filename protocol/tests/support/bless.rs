//! Files that are made from code: compared, or written anew when `XQ_BLESS=1`.

use std::path::Path;

/// The file at `path`, from the room's folder, must hold exactly this text.
pub fn check(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("XQ_BLESS").is_some_and(|value| value == "1") {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("the repository can be written");
        }
        std::fs::write(&path, text).expect("the repository can be written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = committed
        .lines()
        .zip(text.lines())
        .position(|(old, new)| old != new);
    let line = differs.unwrap_or(committed.lines().count().min(text.lines().count()));
    assert!(
        committed == text,
        "{} line {}: committed `{}`, made now `{}`: XQ_BLESS=1 writes it anew",
        path.display(),
        line + 1,
        committed.lines().nth(line).unwrap_or("the end"),
        text.lines().nth(line).unwrap_or("the end"),
    );
}
