//! The events: what followed from a command, one a business fact, with every amount posted.

use crate::{meta::messages, *};

messages! {
    /// An event, viewed in its frame. Template 203 is only ever told to a session, never journaled.
    Event, EVENTS;

    /// An order was accepted and what it needs is held.
    OrderAccepted = 201 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The client's id.
        cl_ord_id: ClOrdId,
        /// Its limit; a market order's is the collar's bound.
        limit: Price,
        /// When it ends, zero for never.
        expire_at: Nanos,
        /// What is held: cash for a buy order, coupons for a sell order.
        held: Amount,
        /// How many.
        qty: Qty,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Limit or market.
        order_type: OrderType,
        /// How long it holds.
        tif: TimeInForce,
        /// Whether it may take.
        execution: Execution,
        /// What becomes of it when its session ends.
        on_disconnect: OnDisconnect,
        /// Zero.
        reserved: Reserved<5>,
    }
    /// Two orders traded, and the trade settled. The header's session is the taker's.
    Traded = 202 {
        /// Of which series.
        series: SeriesId,
        /// The series' currency.
        currency: Currency,
        /// The taker's side.
        taker_side: Side,
        /// Zero.
        reserved: Reserved<1>,
        /// The maker's price.
        price: Price,
        /// Price × quantity: from buyer to seller.
        amount: Amount,
        /// How many.
        qty: Qty,
        /// What is left of the maker.
        maker_leaves: Qty,
        /// What is left of the taker.
        taker_leaves: Qty,
        /// The maker's session.
        maker_session: SessionId,
        /// The order that rested.
        maker_order: OrderId,
        /// The order that arrived.
        taker_order: OrderId,
        /// The maker's account.
        maker_account: AccountId,
        /// The taker's account.
        taker_account: AccountId,
        /// The maker's fee.
        maker_fee: Fee,
        /// The taker's fee.
        taker_fee: Fee,
        /// What the buyer's hold does not need any more and gets back: price improvement and unused fee.
        released: Amount,
    }
    /// A trade as one side sees it: told to sessions only.
    Executed = 203 {
        /// The session's order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The trade's price.
        price: Price,
        /// Price × quantity.
        amount: Amount,
        /// The fee of this side.
        fee: Fee,
        /// How many.
        qty: Qty,
        /// What is left of the order.
        leaves: Qty,
        /// The order's side.
        side: Side,
        /// Whether it made or took.
        liquidity: Liquidity,
        /// The series' currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// An order, or what was left of it, is gone.
    OrderCanceled = 204 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The session that placed it.
        session: SessionId,
        /// How many were cancelled.
        qty: Qty,
        /// What was held and is available again.
        released: Amount,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Why.
        reason: CancelReason,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// An order has a new quantity, price or client's id.
    OrderReplaced = 205 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The client's id from here on.
        cl_ord_id: ClOrdId,
        /// Its limit from here on.
        limit: Price,
        /// Held in addition.
        held: Amount,
        /// Held no more.
        released: Amount,
        /// Total quantity, what has been filled included.
        total_qty: Qty,
        /// What is open.
        leaves: Qty,
        /// The session that placed it.
        session: SessionId,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Where it stands.
        standing: Standing,
    }
    /// An order that traded on arrival came to rest; its hold was computed anew at the maker's rate.
    OrderRested = 206 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// Held no more.
        released: Amount,
        /// What is open.
        leaves: Qty,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Zero.
        reserved: Reserved<1>,
    }
    /// Some of an order's quantity was taken away; it keeps its place.
    OrderReduced = 207 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// Held no more.
        released: Amount,
        /// How many were taken away.
        qty: Qty,
        /// What is open.
        leaves: Qty,
        /// The session that placed it.
        session: SessionId,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Zero.
        reserved: Reserved<1>,
    }
    /// A mass cancel took effect: its orders will not trade again; those not cancelled here go at the next ticks.
    MassCanceled = 208 {
        /// The account, zero for all of the session's.
        account: AccountId,
        /// The series, zero for all.
        series: SeriesId,
        /// Orders cancelled by this command.
        canceled: Count,
        /// Of these sides.
        sides: Sides,
        /// Whether more go at the next ticks.
        progress: Progress,
        /// Zero.
        reserved: Reserved<2>,
    }
    /// A larger job has ended.
    JobEnded = 209 {
        /// The command that began it.
        began: Seq,
        /// Orders it cancelled at ticks.
        canceled: Count,
        /// What it did.
        kind: JobKind,
        /// Zero.
        reserved: Reserved<3>,
    }
    /// The further terms of the order that was accepted just before.
    TermsAccepted = 210 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// The last trade's price that sets it off; zero for an order that does not wait.
        stop: Price,
        /// So many were to trade at once; zero for no minimum.
        min_qty: Qty,
        /// So many are shown at a time; zero shows all.
        display_qty: Qty,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// What becomes of it when it meets an order of its own participant.
        self_trade: SelfTradePrevention,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// The last trade's price reached an order's stop: it arrives now.
    StopTriggered = 211 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// Its stop.
        stop: Price,
        /// Its limit; a stop order's is the bound of the collar when it was accepted.
        limit: Price,
        /// What is open of it.
        leaves: Qty,
        /// The session that placed it.
        session: SessionId,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Zero.
        reserved: Reserved<5>,
    }
    /// All that an order showed has traded: it shows more, last at its price.
    OrderRefreshed = 212 {
        /// The order.
        order: OrderId,
        /// Whose.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// So many are shown from here on.
        display_qty: Qty,
        /// What is open, hidden quantity included.
        leaves: Qty,
        /// The session that placed it.
        session: SessionId,
        /// The series' currency.
        currency: Currency,
        /// Buy or sell.
        side: Side,
        /// Zero.
        reserved: Reserved<1>,
    }
    /// A mass quote was worked through; what became of each side was told before.
    QuoteAnswered = 213 {
        /// Its number.
        quote: QuoteId,
        /// The account.
        account: AccountId,
        /// Sides that were quoted anew, changed, or left as they were.
        quoted: Count,
        /// Sides that were withdrawn as asked.
        withdrawn: Count,
        /// Sides that were refused; what stood there before is withdrawn.
        refused: Count,
    }
    /// A side of a quote was refused; what stood there before is withdrawn.
    QuoteRefused = 214 {
        /// The quote.
        quote: QuoteId,
        /// The account.
        account: AccountId,
        /// The series.
        series: SeriesId,
        /// What was observed, where it is a number.
        observed: Observed,
        /// What is allowed, where it is a number.
        allowed: Observed,
        /// Why.
        code: RejectCode,
        /// The side.
        side: Side,
        /// Zero.
        reserved: Reserved<5>,
    }
    /// A market maker's quotes traded as much as its protection allows: all of them go, and none is taken until it resets.
    MmpTripped = 215 {
        /// The account.
        account: AccountId,
        /// The series of the last trade.
        series: SeriesId,
        /// Coupons traded within the window.
        qty: Amount,
        /// Price × quantity traded within the window.
        notional: Amount,
        /// Trades within the window.
        trades: Count,
        /// The session that placed the quote that traded last.
        session: SessionId,
    }
    /// A market maker quotes again.
    MmpReset = 216 {
        /// The account.
        account: AccountId,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// An account's limits and what is used of them; a limit of zero is none.
    LimitsTold = 218 {
        /// The account.
        account: AccountId,
        /// The series whose position is told; zero for none.
        series: SeriesId,
        /// Orders open.
        open_orders: Count,
        /// Orders that may be open.
        open_orders_max: Count,
        /// Price × quantity of its open orders.
        open_notional: Amount,
        /// What that may be.
        open_notional_max: Amount,
        /// Price × quantity traded on the business day; counted only while there is a limit.
        traded: Amount,
        /// What that and its open orders may be together.
        daily_max: Amount,
        /// Coupons of the series, those that its open orders may buy included; counted only while there is a limit.
        position: Amount,
        /// What that may be.
        position_max: Amount,
    }
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
    /// A participant was registered.
    ParticipantRegistered = 240 {
        /// Its number.
        participant: ParticipantId,
        /// What it is.
        role: Role,
        /// Zero.
        reserved: Reserved<3>,
        /// Salted reference to its file.
        reference: Hash,
    }
    /// An account was opened.
    AccountOpened = 241 {
        /// Its number.
        account: AccountId,
        /// Whose it is.
        owner: ParticipantId,
        /// The platform whose sessions act for it, zero when its owner's do.
        operated_by: ParticipantId,
        /// Its fees.
        schedule: ScheduleId,
        /// Zero.
        reserved: Reserved<2>,
    }
    /// An account's limits were set.
    RiskLimitsSet = 242 {
        /// The account.
        account: AccountId,
        /// Orders open at once.
        open_orders_max: Count,
        /// Quantity of one order.
        order_qty_max: Qty,
        /// Zero.
        reserved: Reserved<4>,
        /// Price × quantity of one order.
        order_notional_max: Amount,
        /// Price × quantity of all open orders together.
        open_notional_max: Amount,
    }
    /// A fee schedule was set.
    FeeScheduleSet = 243 {
        /// Which.
        schedule: ScheduleId,
        /// Zero.
        reserved: Reserved<6>,
        /// What a taker pays.
        taker: Ppm,
        /// What a maker pays, or is paid when negative.
        maker: Ppm,
    }
    /// A series' market was set.
    InstrumentSet = 244 {
        /// The series.
        series: SeriesId,
        /// Smallest quantity of an order.
        qty_min: Qty,
        /// Largest quantity of an order.
        qty_max: Qty,
        /// Half width of the static collar.
        collar: Bps,
        /// The reference price.
        reference: Price,
        /// Lowest price the collar allows.
        collar_low: Price,
        /// Highest price the collar allows.
        collar_high: Price,
    }
    /// The phase of a series, or of the whole venue, was set.
    PhaseSet = 245 {
        /// The series, zero for the venue.
        series: SeriesId,
        /// The phase.
        phase: Phase,
        /// Zero.
        reserved: Reserved<3>,
    }
    /// A series' dynamic collar was set.
    DynamicCollarSet = 246 {
        /// The series.
        series: SeriesId,
        /// Half width around the last trade's price.
        width: Bps,
        /// How long a halt lasts; zero is until someone reopens the series.
        halt_for: Nanos,
    }
    /// A series was halted: the next trade would have left its dynamic collar.
    MarketHalted = 247 {
        /// The series.
        series: SeriesId,
        /// The series' currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
        /// The price that would have traded.
        price: Price,
        /// The lowest price allowed.
        low: Price,
        /// The highest price allowed.
        high: Price,
        /// When it reopens by itself; zero for never.
        reopen_at: Nanos,
    }
    /// A market maker's protection was set.
    MmpSet = 248 {
        /// The account.
        account: AccountId,
        /// Trades; zero is no limit.
        trades_max: Count,
        /// Coupons; zero is no limit.
        qty_max: Amount,
        /// Price × quantity; zero is no limit.
        notional_max: Amount,
        /// Within this time.
        window: Nanos,
    }
    /// An account's limits of position and of the day were set.
    ExposureLimitsSet = 249 {
        /// The account.
        account: AccountId,
        /// Zero.
        reserved: Reserved<4>,
        /// Coupons of any one series.
        position_max: Amount,
        /// Price × quantity of a business day.
        daily_max: Amount,
    }
    /// A series was described.
    SeriesDrafted = 250 {
        /// Its number.
        series: SeriesId,
        /// Who issues it.
        issuer: ParticipantId,
        /// Its symbol.
        symbol: Symbol,
        /// Its currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
        /// Orders are for multiples of so many coupons.
        lot: Qty,
        /// Prices are multiples of this.
        tick: Price,
        /// Face value of a coupon.
        face: Price,
        /// What a merchant is paid for a coupon.
        redeem_value: Price,
        /// Coupons that can be issued in all.
        issue_cap: Amount,
        /// From when it can be redeemed.
        valid_from: Nanos,
        /// When it expires.
        valid_to: Nanos,
    }
    /// Money came into a series' escrow.
    EscrowPosted = 251 {
        /// The series.
        series: SeriesId,
        /// Who issues it.
        issuer: ParticipantId,
        /// How much.
        amount: Amount,
        /// What the escrow holds now.
        escrow: Amount,
        /// The bank's reference.
        bank_ref: BankRef,
        /// The bank's value date.
        value_date: Date,
        /// The currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
    }
    /// A series was registered.
    SeriesRegistered = 252 {
        /// The series.
        series: SeriesId,
        /// Zero.
        reserved: Reserved<4>,
        /// SHA-256 of the terms document.
        terms_hash: Hash,
    }
    /// Units were issued to an account.
    UnitsIssued = 253 {
        /// The series.
        series: SeriesId,
        /// To whom.
        account: AccountId,
        /// How many.
        units: Amount,
        /// How many are outstanding now.
        outstanding: Amount,
    }
    /// Money came for an account.
    CashCredited = 260 {
        /// The account.
        account: AccountId,
        /// The currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
        /// How much.
        amount: Amount,
        /// The bank's reference.
        bank_ref: BankRef,
        /// The bank's value date.
        value_date: Date,
        /// Zero.
        reserved2: Reserved<4>,
    }
    /// Units were given to another account.
    UnitsTransferred = 261 {
        /// Who gave.
        from: AccountId,
        /// Who got.
        to: AccountId,
        /// Of which series.
        series: SeriesId,
        /// Zero.
        reserved: Reserved<4>,
        /// How many.
        units: Amount,
    }
    /// A command was refused and changed nothing.
    Rejected = 299 {
        /// The command's template id.
        template: Count,
        /// Why.
        code: RejectCode,
        /// Zero.
        reserved: Reserved<2>,
        /// The client's id in the command, if it had one.
        cl_ord_id: ClOrdId,
        /// The order in the command, if it named one.
        order: OrderId,
        /// The account in the command, if it named one.
        account: AccountId,
        /// The series in the command, if it named one.
        series: SeriesId,
        /// What was observed, where it is a number.
        observed: Observed,
        /// What is allowed, where it is a number.
        allowed: Observed,
    }
}

const _: () = {
    let mut i = 0;
    while i < EVENTS.len() {
        assert!(HEADER_LEN + EVENTS[i].4 <= EVENT_MAX);
        i += 1;
    }
};
