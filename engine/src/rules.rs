//! The versions of the rules: what changed with each, side by side, so that a journal replays as it was lived.
//!
//! A new journal begins with the newest version. An older one goes on under its own until two people of the house agree on
//! a newer (`SetRules`): from that command on the new rules hold. A change of behaviour is one question here, asked where
//! the behaviour is.
//!
//! Whether a version is admitted follows from the state alone, never from what this program knows: an older program and a
//! newer one answer the same. What the program does not know is refused at the door; whoever executes commands ends
//! when [`Exchange::rules_version`] lies beyond [`RULES_VERSION`].

use crate::events::{Events, Voice};
use crate::exchange::{Exchange, Venue};
use crate::floor::Floor;
use crate::refusal::{Refusal, beyond};
use xq_protocol::{Count, RejectReason, RulesSet, SessionId, SetRules};

/// The newest version of the rules that this program knows.
pub const RULES_VERSION: u32 = 2;

/// The rules that hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules(u32);

impl Rules {
    /// The rules of the first journals.
    pub const FIRST: Rules = Rules(1);

    /// These; versions count from 1.
    pub fn of(version: Count) -> Option<Rules> {
        (!version.is_zero()).then_some(Rules(version.0))
    }

    /// From version 2 on a series' kill switch stops the issue of its units, too.
    pub fn kill_switch_stops_issues(self) -> bool {
        self.0 >= 2
    }

    /// From version 2 on what befalls another's order, and what an order does whose stop was reached, is told as that
    /// order's session's; before, it was told to the session whose command traded, too.
    pub fn others_are_spoken_for(self) -> bool {
        self.0 >= 2
    }
}

impl Exchange {
    /// The version of the rules that hold; zero before Genesis.
    pub fn rules_version(&self) -> u32 {
        self.venue().map_or(0, |venue| venue.config.rules_version.0)
    }
}

impl Venue {
    /// The rules that hold.
    pub(crate) fn rules(&self) -> Rules {
        self.floor.rules
    }

    /// A newer version of the rules holds from here on; there is no way back.
    pub(crate) fn set_rules(&mut self, c: &SetRules, events: &mut Events) -> Result<(), Refusal> {
        let before = self.config.rules_version;
        if c.version <= before {
            return Err(beyond(
                RejectReason::Terms,
                c.version.0.into(),
                u64::from(before.0) + 1,
            ));
        }
        self.config.rules_version = c.version;
        self.floor.rules = Rules(c.version.0);
        events.emit(&RulesSet {
            version: c.version,
            before,
        });
        Ok(())
    }
}

impl Floor {
    /// What follows befalls an order of this session; returns who spoke before, to speak again after it.
    pub(crate) fn speak_for(&self, session: u32, events: &mut Events) -> Voice {
        match self.rules.others_are_spoken_for() {
            true => events.speak_for(SessionId(session)),
            false => events.voice(),
        }
    }
}
