-- What the events say, as tables. Names carry no schema: a rebuild fills the same in another one.
-- Ledger amounts, prices and fees are BIGINT, in minor units of their currency or in coupons; what a client may write as
-- it likes (limits, instants, observed values) is NUMERIC(20,0). A place is (seq, idx): the command, and which of its events.

CREATE TABLE bridge_cursor (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    journal_id  bytea   NOT NULL,
    seq         bigint  NOT NULL,
    idx         integer NOT NULL,
    chain       bytea   NOT NULL,
    at          timestamptz,
    at_ns       bigint,
    business_date date
);
COMMENT ON TABLE bridge_cursor IS 'How far the events are here: one row, written in the transaction that wrote them';
COMMENT ON COLUMN bridge_cursor.one IS 'True: there is one row';
COMMENT ON COLUMN bridge_cursor.journal_id IS 'Identity of the journal';
COMMENT ON COLUMN bridge_cursor.seq IS 'The last command all of whose events are here; 0 for none';
COMMENT ON COLUMN bridge_cursor.idx IS 'The last of its events';
COMMENT ON COLUMN bridge_cursor.chain IS 'Hash of all events up to there: keyed BLAKE3 as the event journal has it';
COMMENT ON COLUMN bridge_cursor.at IS 'When that command entered the exchange';
COMMENT ON COLUMN bridge_cursor.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN bridge_cursor.business_date IS 'The business day that command belongs to';

CREATE TABLE reject_reasons (
    code  smallint PRIMARY KEY,
    name  text NOT NULL,
    text  text NOT NULL,
    shown smallint NOT NULL
);
COMMENT ON TABLE reject_reasons IS 'What the reject codes mean';
COMMENT ON COLUMN reject_reasons.code IS 'The code, printed with an R before it';
COMMENT ON COLUMN reject_reasons.name IS 'Its name';
COMMENT ON COLUMN reject_reasons.text IS 'What it means';
COMMENT ON COLUMN reject_reasons.shown IS 'The code that the refused, and readers without the compliance role, are shown';

CREATE TABLE messages (
    template integer PRIMARY KEY,
    name     text NOT NULL
);
COMMENT ON TABLE messages IS 'Names of commands and events by their template id';
COMMENT ON COLUMN messages.template IS 'The template id';
COMMENT ON COLUMN messages.name IS 'The name in the published schema';

CREATE TABLE places (
    place       smallint PRIMARY KEY,
    name        text NOT NULL,
    owned_by    text NOT NULL,
    chart_cash  text,
    chart_units text
);
COMMENT ON TABLE places IS 'The places of the ledger, with their accounts in the chart of accounts';
COMMENT ON COLUMN places.place IS 'Its number in transfers and balances';
COMMENT ON COLUMN places.name IS 'Its name';
COMMENT ON COLUMN places.owned_by IS 'What an owner is there: account, series, participant, or none';
COMMENT ON COLUMN places.chart_cash IS 'Account of the chart for cash';
COMMENT ON COLUMN places.chart_units IS 'Account of the chart for coupons';

CREATE TABLE assets (
    asset    bigint PRIMARY KEY,
    seq      bigint NOT NULL,
    kind     text NOT NULL,
    series   bigint,
    currency smallint NOT NULL,
    code     text NOT NULL,
    exponent smallint NOT NULL
);
COMMENT ON TABLE assets IS 'What is moved: money of a currency, coupons of a series';
COMMENT ON COLUMN assets.asset IS 'The series'' number, or 2147483648 + the currency''s';
COMMENT ON COLUMN assets.seq IS 'The command that brought it';
COMMENT ON COLUMN assets.kind IS 'cash or coupon';
COMMENT ON COLUMN assets.series IS 'The series, for coupons';
COMMENT ON COLUMN assets.currency IS 'The currency, or that in which the coupon is priced: ISO 4217 numeric';
COMMENT ON COLUMN assets.code IS 'ISO 4217 code, or the series'' symbol';
COMMENT ON COLUMN assets.exponent IS 'Decimals of an amount of it; of a coupon none';

CREATE TABLE business_days (
    business_date date PRIMARY KEY,
    seq     bigint NOT NULL,
    at      timestamptz NOT NULL,
    at_ns   bigint NOT NULL,
    chain   bytea NOT NULL
);
COMMENT ON TABLE business_days IS 'The business days, each from the command that began it';
COMMENT ON COLUMN business_days.business_date IS 'The date';
COMMENT ON COLUMN business_days.seq IS 'The command that began it: its first';
COMMENT ON COLUMN business_days.at IS 'When it began';
COMMENT ON COLUMN business_days.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN business_days.chain IS 'Hash of all events up to and with that command: where the day before has ended';

CREATE TABLE participants (
    participant bigint PRIMARY KEY,
    seq       bigint NOT NULL,
    at        timestamptz NOT NULL,
    at_ns     bigint NOT NULL,
    role      text NOT NULL,
    reference bytea NOT NULL
);
COMMENT ON TABLE participants IS 'Who takes part: a number and a salted reference, never a name';
COMMENT ON COLUMN participants.participant IS 'The number';
COMMENT ON COLUMN participants.seq IS 'The command that registered it';
COMMENT ON COLUMN participants.at IS 'When';
COMMENT ON COLUMN participants.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN participants.role IS 'What it is';
COMMENT ON COLUMN participants.reference IS 'Salted reference to its file';

CREATE TABLE accounts (
    account     bigint PRIMARY KEY,
    seq         bigint NOT NULL,
    at          timestamptz NOT NULL,
    at_ns       bigint NOT NULL,
    owner       bigint NOT NULL,
    operated_by bigint,
    schedule    integer NOT NULL,
    open_orders_max    numeric(20,0),
    order_qty_max      numeric(20,0),
    order_notional_max numeric(20,0),
    open_notional_max  numeric(20,0),
    position_max       numeric(20,0),
    daily_max          numeric(20,0),
    changed_seq bigint NOT NULL
) WITH (fillfactor = 80);
COMMENT ON TABLE accounts IS 'The accounts, as they are now';
COMMENT ON COLUMN accounts.account IS 'The number';
COMMENT ON COLUMN accounts.seq IS 'The command that opened it';
COMMENT ON COLUMN accounts.at IS 'When';
COMMENT ON COLUMN accounts.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN accounts.owner IS 'The participant whose it is';
COMMENT ON COLUMN accounts.operated_by IS 'The platform whose sessions act for it';
COMMENT ON COLUMN accounts.schedule IS 'Its fee schedule';
COMMENT ON COLUMN accounts.open_orders_max IS 'Orders that may be open at once, as last set';
COMMENT ON COLUMN accounts.order_qty_max IS 'Coupons of one order, as last set';
COMMENT ON COLUMN accounts.order_notional_max IS 'Price x quantity of one order, minor units, as last set';
COMMENT ON COLUMN accounts.open_notional_max IS 'Price x quantity of all open orders, minor units, as last set';
COMMENT ON COLUMN accounts.position_max IS 'Coupons of any one series, as last set; 0 is no limit';
COMMENT ON COLUMN accounts.daily_max IS 'Price x quantity of a business day, minor units, as last set; 0 is no limit';
COMMENT ON COLUMN accounts.changed_seq IS 'The last command that changed the row';

CREATE TABLE series (
    series       bigint PRIMARY KEY,
    seq          bigint NOT NULL,
    at           timestamptz NOT NULL,
    at_ns        bigint NOT NULL,
    issuer       bigint NOT NULL,
    symbol       text NOT NULL,
    currency     smallint NOT NULL,
    lot          bigint NOT NULL,
    tick         numeric(20,0) NOT NULL,
    face         numeric(20,0) NOT NULL,
    redeem_value numeric(20,0) NOT NULL,
    issue_cap    numeric(20,0) NOT NULL,
    valid_from   timestamptz NOT NULL,
    valid_from_ns numeric(20,0) NOT NULL,
    valid_to     timestamptz NOT NULL,
    valid_to_ns  numeric(20,0) NOT NULL,
    state        text NOT NULL,
    phase        text,
    terms_hash   bytea,
    escrow       bigint NOT NULL,
    outstanding  bigint NOT NULL,
    changed_seq  bigint NOT NULL
) WITH (fillfactor = 80);
COMMENT ON TABLE series IS 'The series of coupons, as they are now';
COMMENT ON COLUMN series.series IS 'The number';
COMMENT ON COLUMN series.seq IS 'The command that described it';
COMMENT ON COLUMN series.at IS 'When';
COMMENT ON COLUMN series.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN series.issuer IS 'The participant who issues it';
COMMENT ON COLUMN series.symbol IS 'Its symbol';
COMMENT ON COLUMN series.currency IS 'Its currency: ISO 4217 numeric';
COMMENT ON COLUMN series.lot IS 'Orders are for multiples of so many coupons';
COMMENT ON COLUMN series.tick IS 'Prices are multiples of this, minor units';
COMMENT ON COLUMN series.face IS 'Face value of a coupon, minor units';
COMMENT ON COLUMN series.redeem_value IS 'What a merchant is paid for a coupon, minor units';
COMMENT ON COLUMN series.issue_cap IS 'Coupons that can be issued in all';
COMMENT ON COLUMN series.valid_from IS 'From when it can be redeemed';
COMMENT ON COLUMN series.valid_from_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN series.valid_to IS 'When it expires';
COMMENT ON COLUMN series.valid_to_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN series.state IS 'draft, escrowed or registered';
COMMENT ON COLUMN series.phase IS 'The phase last set for this series alone';
COMMENT ON COLUMN series.terms_hash IS 'SHA-256 of the terms document, once it is registered';
COMMENT ON COLUMN series.escrow IS 'What its escrow holds, minor units, as last told';
COMMENT ON COLUMN series.outstanding IS 'Coupons outstanding, as last told';
COMMENT ON COLUMN series.changed_seq IS 'The last command that changed the row';

CREATE TABLE orders (
    order_id      bigint PRIMARY KEY,
    seq           bigint NOT NULL,
    idx           integer NOT NULL,
    at            timestamptz NOT NULL,
    at_ns         bigint NOT NULL,
    business_date date,
    session       bigint NOT NULL,
    account       bigint NOT NULL,
    series        bigint NOT NULL,
    currency      smallint NOT NULL,
    side          text NOT NULL,
    order_type    text NOT NULL,
    tif           text NOT NULL,
    execution     text NOT NULL,
    on_disconnect text NOT NULL,
    cl_ord_id     bytea NOT NULL,
    limit_price   bigint NOT NULL,
    expire_at_ns  numeric(20,0),
    stop          bigint,
    min_qty       bigint,
    display_qty   bigint,
    self_trade    text,
    qty           bigint NOT NULL,
    leaves        bigint NOT NULL,
    filled        bigint NOT NULL,
    filled_amount bigint NOT NULL,
    fees          bigint NOT NULL,
    state         text NOT NULL,
    reason        text,
    changed_seq   bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX orders_seq ON orders USING brin (seq);
COMMENT ON TABLE orders IS 'The orders, as they are now or were at their end';
COMMENT ON COLUMN orders.order_id IS 'The exchange''s number';
COMMENT ON COLUMN orders.seq IS 'The command by which it was accepted';
COMMENT ON COLUMN orders.idx IS 'Which of that command''s events';
COMMENT ON COLUMN orders.at IS 'When it was accepted';
COMMENT ON COLUMN orders.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN orders.business_date IS 'On which business day';
COMMENT ON COLUMN orders.session IS 'The session that placed it: the participant x 16 + which of its sixteen';
COMMENT ON COLUMN orders.account IS 'Whose';
COMMENT ON COLUMN orders.series IS 'Of which series';
COMMENT ON COLUMN orders.currency IS 'The series'' currency: ISO 4217 numeric';
COMMENT ON COLUMN orders.side IS 'buy or sell';
COMMENT ON COLUMN orders.order_type IS 'limit, market, stop or stop-limit';
COMMENT ON COLUMN orders.tif IS 'Time in force';
COMMENT ON COLUMN orders.execution IS 'Whether it may take';
COMMENT ON COLUMN orders.on_disconnect IS 'What becomes of it when its session ends';
COMMENT ON COLUMN orders.cl_ord_id IS 'The client''s own id: its bytes without the zeros at the end';
COMMENT ON COLUMN orders.limit_price IS 'Its limit, minor units; a market order''s is the bound of the collar';
COMMENT ON COLUMN orders.expire_at_ns IS 'When it ends, nanoseconds since 1970 UTC; null for never';
COMMENT ON COLUMN orders.stop IS 'The last trade''s price that sets it off, minor units';
COMMENT ON COLUMN orders.min_qty IS 'So many were to trade at once';
COMMENT ON COLUMN orders.display_qty IS 'So many are shown at a time';
COMMENT ON COLUMN orders.self_trade IS 'What becomes of it when it meets an order of its own participant; null for a plain order';
COMMENT ON COLUMN orders.qty IS 'Coupons in all, those filled included';
COMMENT ON COLUMN orders.leaves IS 'Coupons still open';
COMMENT ON COLUMN orders.filled IS 'Coupons traded: the sum of its trades';
COMMENT ON COLUMN orders.filled_amount IS 'Price x quantity traded, minor units: the sum of its trades';
COMMENT ON COLUMN orders.fees IS 'Fees less rebates, minor units: the sum of its trades';
COMMENT ON COLUMN orders.state IS 'open, waiting (for its stop), filled or canceled';
COMMENT ON COLUMN orders.reason IS 'Why it was cancelled';
COMMENT ON COLUMN orders.changed_seq IS 'The last command that changed the row';

CREATE TABLE balances (
    place       smallint NOT NULL,
    owner       bigint NOT NULL,
    asset       bigint NOT NULL,
    amount      bigint NOT NULL,
    changed_seq bigint NOT NULL,
    PRIMARY KEY (place, owner, asset)
) WITH (fillfactor = 50);
COMMENT ON TABLE balances IS 'What lies where: the sum of all transfers. Every asset sums to zero';
COMMENT ON COLUMN balances.place IS 'Which place';
COMMENT ON COLUMN balances.owner IS 'The account, series or participant; 0 where the place has no owner';
COMMENT ON COLUMN balances.asset IS 'Of what';
COMMENT ON COLUMN balances.amount IS 'Credits less debits, minor units or coupons';
COMMENT ON COLUMN balances.changed_seq IS 'The last command that changed it';

CREATE TABLE trades (
    seq             bigint NOT NULL,
    idx             integer NOT NULL,
    at              timestamptz NOT NULL,
    at_ns           bigint NOT NULL,
    business_date   date,
    settlement_date date,
    series          bigint NOT NULL,
    currency        smallint NOT NULL,
    taker_side      text NOT NULL,
    price           bigint NOT NULL,
    qty             bigint NOT NULL,
    amount          bigint NOT NULL,
    maker_order     bigint NOT NULL,
    taker_order     bigint NOT NULL,
    maker_account   bigint NOT NULL,
    taker_account   bigint NOT NULL,
    maker_session   bigint NOT NULL,
    taker_session   bigint NOT NULL,
    maker_fee       bigint NOT NULL,
    taker_fee       bigint NOT NULL,
    released        bigint NOT NULL,
    PRIMARY KEY (seq, idx)
) PARTITION BY RANGE (seq);
CREATE INDEX trades_at ON trades USING brin (at);
COMMENT ON TABLE trades IS 'The trades. Each is its own settlement';
COMMENT ON COLUMN trades.seq IS 'The command that caused it: the taker''s';
COMMENT ON COLUMN trades.idx IS 'Which of its events';
COMMENT ON COLUMN trades.at IS 'When';
COMMENT ON COLUMN trades.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN trades.business_date IS 'On which business day';
COMMENT ON COLUMN trades.settlement_date IS 'The day both legs are settled: the same, T+0';
COMMENT ON COLUMN trades.series IS 'Of which series';
COMMENT ON COLUMN trades.currency IS 'Its currency: ISO 4217 numeric';
COMMENT ON COLUMN trades.taker_side IS 'Whether the taker bought or sold: buy or sell';
COMMENT ON COLUMN trades.price IS 'The maker''s price, minor units a coupon';
COMMENT ON COLUMN trades.qty IS 'Coupons';
COMMENT ON COLUMN trades.amount IS 'Price x quantity, minor units';
COMMENT ON COLUMN trades.maker_order IS 'The order that rested';
COMMENT ON COLUMN trades.taker_order IS 'The order that arrived';
COMMENT ON COLUMN trades.maker_account IS 'The maker''s account';
COMMENT ON COLUMN trades.taker_account IS 'The taker''s account';
COMMENT ON COLUMN trades.maker_session IS 'The maker''s session';
COMMENT ON COLUMN trades.taker_session IS 'The taker''s session';
COMMENT ON COLUMN trades.maker_fee IS 'What the maker paid, minor units; was paid, when negative';
COMMENT ON COLUMN trades.taker_fee IS 'What the taker paid, minor units; was paid, when negative';
COMMENT ON COLUMN trades.released IS 'What the buyer''s hold did not need any more, minor units';

CREATE TABLE busts (
    seq           bigint NOT NULL,
    idx           integer NOT NULL,
    at            timestamptz NOT NULL,
    at_ns         bigint NOT NULL,
    business_date date,
    trade_seq     bigint NOT NULL,
    trade_idx     integer NOT NULL,
    series        bigint NOT NULL,
    currency      smallint NOT NULL,
    price         bigint NOT NULL,
    qty           bigint NOT NULL,
    amount        bigint NOT NULL,
    maker_fee     bigint NOT NULL,
    taker_fee     bigint NOT NULL,
    PRIMARY KEY (seq, idx),
    UNIQUE (trade_seq, trade_idx)
);
COMMENT ON TABLE busts IS 'Trades that were undone: both legs and both fees went back, the orders stay as they are';
COMMENT ON COLUMN busts.seq IS 'The command that undid it';
COMMENT ON COLUMN busts.idx IS 'Which of its events';
COMMENT ON COLUMN busts.at IS 'When';
COMMENT ON COLUMN busts.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN busts.business_date IS 'On which business day';
COMMENT ON COLUMN busts.trade_seq IS 'The command that traded';
COMMENT ON COLUMN busts.trade_idx IS 'Which of its events the trade is';
COMMENT ON COLUMN busts.series IS 'Of which series';
COMMENT ON COLUMN busts.currency IS 'Its currency: ISO 4217 numeric';
COMMENT ON COLUMN busts.price IS 'The trade''s price, minor units a coupon';
COMMENT ON COLUMN busts.qty IS 'Coupons: from the buyer back to the seller';
COMMENT ON COLUMN busts.amount IS 'Price x quantity, minor units: from the seller back to the buyer';
COMMENT ON COLUMN busts.maker_fee IS 'The maker''s fee, which is back, minor units';
COMMENT ON COLUMN busts.taker_fee IS 'The taker''s fee, which is back, minor units';

CREATE TABLE transfers (
    seq           bigint NOT NULL,
    idx           integer NOT NULL,
    line          smallint NOT NULL,
    at            timestamptz NOT NULL,
    at_ns         bigint NOT NULL,
    business_date date,
    debit_place   smallint NOT NULL,
    debit_owner   bigint NOT NULL,
    credit_place  smallint NOT NULL,
    credit_owner  bigint NOT NULL,
    asset         bigint NOT NULL,
    amount        bigint NOT NULL,
    cause         smallint NOT NULL
) PARTITION BY RANGE (seq);
CREATE INDEX transfers_seq ON transfers USING brin (seq);
CREATE INDEX transfers_at ON transfers USING brin (at);
COMMENT ON TABLE transfers IS 'The ledger''s lines: so much of an asset leaves the debited place and comes to the credited one';
COMMENT ON COLUMN transfers.seq IS 'The command that caused it';
COMMENT ON COLUMN transfers.idx IS 'Which of its events';
COMMENT ON COLUMN transfers.line IS 'Which of the event''s lines, from 0';
COMMENT ON COLUMN transfers.at IS 'When';
COMMENT ON COLUMN transfers.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN transfers.business_date IS 'On which business day';
COMMENT ON COLUMN transfers.debit_place IS 'Where it leaves';
COMMENT ON COLUMN transfers.debit_owner IS 'Whose that is; 0 where the place has no owner';
COMMENT ON COLUMN transfers.credit_place IS 'Where it comes to';
COMMENT ON COLUMN transfers.credit_owner IS 'Whose that is; 0 where the place has no owner';
COMMENT ON COLUMN transfers.asset IS 'What';
COMMENT ON COLUMN transfers.amount IS 'How much: minor units of the currency, or coupons';
COMMENT ON COLUMN transfers.cause IS 'Template id of the event that posted it';

CREATE TABLE rejects (
    seq           bigint NOT NULL,
    idx           integer NOT NULL,
    at            timestamptz NOT NULL,
    at_ns         bigint NOT NULL,
    business_date date,
    session       bigint NOT NULL,
    template      integer NOT NULL,
    code          smallint NOT NULL,
    account       bigint NOT NULL,
    series        bigint NOT NULL,
    order_id      numeric(20,0) NOT NULL,
    quote         numeric(20,0),
    cl_ord_id     bytea NOT NULL,
    observed      numeric(20,0) NOT NULL,
    allowed       numeric(20,0) NOT NULL
) PARTITION BY RANGE (seq);
CREATE INDEX rejects_seq ON rejects USING brin (seq);
CREATE INDEX rejects_at ON rejects USING brin (at);
COMMENT ON TABLE rejects IS 'What was refused, and sides of quotes that were, with the true codes: for the compliance role';
COMMENT ON COLUMN rejects.seq IS 'The command that was refused';
COMMENT ON COLUMN rejects.idx IS 'Which of its events';
COMMENT ON COLUMN rejects.at IS 'When';
COMMENT ON COLUMN rejects.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN rejects.business_date IS 'On which business day';
COMMENT ON COLUMN rejects.session IS 'The session that sent it; 0 is the house';
COMMENT ON COLUMN rejects.template IS 'Template id of the command';
COMMENT ON COLUMN rejects.code IS 'Why: the true code';
COMMENT ON COLUMN rejects.account IS 'The account in the command; 0 for none';
COMMENT ON COLUMN rejects.series IS 'The series in the command; 0 for none';
COMMENT ON COLUMN rejects.order_id IS 'The order in the command; 0 for none';
COMMENT ON COLUMN rejects.quote IS 'The quote, when a side of one was refused';
COMMENT ON COLUMN rejects.cl_ord_id IS 'The client''s id in the command: its bytes without the zeros at the end';
COMMENT ON COLUMN rejects.observed IS 'What was observed, where it is a number';
COMMENT ON COLUMN rejects.allowed IS 'What is allowed, where it is a number';

CREATE TABLE freezes (
    seq           bigint NOT NULL,
    idx           integer NOT NULL,
    at            timestamptz NOT NULL,
    at_ns         bigint NOT NULL,
    business_date date,
    account       bigint NOT NULL,
    action        text NOT NULL,
    case_id       numeric(20,0) NOT NULL,
    PRIMARY KEY (seq, idx)
);
COMMENT ON TABLE freezes IS 'Freezes of accounts, placed and lifted: for the compliance role';
COMMENT ON COLUMN freezes.seq IS 'The command that ordered it';
COMMENT ON COLUMN freezes.idx IS 'Which of its events';
COMMENT ON COLUMN freezes.at IS 'When';
COMMENT ON COLUMN freezes.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN freezes.business_date IS 'On which business day';
COMMENT ON COLUMN freezes.account IS 'The account';
COMMENT ON COLUMN freezes.action IS 'place or lift';
COMMENT ON COLUMN freezes.case_id IS 'The case that orders it';

CREATE TABLE sessions (
    seq        bigint NOT NULL,
    idx        integer NOT NULL,
    at         timestamptz NOT NULL,
    at_ns      bigint NOT NULL,
    session    bigint NOT NULL,
    state      text NOT NULL,
    connection numeric(20,0) NOT NULL,
    cancel_at_ns numeric(20,0),
    PRIMARY KEY (seq, idx)
);
COMMENT ON TABLE sessions IS 'Sessions, as they came up and ended';
COMMENT ON COLUMN sessions.seq IS 'The command that said so';
COMMENT ON COLUMN sessions.idx IS 'Which of its events';
COMMENT ON COLUMN sessions.at IS 'When';
COMMENT ON COLUMN sessions.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN sessions.session IS 'The session: the participant x 16 + which of its sixteen; 0 for all of them, at a restart';
COMMENT ON COLUMN sessions.state IS 'up or down';
COMMENT ON COLUMN sessions.connection IS 'Which connection of the session; 0 at a restart';
COMMENT ON COLUMN sessions.cancel_at_ns IS 'When its orders are cancelled unless it is up again, nanoseconds since 1970 UTC';

CREATE TABLE series_history (
    seq           bigint NOT NULL,
    idx           integer NOT NULL,
    at            timestamptz NOT NULL,
    at_ns         bigint NOT NULL,
    business_date date,
    series        bigint NOT NULL,
    template      integer NOT NULL,
    detail        text NOT NULL,
    PRIMARY KEY (seq, idx)
);
COMMENT ON TABLE series_history IS 'What became of series: states, phases, terms, escrow, issuance';
COMMENT ON COLUMN series_history.seq IS 'The command';
COMMENT ON COLUMN series_history.idx IS 'Which of its events';
COMMENT ON COLUMN series_history.at IS 'When';
COMMENT ON COLUMN series_history.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN series_history.business_date IS 'On which business day';
COMMENT ON COLUMN series_history.series IS 'The series; 0 for the whole venue';
COMMENT ON COLUMN series_history.template IS 'Template id of the event';
COMMENT ON COLUMN series_history.detail IS 'The event in the text notation';

CREATE TABLE log (
    seq           bigint NOT NULL,
    idx           integer NOT NULL,
    at            timestamptz NOT NULL,
    at_ns         bigint NOT NULL,
    business_date date,
    session       bigint NOT NULL,
    template      integer NOT NULL,
    detail        text NOT NULL
) PARTITION BY RANGE (seq);
CREATE INDEX log_seq ON log USING brin (seq);
COMMENT ON TABLE log IS 'All events that no other table tells: control, limits, keys, approvals, quotes, jobs, answers. Plain passing of time is in the cursor only';
COMMENT ON COLUMN log.seq IS 'The command';
COMMENT ON COLUMN log.idx IS 'Which of its events';
COMMENT ON COLUMN log.at IS 'When';
COMMENT ON COLUMN log.at_ns IS 'The same, nanoseconds since 1970 UTC';
COMMENT ON COLUMN log.business_date IS 'On which business day';
COMMENT ON COLUMN log.session IS 'The session that caused it; 0 is the house';
COMMENT ON COLUMN log.template IS 'Template id of the event';
COMMENT ON COLUMN log.detail IS 'The event in the text notation';
