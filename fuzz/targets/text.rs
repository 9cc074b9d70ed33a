//! Any text is a command that prints to itself, or an error that names its place.

use super::{Verdict, hostile};
use xq_protocol::text::{Names, Scenario, parse_command};

pub fn run(bytes: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(bytes);
    hostile::any_text(&text);
    let is_scenario = || Scenario::parse("any.scn", &text).is_ok_and(|scenario| !scenario.steps.is_empty());
    let is_command = |line| parse_command(line, &mut Names::new()).is_ok();
    Verdict::taken_if(|| text.lines().any(is_command) || is_scenario())
}
