//! `xq errors`: what a reject code means.

use super::{Ended, say};
use crate::exit::Exit;
use xq_protocol::{RejectCode, RejectReason};

/// Explains reject codes.
#[derive(clap::Args)]
pub(super) struct Errors {
    /// The code, as `R401` or `401`; all when it is left out.
    code: Option<String>,
}

impl Errors {
    pub(super) fn run(self) -> Result<(), Ended> {
        match self.code {
            None => RejectReason::ALL.iter().try_for_each(|reason| tell(*reason)),
            Some(text) => tell(find(&text)?),
        }
    }
}

fn tell(reason: RejectReason) -> Result<(), Ended> {
    let place = if reason.is_door() {
        "at the door"
    } else {
        "by the exchange"
    };
    say::line(format_args!("{reason}\n    {} Refused {place}.", reason.text()))
}

fn find(text: &str) -> Result<RejectReason, Ended> {
    let digits = text.strip_prefix(['R', 'r']).unwrap_or(text);
    let known = digits
        .parse()
        .ok()
        .and_then(|number| RejectReason::from_code(RejectCode(number)));
    known.ok_or_else(|| {
        let error = anyhow::anyhow!("`{text}` is no reject code: `xq errors` lists them all");
        Ended::with(Exit::Usage, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_with_and_without_its_letter() {
        assert_eq!(find("R401").expect("known"), RejectReason::DupClOrdId);
        assert_eq!(find("401").expect("known"), RejectReason::DupClOrdId);
        assert!(find("R999").is_err() && find("x").is_err());
    }
}
