//! The exchange's own course: time, days, sessions, proposals, keys, kill switches, freezes.

use crate::{meta::bodies, *};

bodies! {
    /// The journal was opened.
    ExchangeOpened = 220 {
        /// Identity of the journal.
        journal_id: JournalId,
        /// Version of the rules.
        rules_version: Count,
        /// Zero.
        reserved: Reserved<4>,
        /// The currencies admitted.
        currencies: Currencies,
    }
    /// Time passed.
    TimeAdvanced = 221 {
        /// The exchange's time.
        now: Nanos,
        /// Larger jobs that go on.
        jobs: Count,
        /// Orders that rest.
        open_orders: Count,
    }
    /// A business day began.
    DayRolled = 222 {
        /// Its date.
        date: Date,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// A session is up.
    SessionEstablished = 223 {
        /// Its connection.
        connection: ConnectionId,
        /// The session's last request number.
        last_req_seq: ReqSeq,
        /// How many of its last request numbers are remembered.
        window: Count,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// A session has ended.
    SessionEnded = 224 {
        /// Its connection.
        connection: ConnectionId,
        /// When its orders are cancelled, unless it is up again before.
        cancel_at: Nanos,
    }
    /// The exchange restarted: all sessions have ended, all markets are halted.
    SessionsEnded = 225 {
        /// Sessions that were up.
        sessions: Count,
        /// Zero.
        reserved: Reserved<4>,
        /// When their orders are cancelled, unless they are up again before.
        cancel_at: Nanos,
        /// When markets reopen by themselves.
        reopen_at: Nanos,
    }
    /// A request number was sent again: this is where its outcome stands.
    RequestRepeated = 226 {
        /// The number.
        req_seq: ReqSeq,
        /// The command that had it.
        original: Seq,
    }
    /// Request numbers were skipped: they are consumed, nothing was applied under them.
    NotApplied = 227 {
        /// First number.
        from: ReqSeq,
        /// Last number.
        to: ReqSeq,
    }
    /// The configuration changed.
    ConfigSet = 228 {
        /// Participants that can be registered.
        participants_max: Count,
        /// Accounts that can be opened.
        accounts_max: Count,
        /// Series that can be drafted.
        series_max: Count,
        /// Balances that can exist.
        balances_max: Count,
        /// Orders that can rest at once.
        orders_max: Count,
        /// Sessions that can exist.
        sessions_max: Count,
        /// Pages of price levels that can be in use.
        level_pages_max: Count,
        /// Bank references that are remembered.
        bank_refs_max: Count,
        /// How long a proposal can be approved.
        proposal_ttl: Nanos,
        /// How long after a restart markets reopen by themselves.
        reopen_after: Nanos,
        /// How long after a session's end its orders stay.
        disconnect_grace: Nanos,
    }
    /// A key was given or revoked.
    KeySet = 229 {
        /// Whose key.
        participant: ParticipantId,
        /// What it is for.
        purpose: KeyPurpose,
        /// Whether it holds.
        state: KeyState,
        /// Zero.
        reserved: Reserved<2>,
        /// SHA-256 of the certificate.
        fingerprint: Hash,
    }
    /// A command waits for another participant's approval.
    Proposed = 230 {
        /// Its hash: what an approval must repeat.
        hash: Hash,
        /// Until when it can be approved.
        expires_at: Nanos,
        /// The command's template id.
        template: Count,
        /// Who proposed it.
        proposer: ParticipantId,
    }
    /// A proposal was approved: its own events follow.
    ProposalApproved = 231 {
        /// The proposal.
        proposal: Seq,
        /// Who proposed it.
        proposer: ParticipantId,
        /// Who approved it.
        approver: ParticipantId,
    }
    /// A proposal was not approved in time.
    ProposalExpired = 232 {
        /// The proposal.
        proposal: Seq,
    }
    /// A kill switch was thrown or released.
    KillSwitchSet = 233 {
        /// The participant, when it aims at one.
        participant: ParticipantId,
        /// The series, when it aims at one.
        series: SeriesId,
        /// What it aims at.
        target: KillTarget,
        /// Thrown or released.
        state: SwitchState,
        /// Zero.
        reserved: Reserved<6>,
    }
    /// An account's freeze was placed or lifted; what moves follows.
    FreezeSet = 234 {
        /// The account.
        account: AccountId,
        /// Placed or lifted.
        action: FreezeAction,
        /// Zero.
        reserved: Reserved<3>,
        /// The case that orders it.
        case: CaseId,
    }
    /// A balance moved between available and frozen.
    BalanceFrozen = 235 {
        /// The account.
        account: AccountId,
        /// The asset.
        asset: AssetId,
        /// How much.
        amount: Amount,
        /// Placed (available to frozen) or lifted (frozen to available).
        action: FreezeAction,
        /// Zero.
        reserved: Reserved<7>,
    }
    /// All that follows from a session's command was told, the last of it to others only.
    OutcomeEnded = 238 {}
    /// A newer version of the rules holds from here on.
    RulesSet = 237 {
        /// The version.
        version: Count,
        /// The one that held before.
        before: Count,
    }
}
