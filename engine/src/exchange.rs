//! The exchange: one deterministic state machine, commands in, events out.
//!
//! Architecture invariant: nothing here reads a clock, draws a random number, or iterates over a hash table.

use crate::bank_refs::BankRefs;
use crate::bust::Busts;
use crate::events::Events;
use crate::floor::Floor;
use crate::order::Slot;
use crate::proposals::{self, Proposal, Proposals};
use crate::refusal::{self, Refusal};
use crate::rules::Rules;
use crate::series::{AllSeries, HouseBalances};
use crate::session::{Link, Request, Sessions};
use std::collections::{BTreeMap, VecDeque};
use xq_protocol::{
    Approve, Command, CommandFrame, Count, Currency, Frame, Genesis, HouseOnly, Nanos, NotApplied,
    ParticipantId, Phase, ProposalApproved, Proposed, RejectReason, RequestRepeated, Role, Seq, SeriesId,
    SessionId, may_need_approval, needs_approval, rule,
};

/// Template ids of commands lie below this.
const TEMPLATES: usize = 128;
/// Bit of a command that only the exchange's own threads and doors speak; roles have the lowest bits.
const HOUSE_ONLY: u16 = 1 << 15;
/// Bit of a command that may have to wait for approval.
const APPROVABLE: u16 = 1 << 14;

/// Whose command is executed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    pub session: SessionId,
    pub role: Role,
}

impl Speaker {
    /// Whose session it is.
    #[inline]
    pub fn participant(self) -> ParticipantId {
        self.session.participant()
    }
}

/// The state machine.
///
/// # Cost
/// All tables are allocated by Genesis; applying a command allocates nothing but where reference data grows.
#[derive(Default)]
pub struct Exchange {
    venue: Option<Box<Venue>>,
}

/// All state, once the journal is open.
pub(crate) struct Venue {
    pub config: Genesis,
    pub floor: Floor,
    pub series: AllSeries,
    pub sessions: Sessions,
    pub proposals: Proposals,
    pub bank_refs: BankRefs,
    pub house: BTreeMap<Currency, HouseBalances>,
    /// Phase of the whole venue: while it is not Continuous, it overrides every series'.
    pub phase: Phase,
    /// When the venue reopens by itself; zero for never.
    pub reopen_at: Nanos,
    /// Where the sweep for expired orders goes on.
    pub sweep: Slot,
    /// Series with stops that were reached while their orders could not arrive.
    pub stirred: VecDeque<SeriesId>,
    /// Trades of the business day that were undone.
    pub busts: Busts,
    /// For each template id, the roles that may send it, a bit each, [`HOUSE_ONLY`] and [`APPROVABLE`].
    pub permissions: [u16; TEMPLATES],
}

/// Whether a request is to be executed or has been answered already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    No,
    Yes,
}

impl Exchange {
    /// An exchange that waits for Genesis.
    pub fn new() -> Exchange {
        Exchange::default()
    }

    /// Applies one command: total, deterministic, at least one event. `seq` is the command's place in the journal.
    #[inline]
    pub fn apply(&mut self, seq: Seq, frame: &Frame<'_>, events: &mut Events) {
        events.begin(seq, frame);
        match &mut self.venue {
            Some(venue) => venue.apply(seq, frame, events),
            None => self.open(frame, events),
        }
        events.end();
    }

    /// Sets a command aside that cannot be applied: it is refused with R113, and nothing of it is looked at but who sent
    /// it, under which number, which is used.
    pub fn set_aside(&mut self, seq: Seq, frame: &Frame<'_>, events: &mut Events) {
        events.begin(seq, frame);
        let venue = self.venue.as_mut().expect("Genesis is never set aside");
        venue.set_aside(seq, frame, events);
        events.end();
    }

    fn open(&mut self, frame: &Frame<'_>, events: &mut Events) {
        events.stamp(frame.header.time);
        let opened = match frame.command() {
            Ok(Command::Genesis(genesis)) => Venue::open(genesis, frame.header.time, events),
            Ok(_) | Err(_) => Err(RejectReason::UnsupportedMessage.into()),
        };
        match opened {
            Ok(venue) => self.venue = Some(Box::new(venue)),
            Err(refusal) => {
                let command = frame.command().ok();
                refusal::tell(refusal, frame.header.template_id, command.as_ref(), events);
            }
        }
    }

    /// The exchange with a venue that is open.
    pub(crate) fn of(venue: Venue) -> Exchange {
        let venue = Some(Box::new(venue));
        Exchange { venue }
    }

    pub(crate) fn venue(&self) -> Option<&Venue> {
        self.venue.as_deref()
    }
}

/// For each template id, the roles that may send it, a bit each, [`HOUSE_ONLY`] and [`APPROVABLE`].
pub(crate) fn permissions() -> [u16; TEMPLATES] {
    std::array::from_fn(|template| {
        let template = u16::try_from(template).expect("below 128");
        let Some(rule) = rule(template) else { return 0 };
        let house_only = match rule.house_only {
            HouseOnly::Yes => HOUSE_ONLY,
            HouseOnly::No => 0,
        };
        let approvable = if may_need_approval(template) {
            APPROVABLE
        } else {
            0
        };
        rule.roles
            .iter()
            .fold(house_only | approvable, |bits, role| bits | 1 << role.byte())
    })
}

/// Why a frame is no command.
#[cold]
fn undecodable(template: u16) -> Refusal {
    match rule(template) {
        Some(_) => RejectReason::Malformed.into(),
        None => RejectReason::UnsupportedMessage.into(),
    }
}

/// Why this speaker's command is not even looked at; what is no command is refused as such first.
#[cold]
fn not_permitted(frame: &Frame<'_>, reason: RejectReason) -> Refusal {
    match frame.command() {
        Ok(_) => reason.into(),
        Err(_) => undecodable(frame.header.template_id),
    }
}

impl Venue {
    pub(crate) fn new(
        config: Genesis,
        floor: Floor,
        series: AllSeries,
        sessions: Sessions,
        house: BTreeMap<Currency, HouseBalances>,
    ) -> Venue {
        let mut floor = floor;
        floor.rules = Rules::of(config.rules_version).expect("Genesis admits no version 0");
        let proposals = Proposals::new(crate::order::index(config.proposals_max.0));
        let bank_refs = BankRefs::new(crate::order::index(config.bank_refs_max.0));
        let (phase, reopen_at, sweep) = (Phase::Continuous, Nanos::ZERO, 1);
        let permissions = permissions();
        let stirred = VecDeque::with_capacity(crate::order::index(config.series_max.0));
        Venue {
            config,
            floor,
            series,
            sessions,
            proposals,
            bank_refs,
            house,
            phase,
            reopen_at,
            sweep,
            stirred,
            busts: Busts::default(),
            permissions,
        }
    }

    /// A command's turn has come: the exchange stands at its number and its time.
    #[inline]
    fn come_to(&mut self, seq: Seq, frame: &Frame<'_>, events: &mut Events) {
        assert!(seq > self.floor.seq, "commands are applied in their order");
        self.floor.seq = seq;
        self.floor.now = self.floor.now.max(frame.header.time);
        events.stamp(self.floor.now);
    }

    #[cold]
    fn set_aside(&mut self, seq: Seq, frame: &Frame<'_>, events: &mut Events) {
        self.come_to(seq, frame, events);
        let template = frame.header.template_id;
        let numbered =
            frame.header.session != SessionId::HOUSE && self.permissions(template) & HOUSE_ONLY == 0;
        let refusal = match numbered.then(|| self.request(frame, events)) {
            None | Some(Ok(Answered::No)) => RejectReason::Quarantined.into(),
            Some(Ok(Answered::Yes)) => return,
            Some(Err(refusal)) => refusal,
        };
        refusal::tell(refusal, template, None, events);
    }

    #[inline]
    fn apply(&mut self, seq: Seq, frame: &Frame<'_>, events: &mut Events) {
        self.come_to(seq, frame, events);
        if let Err(refusal) = self.dispatch(frame, events) {
            let command = frame.command().ok();
            refusal::tell(refusal, frame.header.template_id, command.as_ref(), events);
        }
    }

    #[inline]
    fn dispatch(&mut self, frame: &Frame<'_>, events: &mut Events) -> Result<(), Refusal> {
        let session = frame.header.session;
        let permissions = self.permissions(frame.header.template_id);
        let house_only = permissions & HOUSE_ONLY != 0;
        let numbered = session != SessionId::HOUSE && !house_only;
        let next = match numbered {
            true => self
                .sessions
                .use_next(session, frame.header.req_seq, self.floor.seq),
            false => None,
        };
        let role = match next {
            Some(role) => role,
            None => {
                if numbered && self.request(frame, events)? == Answered::Yes {
                    return Ok(());
                }
                let role = self.floor.parties.role(session.participant());
                role.map_err(|reason| not_permitted(frame, reason))?
            }
        };
        if !house_only && permissions >> role.byte() & 1 == 0 {
            return Err(not_permitted(frame, RejectReason::NotAuthorised));
        }
        let speaker = Speaker { session, role };
        if permissions & APPROVABLE != 0 && role != Role::House {
            return self.execute_or_propose(speaker, frame, events);
        }
        // Nothing between these two: the one leads straight to the other's arm.
        match frame.command() {
            Ok(command) => self.execute(speaker, &command, events),
            Err(_) => Err(undecodable(frame.header.template_id)),
        }
    }

    /// Executes a command, or lets it wait for a second pair of eyes.
    #[cold]
    fn execute_or_propose(
        &mut self,
        speaker: Speaker,
        frame: &Frame<'_>,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let command = frame
            .command()
            .map_err(|_| undecodable(frame.header.template_id))?;
        let holder = if let Command::SetKey(key) = command {
            self.floor.parties.role(key.participant).ok()
        } else {
            None
        };
        match needs_approval(&command, holder) {
            true => self.propose(speaker, frame, &command, events),
            false => self.execute(speaker, &command, events),
        }
    }

    /// The roles that may send a command, a bit each, [`HOUSE_ONLY`] and [`APPROVABLE`].
    #[inline]
    fn permissions(&self, template: u16) -> u16 {
        self.permissions
            .get(usize::from(template))
            .copied()
            .unwrap_or_default()
    }

    /// Consumes a request number that is not the next, or answers it when it was used before.
    #[cold]
    fn request(&mut self, frame: &Frame<'_>, events: &mut Events) -> Result<Answered, Refusal> {
        let session = frame.header.session;
        let req_seq = frame.header.req_seq;
        let place = self
            .sessions
            .find(session)
            .ok_or(RejectReason::SessionNotEstablished)?;
        if self.sessions.at(place).link == Link::Down {
            return Err(RejectReason::SessionNotEstablished.into());
        }
        if req_seq.is_zero() {
            return Err(RejectReason::Malformed.into());
        }
        match self.sessions.classify(place, req_seq) {
            Request::New { skipped } => {
                if let Some((from, to)) = skipped {
                    events.emit(&NotApplied { from, to });
                }
                self.sessions.consume(place, req_seq, self.floor.seq);
                return Ok(Answered::No);
            }
            _ if cfg!(feature = "mutant-drop-dedup") => return Ok(Answered::No),
            Request::Repeated { original } => events.emit(&RequestRepeated { req_seq, original }),
            Request::Skipped => events.emit(&NotApplied {
                from: req_seq,
                to: req_seq,
            }),
            Request::Stale => return Err(RejectReason::StaleRequest.into()),
        }
        Ok(Answered::Yes)
    }

    /// Lets a command wait for a second pair of eyes.
    fn propose(
        &mut self,
        speaker: Speaker,
        frame: &Frame<'_>,
        command: &Command<'_>,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        if !self.proposals.has_room() {
            return Err(RejectReason::Capacity.into());
        }
        let hash = proposals::hash(self.floor.seq, frame);
        let expires_at = Nanos(self.floor.now.0.saturating_add(self.config.proposal_ttl.0));
        let mut frame = CommandFrame::copy_of(frame).expect("no frame is longer than the longest");
        // In the ring it has no number yet, in the journal it has: what waits is the same in either.
        frame.header_mut().seq = self.floor.seq;
        self.proposals.add(Proposal {
            seq: self.floor.seq,
            hash,
            proposer: speaker.participant(),
            expires_at,
            frame,
        });
        let template = Count(u32::from(command.template()));
        events.emit(&Proposed {
            hash,
            expires_at,
            template,
            proposer: speaker.participant(),
        });
        Ok(())
    }

    /// Executes a proposal; when it is refused now, that is told after the approval.
    fn approve(&mut self, speaker: Speaker, approval: &Approve, events: &mut Events) -> Result<(), Refusal> {
        let now = self.floor.now;
        let proposal = *self
            .proposals
            .admit(approval.proposal, approval.hash, speaker.participant(), now)?;
        let template = proposal.frame.header().template_id;
        if self.permissions(template) >> speaker.role.byte() & 1 == 0 {
            return Err(RejectReason::NotAuthorised.into());
        }
        self.proposals.remove(approval.proposal);
        let (proposer, approver) = (proposal.proposer, speaker.participant());
        events.emit(&ProposalApproved {
            proposal: approval.proposal,
            proposer,
            approver,
        });
        let frame = proposal
            .frame
            .frame()
            .expect("it was a frame when it was proposed");
        let command = frame.command().expect("it was a command when it was proposed");
        let role = self.floor.parties.role(proposer)?;
        let session = frame.header.session;
        assert!(session.participant() == proposer, "its proposal was its own");
        let proposer = Speaker { session, role };
        if let Err(refusal) = self.execute(proposer, &command, events) {
            refusal::tell(refusal, template, Some(&command), events);
        }
        Ok(())
    }

    #[inline]
    fn execute(
        &mut self,
        speaker: Speaker,
        command: &Command<'_>,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        match command {
            Command::PlaceOrder(c) => self.place_order(speaker, c, events),
            Command::PlaceExtendedOrder(c) => self.place_extended(speaker, c, events),
            Command::MassQuote(c) => self.mass_quote(speaker, c, events),
            Command::SetMmp(c) => self.set_mmp(speaker, c, events),
            Command::ResetMmp(c) => self.reset_mmp(speaker, c, events),
            Command::QueryLimits(c) => self.query_limits(speaker, c, events),
            Command::BustTrade(c) => self.bust_trade(c, events),
            Command::SetDynamicCollar(c) => self.set_dynamic_collar(c, events),
            Command::SetExposureLimits(c) => self.set_exposure_limits(c, events),
            Command::CancelOrder(c) => self.cancel_order(speaker, c, events),
            Command::ReplaceOrder(c) => self.replace_order(speaker, c, events),
            Command::MassCancel(c) => self.mass_cancel(speaker, c, events),
            Command::TransferUnits(c) => self.transfer_units(speaker, c, events),
            Command::Genesis(_) => Err(RejectReason::NotAuthorised.into()),
            // Doors refuse these from clients; here too, so that no door's mistake lets anyone halt the venue.
            Command::Tick(_) | Command::AllSessionsDown(_) if speaker.role != Role::House => {
                Err(RejectReason::NotAuthorised.into())
            }
            Command::Tick(_) => self.tick(events),
            Command::RollDay(c) => self.roll_day(c, events),
            Command::SessionUp(c) => self.session_up(speaker, c, events),
            Command::SessionDown(c) => self.session_down(speaker, c, events),
            Command::AllSessionsDown(_) => self.all_sessions_down(events),
            Command::SetConfig(c) => self.set_config(c, events),
            Command::SetKey(c) => self.set_key(c, events),
            Command::SetRules(c) => self.set_rules(c, events),
            Command::Approve(c) => self.approve(speaker, c, events),
            Command::KillSwitch(c) => self.kill_switch(c, events),
            Command::RegisterParticipant(c) => self.register_participant(c, events),
            Command::OpenAccount(c) => self.open_account(c, events),
            Command::SetRiskLimits(c) => self.set_risk_limits(c, events),
            Command::SetFeeSchedule(c) => self.set_fee_schedule(c, events),
            Command::SetInstrument(c) => self.set_instrument(c, events),
            Command::SetPhase(c) => self.set_phase(c, events),
            Command::DraftSeries(c) => self.draft_series(speaker, c, events),
            Command::PostEscrow(c) => self.post_escrow(speaker, c, events),
            Command::RegisterSeries(c) => self.register_series(c, events),
            Command::IssueUnits(c) => self.issue_units(speaker, c, events),
            Command::CreditCash(c) => self.credit_cash(speaker, c, events),
            Command::SetFreeze(c) => self.set_freeze(c, events),
        }
    }
}
