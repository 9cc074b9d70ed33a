-- The tables in the field's terms: decimals, currencies, symbols, accounts of the chart, reject names.

CREATE VIEW postings AS
SELECT t.seq, t.idx, t.line, leg.leg, t.at, t.business_date,
       CASE WHEN a.kind = 'cash' THEN p.chart_cash ELSE p.chart_units END AS chart,
       p.name AS place, p.owned_by, nullif(leg.owner, 0) AS owner, a.kind, a.code AS asset,
       round(leg.sign * t.amount / power(10::numeric, a.exponent), a.exponent) AS amount, m.name AS cause
FROM transfers t
CROSS JOIN LATERAL (VALUES ('debit', t.debit_place, t.debit_owner, -1), ('credit', t.credit_place, t.credit_owner, 1))
    AS leg (leg, place, owner, sign)
JOIN places p ON p.place = leg.place
JOIN assets a ON a.asset = t.asset
JOIN messages m ON m.template = t.cause;
COMMENT ON VIEW postings IS 'The legs of all transfers: what left one place, and what came to another';
COMMENT ON COLUMN postings.seq IS 'The command that caused it';
COMMENT ON COLUMN postings.idx IS 'Which of its events';
COMMENT ON COLUMN postings.line IS 'Which of the event''s lines';
COMMENT ON COLUMN postings.leg IS 'debit (left) or credit (came)';
COMMENT ON COLUMN postings.at IS 'When';
COMMENT ON COLUMN postings.business_date IS 'On which business day';
COMMENT ON COLUMN postings.chart IS 'Account of the chart of accounts';
COMMENT ON COLUMN postings.place IS 'The place''s name';
COMMENT ON COLUMN postings.owned_by IS 'What the owner is';
COMMENT ON COLUMN postings.owner IS 'The account, series or participant';
COMMENT ON COLUMN postings.kind IS 'cash or coupon';
COMMENT ON COLUMN postings.asset IS 'Currency or symbol';
COMMENT ON COLUMN postings.amount IS 'Major units or coupons; negative where it left';
COMMENT ON COLUMN postings.cause IS 'The event that posted it';

CREATE VIEW positions AS
SELECT b.owner AS account, c.owner AS participant, a.kind, a.code AS asset,
       round(sum(b.amount) FILTER (WHERE b.place = 1) / power(10::numeric, a.exponent), a.exponent) AS available,
       round(sum(b.amount) FILTER (WHERE b.place = 2) / power(10::numeric, a.exponent), a.exponent) AS held,
       round(sum(b.amount) FILTER (WHERE b.place = 3) / power(10::numeric, a.exponent), a.exponent) AS frozen,
       round(sum(b.amount) / power(10::numeric, a.exponent), a.exponent) AS total
FROM balances b
JOIN assets a ON a.asset = b.asset
JOIN accounts c ON c.account = b.owner
WHERE b.place IN (1, 2, 3)
GROUP BY b.owner, c.owner, a.kind, a.code, a.exponent;
COMMENT ON VIEW positions IS 'What each account has of each asset';
COMMENT ON COLUMN positions.account IS 'The account';
COMMENT ON COLUMN positions.participant IS 'Whose it is';
COMMENT ON COLUMN positions.kind IS 'cash or coupon';
COMMENT ON COLUMN positions.asset IS 'Currency or symbol';
COMMENT ON COLUMN positions.available IS 'Free to use, major units or coupons';
COMMENT ON COLUMN positions.held IS 'What its open orders need';
COMMENT ON COLUMN positions.frozen IS 'Frozen by order of someone';
COMMENT ON COLUMN positions.total IS 'All of it';

CREATE VIEW trade_blotter AS
SELECT t.seq, t.idx, t.at, t.business_date, t.settlement_date, s.symbol, c.code AS currency, t.taker_side,
       t.qty, round(t.price / power(10::numeric, c.exponent), c.exponent) AS price,
       round(t.amount / power(10::numeric, c.exponent), c.exponent) AS amount,
       CASE t.taker_side WHEN 'buy' THEN t.taker_account ELSE t.maker_account END AS buyer,
       CASE t.taker_side WHEN 'buy' THEN t.maker_account ELSE t.taker_account END AS seller,
       t.maker_order, t.taker_order,
       round(t.maker_fee / power(10::numeric, c.exponent), c.exponent) AS maker_fee,
       round(t.taker_fee / power(10::numeric, c.exponent), c.exponent) AS taker_fee,
       b.seq AS busted_by
FROM trades t
LEFT JOIN busts b ON b.trade_seq = t.seq AND b.trade_idx = t.idx
JOIN series s ON s.series = t.series
JOIN assets c ON c.asset = 2147483648 + t.currency;
COMMENT ON VIEW trade_blotter IS 'The trades, in major units';
COMMENT ON COLUMN trade_blotter.seq IS 'The command that caused it';
COMMENT ON COLUMN trade_blotter.idx IS 'Which of its events';
COMMENT ON COLUMN trade_blotter.at IS 'When';
COMMENT ON COLUMN trade_blotter.business_date IS 'On which business day';
COMMENT ON COLUMN trade_blotter.settlement_date IS 'When both legs settle';
COMMENT ON COLUMN trade_blotter.symbol IS 'The series';
COMMENT ON COLUMN trade_blotter.currency IS 'The currency';
COMMENT ON COLUMN trade_blotter.taker_side IS 'Whether the taker bought or sold';
COMMENT ON COLUMN trade_blotter.qty IS 'Coupons';
COMMENT ON COLUMN trade_blotter.price IS 'A coupon''s price';
COMMENT ON COLUMN trade_blotter.amount IS 'Price x quantity';
COMMENT ON COLUMN trade_blotter.buyer IS 'The buyer''s account';
COMMENT ON COLUMN trade_blotter.seller IS 'The seller''s account';
COMMENT ON COLUMN trade_blotter.maker_order IS 'The order that rested';
COMMENT ON COLUMN trade_blotter.taker_order IS 'The order that arrived';
COMMENT ON COLUMN trade_blotter.maker_fee IS 'What the maker paid; was paid, when negative';
COMMENT ON COLUMN trade_blotter.taker_fee IS 'What the taker paid; was paid, when negative';
COMMENT ON COLUMN trade_blotter.busted_by IS 'The command that undid it; null while it stands';

CREATE VIEW trial_balance AS
SELECT CASE WHEN a.kind = 'cash' THEN p.chart_cash ELSE p.chart_units END AS chart, p.name AS place, a.kind,
       a.code AS asset, round(sum(b.amount) / power(10::numeric, a.exponent), a.exponent) AS amount
FROM balances b
JOIN places p ON p.place = b.place
JOIN assets a ON a.asset = b.asset
GROUP BY p.chart_cash, p.chart_units, p.name, a.kind, a.code, a.exponent;
COMMENT ON VIEW trial_balance IS 'Sums by account of the chart and asset; each asset sums to zero';
COMMENT ON COLUMN trial_balance.chart IS 'Account of the chart of accounts';
COMMENT ON COLUMN trial_balance.place IS 'Its name';
COMMENT ON COLUMN trial_balance.kind IS 'cash or coupon';
COMMENT ON COLUMN trial_balance.asset IS 'Currency or symbol';
COMMENT ON COLUMN trial_balance.amount IS 'Credits less debits, major units or coupons';

CREATE VIEW escrow_coverage AS
SELECT s.series, s.symbol, s.issuer, c.code AS currency, s.state,
       round(s.escrow / power(10::numeric, c.exponent), c.exponent) AS escrow, s.outstanding,
       round(s.redeem_value * s.outstanding / power(10::numeric, c.exponent), c.exponent) AS owed,
       CASE WHEN s.redeem_value * s.outstanding > 0
            THEN floor(s.escrow * 10000::numeric / (s.redeem_value * s.outstanding)) END AS coverage_bps
FROM series s
JOIN assets c ON c.asset = 2147483648 + s.currency;
COMMENT ON VIEW escrow_coverage IS 'What each series'' escrow holds, and what would be owed if all its coupons were redeemed';
COMMENT ON COLUMN escrow_coverage.series IS 'The series';
COMMENT ON COLUMN escrow_coverage.symbol IS 'Its symbol';
COMMENT ON COLUMN escrow_coverage.issuer IS 'Who issues it';
COMMENT ON COLUMN escrow_coverage.currency IS 'Its currency';
COMMENT ON COLUMN escrow_coverage.state IS 'Its state';
COMMENT ON COLUMN escrow_coverage.escrow IS 'What the escrow holds, major units';
COMMENT ON COLUMN escrow_coverage.outstanding IS 'Coupons outstanding';
COMMENT ON COLUMN escrow_coverage.owed IS 'Redeem value x outstanding, major units';
COMMENT ON COLUMN escrow_coverage.coverage_bps IS 'Escrow by what is owed, basis points, rounded down; null when nothing is owed';

CREATE VIEW fees_by_day AS
SELECT t.business_date, c.code AS currency, count(*) FILTER (WHERE t.sign = 1) AS trades,
       count(*) FILTER (WHERE t.sign = -1) AS busts,
       round(sum(t.sign * t.amount) / power(10::numeric, c.exponent), c.exponent) AS traded,
       round(sum(t.sign * (greatest(t.maker_fee, 0) + greatest(t.taker_fee, 0))) / power(10::numeric, c.exponent), c.exponent) AS fees,
       round(sum(t.sign * (greatest(-t.maker_fee, 0) + greatest(-t.taker_fee, 0))) / power(10::numeric, c.exponent), c.exponent) AS rebates
FROM (
    SELECT 1 AS sign, business_date, currency, amount, maker_fee, taker_fee FROM trades
    UNION ALL
    SELECT -1, business_date, currency, amount, maker_fee, taker_fee FROM busts
) t
JOIN assets c ON c.asset = 2147483648 + t.currency
GROUP BY t.business_date, c.code, c.exponent;
COMMENT ON VIEW fees_by_day IS 'Trades, fees and rebates of each business day';
COMMENT ON COLUMN fees_by_day.business_date IS 'The day; null before the first';
COMMENT ON COLUMN fees_by_day.currency IS 'The currency';
COMMENT ON COLUMN fees_by_day.trades IS 'Trades';
COMMENT ON COLUMN fees_by_day.busts IS 'Trades undone on that day, whenever they were made';
COMMENT ON COLUMN fees_by_day.traded IS 'Price x quantity of them, less those undone, major units';
COMMENT ON COLUMN fees_by_day.fees IS 'Fees charged, less those given back, major units';
COMMENT ON COLUMN fees_by_day.rebates IS 'Rebates paid, less those taken back, major units';

CREATE VIEW days AS
SELECT d.business_date, d.at AS begun_at, d.seq AS first_seq,
       coalesce(lead(d.seq) OVER w - 1, c.seq) AS complete_up_to,
       lead(d.seq) OVER w IS NOT NULL AS is_closed,
       encode(coalesce(lead(d.chain) OVER w, c.chain), 'hex') AS chain_head
FROM business_days d CROSS JOIN bridge_cursor c
WINDOW w AS (ORDER BY d.business_date);
COMMENT ON VIEW days IS 'The business days, and how far each of them is here';
COMMENT ON COLUMN days.business_date IS 'The date';
COMMENT ON COLUMN days.begun_at IS 'When it began';
COMMENT ON COLUMN days.first_seq IS 'Its first command';
COMMENT ON COLUMN days.complete_up_to IS 'The command up to which it is here: its last, when it is closed';
COMMENT ON COLUMN days.is_closed IS 'Whether the next day has begun: then nothing is added any more';
COMMENT ON COLUMN days.chain_head IS 'Hash of all events up to and with the command that ended it, or up to the cursor';

CREATE VIEW refusals AS
SELECT r.seq, r.idx, r.at, r.business_date, r.session, m.name AS command, s.code, s.name, s.text,
       nullif(r.account, 0) AS account, nullif(r.series, 0) AS series, encode(r.cl_ord_id, 'escape') AS cl_ord_id,
       CASE WHEN s.code = r.code THEN r.observed END AS observed, CASE WHEN s.code = r.code THEN r.allowed END AS allowed
FROM rejects r
JOIN reject_reasons true_reason ON true_reason.code = r.code
JOIN reject_reasons s ON s.code = true_reason.shown
LEFT JOIN messages m ON m.template = r.template;
COMMENT ON VIEW refusals IS 'What was refused, with the codes that the refused were shown';
COMMENT ON COLUMN refusals.seq IS 'The command';
COMMENT ON COLUMN refusals.idx IS 'Which of its events';
COMMENT ON COLUMN refusals.at IS 'When';
COMMENT ON COLUMN refusals.business_date IS 'On which business day';
COMMENT ON COLUMN refusals.session IS 'Who sent it';
COMMENT ON COLUMN refusals.command IS 'Which command';
COMMENT ON COLUMN refusals.code IS 'Why: the code that was shown';
COMMENT ON COLUMN refusals.name IS 'Its name';
COMMENT ON COLUMN refusals.text IS 'What it means';
COMMENT ON COLUMN refusals.account IS 'The account in the command';
COMMENT ON COLUMN refusals.series IS 'The series in the command';
COMMENT ON COLUMN refusals.cl_ord_id IS 'The client''s id in the command';
COMMENT ON COLUMN refusals.observed IS 'What was observed';
COMMENT ON COLUMN refusals.allowed IS 'What is allowed';
