//! The commands: everything that can change the exchange.

use crate::meta::messages;
use crate::*;

messages! {
    /// A command, viewed in its frame.
    Command, COMMANDS;

    /// Opens a journal: its first record. Identity, rules, capacities, times.
    Genesis = 1 {
        /// Identity of the journal.
        journal_id: JournalId,
        /// Version of the rules that hold from here.
        rules_version: Count,
        /// Participants that can be registered.
        participants_max: Count,
        /// Accounts that can be opened.
        accounts_max: Count,
        /// Series that can be drafted.
        series_max: Count,
        /// Balances (account × asset) that can exist.
        balances_max: Count,
        /// Orders that can rest at once.
        orders_max: Count,
        /// Sessions that can exist.
        sessions_max: Count,
        /// Pages of price levels that can be in use; a page holds 64 neighbouring ticks of one side of one book.
        level_pages_max: Count,
        /// Proposals that can wait for approval.
        proposals_max: Count,
        /// Bank references that are remembered.
        bank_refs_max: Count,
        /// How long a proposal can be approved.
        proposal_ttl: Nanos,
        /// How long after a restart markets reopen by themselves.
        reopen_after: Nanos,
        /// How long after a session's end its orders stay.
        disconnect_grace: Nanos,
        /// The currencies admitted.
        currencies: Currencies,
    }
    /// Lets time pass: expires proposals and grace periods, goes on with larger jobs. The header's time is the news.
    Tick = 2 {}
    /// Begins a business day: DAY orders of earlier days end.
    RollDay = 3 {
        /// The business date that begins.
        date: Date,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// A session's connection is up. The header's session is the one meant.
    SessionUp = 4 {
        /// The connection, larger than any before in this session.
        connection: ConnectionId,
        /// SHA-256 of the certificate it showed.
        fingerprint: Hash,
    }
    /// A session's connection is down; nothing happens when a newer one is up.
    SessionDown = 5 {
        /// The connection that ended.
        connection: ConnectionId,
    }
    /// The exchange restarted: every session that was up has ended, every market is halted.
    AllSessionsDown = 6 {}
    /// Changes the configuration; capacities only grow. Needs two operators.
    SetConfig = 7 {
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
    /// Gives a participant a key, or revokes it. At most two are valid at once.
    SetKey = 8 {
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
    /// Approves a proposal of another participant: it is executed.
    Approve = 9 {
        /// The proposal: the sequence of the command that waits.
        proposal: Seq,
        /// The proposal's hash, as its event told it.
        hash: Hash,
    }
    /// Throws or releases a kill switch. Releasing needs two operators.
    KillSwitch = 10 {
        /// What it aims at.
        target: KillTarget,
        /// Thrown or released.
        state: SwitchState,
        /// Zero.
        reserved: Reserved<2>,
        /// The participant, when it aims at one.
        participant: ParticipantId,
        /// The series, when it aims at one.
        series: SeriesId,
        /// Zero.
        reserved2: Reserved<4>,
    }
    /// A newer version of the rules holds from here on. Waits for approval.
    SetRules = 11 {
        /// The version.
        version: Count,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// Registers a participant. No personal data: a number, a role and a salted reference.
    RegisterParticipant = 20 {
        /// The participant's number.
        participant: ParticipantId,
        /// What it is.
        role: Role,
        /// Zero.
        reserved: Reserved<3>,
        /// Salted reference to its file.
        reference: Hash,
    }
    /// Opens an account.
    OpenAccount = 21 {
        /// The account's number.
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
    /// Sets an account's limits for orders that come from here on; zero is no limit.
    SetRiskLimits = 22 {
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
    /// Sets the rates of a fee schedule for orders accepted from here on. Needs two operators.
    SetFeeSchedule = 23 {
        /// Which.
        schedule: ScheduleId,
        /// Zero.
        reserved: Reserved<6>,
        /// What a taker pays, 0 to 1,000,000.
        taker: Ppm,
        /// What a maker pays, or is paid when negative; never more is paid than the taker's rate of schedule 0 to 255 allows.
        maker: Ppm,
    }
    /// Sets a series' market: sizes and the static collar.
    SetInstrument = 24 {
        /// The series.
        series: SeriesId,
        /// Smallest quantity of an order.
        qty_min: Qty,
        /// Largest quantity of an order.
        qty_max: Qty,
        /// Half width of the static collar around the reference; 0 is no collar but the face value.
        collar: Bps,
        /// The reference price; 0 is none.
        reference: Price,
    }
    /// Sets the phase of a series, or of the whole venue.
    SetPhase = 25 {
        /// The series, zero for the venue.
        series: SeriesId,
        /// The phase.
        phase: Phase,
        /// Zero.
        reserved: Reserved<3>,
    }
    /// Sets the dynamic collar around the last trade: a trade that would leave it halts the series instead.
    SetDynamicCollar = 26 {
        /// The series.
        series: SeriesId,
        /// Half width around the last trade's price, at most 10,000; 0 is none.
        width: Bps,
        /// How long a halt lasts; zero is until someone reopens the series.
        halt_for: Nanos,
    }
    /// Sets a market maker's protection: what its quotes may trade within a time before they are all cancelled.
    SetMmp = 27 {
        /// The account.
        account: AccountId,
        /// Trades; zero is no limit.
        trades_max: Count,
        /// Coupons; zero is no limit.
        qty_max: Amount,
        /// Price × quantity; zero is no limit.
        notional_max: Amount,
        /// The time; zero only with no limit at all, which switches it off.
        window: Nanos,
    }
    /// Sets how much of a series an account may hold and buy, and how much it may trade a day; zero is no limit.
    SetExposureLimits = 28 {
        /// The account: with a limit of either kind it may have at most 1,024 orders open.
        account: AccountId,
        /// Zero.
        reserved: Reserved<4>,
        /// Coupons of any one series, those that its open orders may buy included.
        position_max: Amount,
        /// Price × quantity of a business day, that of its open orders included.
        daily_max: Amount,
    }
    /// Describes a series.
    DraftSeries = 40 {
        /// The series' number.
        series: SeriesId,
        /// Who issues it.
        issuer: ParticipantId,
        /// Its symbol, never reused.
        symbol: Symbol,
        /// Its currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
        /// Orders are for multiples of so many coupons.
        lot: Qty,
        /// Prices are multiples of this.
        tick: Price,
        /// Face value of a coupon: no price is higher.
        face: Price,
        /// What a merchant is paid for a coupon.
        redeem_value: Price,
        /// Coupons that can be issued in all.
        issue_cap: Amount,
        /// From when it can be redeemed.
        valid_from: Nanos,
        /// When it expires: from here on nothing trades.
        valid_to: Nanos,
        /// SHA-256 of the terms document.
        terms_hash: Hash,
    }
    /// The custodian bank reports money in escrow for a series.
    PostEscrow = 41 {
        /// The series.
        series: SeriesId,
        /// Zero.
        reserved: Reserved<4>,
        /// How much came.
        amount: Amount,
        /// The bank's reference, used once.
        bank_ref: BankRef,
        /// The bank's value date.
        value_date: Date,
        /// Zero.
        reserved2: Reserved<4>,
    }
    /// Registers a series: from here on its terms hold and units can be issued.
    RegisterSeries = 42 {
        /// The series.
        series: SeriesId,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// Issues units to an account; escrow must cover all that is outstanding.
    IssueUnits = 43 {
        /// The series.
        series: SeriesId,
        /// To whom.
        account: AccountId,
        /// How many.
        qty: Qty,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// The bank reports money for an account.
    CreditCash = 60 {
        /// The account.
        account: AccountId,
        /// The currency.
        currency: Currency,
        /// Zero.
        reserved: Reserved<2>,
        /// How much came.
        amount: Amount,
        /// The bank's reference, used once.
        bank_ref: BankRef,
        /// The bank's value date.
        value_date: Date,
        /// Zero.
        reserved2: Reserved<4>,
    }
    /// Gives units to another account.
    TransferUnits = 61 {
        /// Who gives.
        from: AccountId,
        /// Who gets.
        to: AccountId,
        /// Of which series.
        series: SeriesId,
        /// How many.
        qty: Qty,
    }
    /// Places or lifts a freeze of an account. Lifting needs two approvers.
    SetFreeze = 80 {
        /// The account.
        account: AccountId,
        /// Placed or lifted.
        action: FreezeAction,
        /// Zero.
        reserved: Reserved<3>,
        /// The case that orders it.
        case: CaseId,
    }
    /// Places an order.
    PlaceOrder = 101 {
        /// For which account.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// How many.
        qty: Qty,
        /// Buy or sell.
        side: Side,
        /// Limit or market.
        order_type: OrderType,
        /// How long it holds.
        tif: TimeInForce,
        /// Whether it may take.
        execution: Execution,
        /// Worst price it accepts; zero for a market order.
        limit: Price,
        /// When a GTD order ends; zero for all others.
        expire_at: Nanos,
        /// The client's id, unique among the account's live orders.
        cl_ord_id: ClOrdId,
        /// What becomes of it when its session ends.
        on_disconnect: OnDisconnect,
        /// Zero.
        reserved: Reserved<7>,
    }
    /// Places an order with further terms: stop, minimum and displayed quantity, what to do about a self-trade.
    PlaceExtendedOrder = 102 {
        /// For which account.
        account: AccountId,
        /// Of which series.
        series: SeriesId,
        /// How many.
        qty: Qty,
        /// Buy or sell.
        side: Side,
        /// Limit, market, stop or stop-limit.
        order_type: OrderType,
        /// How long it holds; a stop's time runs while it waits.
        tif: TimeInForce,
        /// Whether it may take.
        execution: Execution,
        /// Worst price it accepts; zero for a market or stop order.
        limit: Price,
        /// When a GTD order ends; zero for all others.
        expire_at: Nanos,
        /// The client's id, unique among the account's live orders.
        cl_ord_id: ClOrdId,
        /// What becomes of it when its session ends.
        on_disconnect: OnDisconnect,
        /// What becomes of it when it meets an order of its own participant.
        self_trade: SelfTradePrevention,
        /// Zero.
        reserved: Reserved<2>,
        /// At least so many trade at once, or it is refused; zero for no minimum.
        min_qty: Qty,
        /// So many are shown at a time, the rest is hidden; zero shows all.
        display_qty: Qty,
        /// Zero.
        reserved2: Reserved<4>,
        /// The last trade's price that sets off a stop or stop-limit order; zero for all others.
        stop: Price,
    }
    /// Cancels an order, or takes some of its quantity: it keeps its place then.
    CancelOrder = 103 {
        /// Whose order.
        account: AccountId,
        /// How much to take away; zero cancels it.
        reduce_qty: Qty,
        /// The order, zero when it is named by the client's id.
        order: OrderId,
        /// The client's id, all zero when the order is named by the exchange's.
        cl_ord_id: ClOrdId,
    }
    /// Replaces an order's quantity and price. It keeps its place when only the quantity falls.
    ReplaceOrder = 104 {
        /// Whose order.
        account: AccountId,
        /// New total quantity, what has been filled included.
        total_qty: Qty,
        /// The order, zero when it is named by the client's id.
        order: OrderId,
        /// New limit.
        limit: Price,
        /// The client's id of the order as it is, all zero when it is named by the exchange's.
        orig_cl_ord_id: ClOrdId,
        /// The client's id from here on; all zero keeps the old one.
        cl_ord_id: ClOrdId,
    }
    /// Cancels many orders.
    MassCancel = 105 {
        /// Of this account; zero is all the session may act for.
        account: AccountId,
        /// Of this series; zero is all.
        series: SeriesId,
        /// Of these sides.
        sides: Sides,
        /// Zero.
        reserved: Reserved<7>,
    }
    /// Sets up to sixteen two-sided quotes of an account: each side takes the place of the account's last in that series.
    MassQuote = 106 {
        /// For which account.
        account: AccountId,
        /// Zero.
        reserved: Reserved<4>,
        /// The quote's number, told back in its answer.
        quote: QuoteId,
        /// Of which series; none twice.
        series: LegSeries,
        /// How many are bid for; zero withdraws the bid.
        bid_qty: LegQtys,
        /// How many are offered; zero withdraws the offer.
        ask_qty: LegQtys,
        /// At which price is bid; zero with no quantity.
        bid: LegPrices,
        /// At which price is offered; zero with no quantity.
        ask: LegPrices,
    }
    /// Lets a market maker quote again after its protection was set off.
    ResetMmp = 107 {
        /// The account.
        account: AccountId,
        /// Zero.
        reserved: Reserved<4>,
    }
    /// Asks for an account's limits and what is used of them.
    QueryLimits = 109 {
        /// The account.
        account: AccountId,
        /// The series whose position is asked for; zero for none.
        series: SeriesId,
    }
    /// Undoes a trade of the business day: both legs and both fees go back. Waits for approval. All but the first two
    /// fields are the facts of the trade's own event.
    BustTrade = 110 {
        /// The command that traded.
        trade: Seq,
        /// Which of its events the trade is.
        index: Count,
        /// The series.
        series: SeriesId,
        /// The trade's price.
        price: Price,
        /// How many.
        qty: Qty,
        /// The maker's session.
        maker_session: SessionId,
        /// The order that rested.
        maker_order: OrderId,
        /// The order that arrived.
        taker_order: OrderId,
        /// The maker's fee.
        maker_fee: Fee,
        /// The taker's fee.
        taker_fee: Fee,
        /// The maker's account.
        maker_account: AccountId,
        /// The taker's account.
        taker_account: AccountId,
        /// The taker's session.
        taker_session: SessionId,
        /// The taker's side.
        taker_side: Side,
        /// Zero.
        reserved: Reserved<3>,
    }
}

impl PlaceExtendedOrder {
    /// The order without its further terms.
    pub fn plain(&self) -> PlaceOrder {
        PlaceOrder {
            account: self.account,
            series: self.series,
            qty: self.qty,
            side: self.side,
            order_type: self.order_type,
            tif: self.tif,
            execution: self.execution,
            limit: self.limit,
            expire_at: self.expire_at,
            cl_ord_id: self.cl_ord_id,
            on_disconnect: self.on_disconnect,
            reserved: Reserved::ZERO,
        }
    }
}

impl TradeBusted {
    /// What undid the trade.
    pub fn undoing(&self) -> BustTrade {
        BustTrade {
            trade: self.trade,
            index: self.index,
            series: self.series,
            price: self.price,
            qty: self.qty,
            maker_session: self.maker_session,
            maker_order: self.maker_order,
            taker_order: self.taker_order,
            maker_fee: self.maker_fee,
            taker_fee: self.taker_fee,
            maker_account: self.maker_account,
            taker_account: self.taker_account,
            taker_session: self.taker_session,
            taker_side: self.taker_side,
            reserved: Reserved::ZERO,
        }
    }
}

impl BustTrade {
    /// What undoes this trade, given the header of its event.
    pub fn of(header: &Header, traded: &Traded) -> BustTrade {
        BustTrade {
            trade: header.seq,
            index: Count(header.index.into()),
            series: traded.series,
            price: traded.price,
            qty: traded.qty,
            maker_session: traded.maker_session,
            maker_order: traded.maker_order,
            taker_order: traded.taker_order,
            maker_fee: traded.maker_fee,
            taker_fee: traded.taker_fee,
            maker_account: traded.maker_account,
            taker_account: traded.taker_account,
            taker_session: header.session,
            taker_side: traded.taker_side,
            reserved: Reserved::ZERO,
        }
    }
}
