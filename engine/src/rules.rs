//! The versions of the rules: what changed with each, side by side, so that a journal replays as it was lived.
//!
//! A new journal begins with the newest version. An older one goes on under its own until two people of the house agree on
//! a newer (`SetRules`): from that command on the new rules hold. A change of behaviour is one question here, asked where
//! the behaviour is.

use crate::events::Events;
use crate::exchange::Venue;
use crate::refusal::{Refusal, beyond};
use xq_protocol::{Count, RejectReason, RulesSet, SetRules};

/// The newest version of the rules that this program knows.
pub const RULES_VERSION: u32 = 2;

/// The rules that hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules(u32);

impl Rules {
    /// These, if this program knows them.
    pub fn of(version: Count) -> Option<Rules> {
        (1..=RULES_VERSION)
            .contains(&version.0)
            .then_some(Rules(version.0))
    }

    /// From version 2 on a series' kill switch stops the issue of its units, too.
    pub fn kill_switch_stops_issues(self) -> bool {
        self.0 >= 2
    }
}

impl Venue {
    /// The rules that hold.
    pub(crate) fn rules(&self) -> Rules {
        Rules::of(self.config.rules_version).expect("whoever set them knew them")
    }

    /// A newer version of the rules holds from here on; there is no way back.
    pub(crate) fn set_rules(&mut self, c: &SetRules, events: &mut Events) -> Result<(), Refusal> {
        let before = self.config.rules_version;
        if Rules::of(c.version).is_none() || c.version <= before {
            return Err(beyond(
                RejectReason::Terms,
                c.version.0.into(),
                RULES_VERSION.into(),
            ));
        }
        self.config.rules_version = c.version;
        events.emit(&RulesSet {
            version: c.version,
            before,
        });
        Ok(())
    }
}
