//! The tables that the projection fills: names, columns in order, keys.

use crate::encode::Kind;
use xq_protocol::Seq;

/// A table of the projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Assets,
    BusinessDays,
    Participants,
    Accounts,
    Series,
    Orders,
    Trades,
    Busts,
    Transfers,
    Rejects,
    Freezes,
    Sessions,
    SeriesHistory,
    Log,
    Balances,
}

/// How many tables there are.
pub(crate) const TABLES: usize = Table::ALL.len();
/// Of the partitioned tables, commands a partition.
pub(crate) const PARTITION: u64 = 1 << 24;

const AT: [(&str, Kind); 2] = [("at", Kind::Instant), ("at_ns", Kind::Big)];

impl Table {
    /// All, in the order in which they are written.
    pub(crate) const ALL: [Table; 15] = [
        Table::Assets,
        Table::BusinessDays,
        Table::Participants,
        Table::Accounts,
        Table::Series,
        Table::Orders,
        Table::Trades,
        Table::Busts,
        Table::Transfers,
        Table::Rejects,
        Table::Freezes,
        Table::Sessions,
        Table::SeriesHistory,
        Table::Log,
        Table::Balances,
    ];

    pub(crate) fn place(self) -> usize {
        Table::ALL
            .iter()
            .position(|table| *table == self)
            .expect("all are listed")
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Assets => "assets",
            Table::BusinessDays => "business_days",
            Table::Participants => "participants",
            Table::Accounts => "accounts",
            Table::Series => "series",
            Table::Orders => "orders",
            Table::Trades => "trades",
            Table::Busts => "busts",
            Table::Transfers => "transfers",
            Table::Rejects => "rejects",
            Table::Freezes => "freezes",
            Table::Sessions => "sessions",
            Table::SeriesHistory => "series_history",
            Table::Log => "log",
            Table::Balances => "balances",
        }
    }

    /// Whether it is cut into ranges of commands.
    pub(crate) fn is_partitioned(self) -> bool {
        match self {
            Table::Trades | Table::Transfers | Table::Rejects | Table::Log => true,
            Table::Assets
            | Table::BusinessDays
            | Table::Participants
            | Table::Accounts
            | Table::Series
            | Table::Orders
            | Table::Busts
            | Table::Freezes
            | Table::Sessions
            | Table::SeriesHistory
            | Table::Balances => false,
        }
    }

    /// The name of one of its partitions.
    pub(crate) fn partition(self, number: u64) -> String {
        format!("{}_p{number:06}", self.name())
    }

    /// Where rows of the commands `first` to `last` are copied: straight into their partition when all are of one, so
    /// that PostgreSQL need not find it for each row.
    pub(crate) fn target(self, first: Seq, last: Seq) -> String {
        let number = first.0 / PARTITION;
        if self.is_partitioned() && number == last.0 / PARTITION {
            self.partition(number)
        } else {
            self.name().to_owned()
        }
    }

    /// Its columns that name a row.
    pub(crate) fn key(self) -> &'static [&'static str] {
        match self {
            Table::Assets => &["asset"],
            Table::BusinessDays => &["business_date"],
            Table::Participants => &["participant"],
            Table::Accounts => &["account"],
            Table::Series => &["series"],
            Table::Orders => &["order_id"],
            Table::Transfers => &["seq", "idx", "line"],
            Table::Balances => &["place", "owner", "asset"],
            Table::Trades
            | Table::Busts
            | Table::Rejects
            | Table::Freezes
            | Table::Sessions
            | Table::SeriesHistory
            | Table::Log => &["seq", "idx"],
        }
    }

    /// Names and kinds of its columns, in order.
    pub(crate) fn columns(self) -> Vec<(&'static str, Kind)> {
        let place = [("seq", Kind::Big), ("idx", Kind::Int)];
        let dated = [("business_date", Kind::Date)];
        match self {
            Table::Assets => ASSETS.to_vec(),
            Table::BusinessDays => [
                &[("business_date", Kind::Date), ("seq", Kind::Big)][..],
                &AT,
                &[("chain", Kind::Bytes)],
            ]
            .concat(),
            Table::Participants => [
                &[("participant", Kind::Big), ("seq", Kind::Big)][..],
                &AT,
                &[("role", Kind::Text), ("reference", Kind::Bytes)],
            ]
            .concat(),
            Table::Accounts => [&[("account", Kind::Big), ("seq", Kind::Big)][..], &AT, ACCOUNTS].concat(),
            Table::Series => [&[("series", Kind::Big), ("seq", Kind::Big)][..], &AT, SERIES].concat(),
            Table::Orders => [&[("order_id", Kind::Big)][..], &place, &AT, &dated, ORDERS].concat(),
            Table::Trades => [&place[..], &AT, &dated, TRADES].concat(),
            Table::Busts => [&place[..], &AT, &dated, BUSTS].concat(),
            Table::Transfers => [&place[..], &[("line", Kind::Small)], &AT, &dated, TRANSFERS].concat(),
            Table::Rejects => [&place[..], &AT, &dated, REJECTS].concat(),
            Table::Freezes => [&place[..], &AT, &dated, FREEZES].concat(),
            Table::Sessions => [&place[..], &AT, SESSIONS].concat(),
            Table::SeriesHistory => [&place[..], &AT, &dated, &[("series", Kind::Big)], TOLD].concat(),
            Table::Log => [&place[..], &AT, &dated, &[("session", Kind::Big)], TOLD].concat(),
            Table::Balances => BALANCES.to_vec(),
        }
    }

    /// Its columns as SQL lists them.
    pub(crate) fn column_list(self) -> String {
        self.columns()
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

const ASSETS: &[(&str, Kind)] = &[
    ("asset", Kind::Big),
    ("seq", Kind::Big),
    ("kind", Kind::Text),
    ("series", Kind::Big),
    ("currency", Kind::Small),
    ("code", Kind::Text),
    ("exponent", Kind::Small),
];
const ACCOUNTS: &[(&str, Kind)] = &[
    ("owner", Kind::Big),
    ("operated_by", Kind::Big),
    ("schedule", Kind::Int),
    ("open_orders_max", Kind::Numeric),
    ("order_qty_max", Kind::Numeric),
    ("order_notional_max", Kind::Numeric),
    ("open_notional_max", Kind::Numeric),
    ("position_max", Kind::Numeric),
    ("daily_max", Kind::Numeric),
    ("changed_seq", Kind::Big),
];
const SERIES: &[(&str, Kind)] = &[
    ("issuer", Kind::Big),
    ("symbol", Kind::Text),
    ("currency", Kind::Small),
    ("lot", Kind::Big),
    ("tick", Kind::Numeric),
    ("face", Kind::Numeric),
    ("redeem_value", Kind::Numeric),
    ("issue_cap", Kind::Numeric),
    ("valid_from", Kind::Instant),
    ("valid_from_ns", Kind::Numeric),
    ("valid_to", Kind::Instant),
    ("valid_to_ns", Kind::Numeric),
    ("state", Kind::Text),
    ("phase", Kind::Text),
    ("terms_hash", Kind::Bytes),
    ("escrow", Kind::Big),
    ("outstanding", Kind::Big),
    ("changed_seq", Kind::Big),
];
const ORDERS: &[(&str, Kind)] = &[
    ("session", Kind::Big),
    ("account", Kind::Big),
    ("series", Kind::Big),
    ("currency", Kind::Small),
    ("side", Kind::Text),
    ("order_type", Kind::Text),
    ("tif", Kind::Text),
    ("execution", Kind::Text),
    ("on_disconnect", Kind::Text),
    ("cl_ord_id", Kind::Bytes),
    ("limit_price", Kind::Big),
    ("expire_at_ns", Kind::Numeric),
    ("stop", Kind::Big),
    ("min_qty", Kind::Big),
    ("display_qty", Kind::Big),
    ("self_trade", Kind::Text),
    ("qty", Kind::Big),
    ("leaves", Kind::Big),
    ("filled", Kind::Big),
    ("filled_amount", Kind::Big),
    ("fees", Kind::Big),
    ("state", Kind::Text),
    ("reason", Kind::Text),
    ("changed_seq", Kind::Big),
];
const TRADES: &[(&str, Kind)] = &[
    ("settlement_date", Kind::Date),
    ("series", Kind::Big),
    ("currency", Kind::Small),
    ("taker_side", Kind::Text),
    ("price", Kind::Big),
    ("qty", Kind::Big),
    ("amount", Kind::Big),
    ("maker_order", Kind::Big),
    ("taker_order", Kind::Big),
    ("maker_account", Kind::Big),
    ("taker_account", Kind::Big),
    ("maker_session", Kind::Big),
    ("taker_session", Kind::Big),
    ("maker_fee", Kind::Big),
    ("taker_fee", Kind::Big),
    ("released", Kind::Big),
];
const BUSTS: &[(&str, Kind)] = &[
    ("trade_seq", Kind::Big),
    ("trade_idx", Kind::Int),
    ("series", Kind::Big),
    ("currency", Kind::Small),
    ("price", Kind::Big),
    ("qty", Kind::Big),
    ("amount", Kind::Big),
    ("maker_fee", Kind::Big),
    ("taker_fee", Kind::Big),
];
const TRANSFERS: &[(&str, Kind)] = &[
    ("debit_place", Kind::Small),
    ("debit_owner", Kind::Big),
    ("credit_place", Kind::Small),
    ("credit_owner", Kind::Big),
    ("asset", Kind::Big),
    ("amount", Kind::Big),
    ("cause", Kind::Small),
];
const REJECTS: &[(&str, Kind)] = &[
    ("session", Kind::Big),
    ("template", Kind::Int),
    ("code", Kind::Small),
    ("account", Kind::Big),
    ("series", Kind::Big),
    ("order_id", Kind::Numeric),
    ("quote", Kind::Numeric),
    ("cl_ord_id", Kind::Bytes),
    ("observed", Kind::Numeric),
    ("allowed", Kind::Numeric),
];
const FREEZES: &[(&str, Kind)] = &[
    ("account", Kind::Big),
    ("action", Kind::Text),
    ("case_id", Kind::Numeric),
];
const SESSIONS: &[(&str, Kind)] = &[
    ("session", Kind::Big),
    ("state", Kind::Text),
    ("connection", Kind::Numeric),
    ("cancel_at_ns", Kind::Numeric),
];
const TOLD: &[(&str, Kind)] = &[("template", Kind::Int), ("detail", Kind::Text)];
const BALANCES: &[(&str, Kind)] = &[
    ("place", Kind::Small),
    ("owner", Kind::Big),
    ("asset", Kind::Big),
    ("amount", Kind::Big),
    ("changed_seq", Kind::Big),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_partition_go_straight_into_it() {
        let last = Seq(PARTITION - 1);
        assert_eq!(Table::Transfers.target(Seq(1), last), "transfers_p000000");
        assert_eq!(Table::Transfers.target(last, last.next()), "transfers");
        assert_eq!(
            Table::Trades.target(last.next(), Seq(2 * PARTITION - 1)),
            "trades_p000001"
        );
        assert_eq!(Table::Orders.target(Seq(1), last), "orders");
    }
}
