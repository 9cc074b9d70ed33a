//! A venue at its size: 100,000 series, 4 M resting orders, 10 M balances of 1 M accounts; or a part of it. Then orders
//! all over it, as many resting as before.

use crate::flow::draw::SplitMix64;
use std::collections::VecDeque;
use xq_protocol::*;

const OPERATOR: ParticipantId = ParticipantId(1);
const BANK: ParticipantId = ParticipantId(2);
const ISSUER: ParticipantId = ParticipantId(3);
/// Acts for all accounts, and owns those whose orders rest.
const TRADER: ParticipantId = ParticipantId(4);
/// Owns those that take.
const TAKER: ParticipantId = ParticipantId(5);
const ROLES: [(ParticipantId, Role); 5] = [
    (OPERATOR, Role::Operator),
    (BANK, Role::Bank),
    (ISSUER, Role::Issuer),
    (TRADER, Role::MarketMaker),
    (TAKER, Role::Trader),
];
const CNY: Currency = Currency(156);
/// The time of every command.
const START: Nanos = Nanos(1_700_000_000_000_000_000);
const VALUE_DATE: Date = Date(20_231_114);
/// Holders of each series, and orders of each side.
const HOLDERS: u32 = 90;
const ORDERS: u32 = 20;
/// Prices of each side lie this far above one of these.
const BIDS: u32 = 1_000;
const ASKS: u32 = 2_000;
/// Accounts that take.
const TAKERS: u32 = 1_000;
/// Balances that these may come to have, and orders that may rest besides those of the start.
const MORE_BALANCES: u32 = 2_000_000;
const MORE_ORDERS: u32 = 65_536;
/// An order of the flow is cancelled once so many others rest.
const LIFE: usize = 1_000;

/// Takes a command.
pub type Take<'a> = &'a mut dyn FnMut(&CommandFrame);

/// Writes the commands of a venue.
pub struct LargeVenue {
    series: u32,
    accounts: u32,
    requests: [u64; ROLES.len() + 1],
    refs: u64,
    draw: SplitMix64,
    /// Orders of the flow that rest, the oldest first.
    resting: VecDeque<(AccountId, ClOrdId)>,
    placed: u64,
}

impl LargeVenue {
    /// The whole size, divided by `parts`.
    pub fn new(parts: u32) -> LargeVenue {
        LargeVenue {
            series: 100_000 / parts,
            accounts: 1_000_000 / parts,
            requests: [0; ROLES.len() + 1],
            refs: 0,
            draw: SplitMix64::new(11),
            resting: VecDeque::new(),
            placed: 0,
        }
    }

    /// Orders that rest once it is open.
    pub fn orders(&self) -> u32 {
        self.series * ORDERS * 2
    }

    /// What its journal begins with.
    pub fn genesis(&self) -> Genesis {
        let mut currencies = Currencies::default();
        currencies.0[0] = CNY;
        Genesis {
            journal_id: JournalId([7; 16]),
            rules_version: Count(xq_engine::RULES_VERSION),
            participants_max: Count(100),
            accounts_max: Count(self.accounts + TAKERS),
            series_max: Count(self.series),
            balances_max: Count(self.series * HOLDERS + self.accounts + MORE_BALANCES),
            orders_max: Count(self.orders() + MORE_ORDERS),
            sessions_max: Count(1_024),
            level_pages_max: Count(self.series * 2 + 1),
            proposals_max: Count(4),
            bank_refs_max: Count(self.series + self.accounts + TAKERS),
            proposal_ttl: Nanos(1_000_000_000),
            reopen_after: Nanos(0),
            disconnect_grace: Nanos(0),
            currencies,
        }
    }

    /// Gives every command that opens it; none is refused.
    pub fn open(&mut self, take: Take<'_>) {
        house(take, &self.genesis());
        ROLES.iter().for_each(|one| welcome(take, *one));
        for number in 1..=self.accounts + TAKERS {
            self.open_account(number, take);
        }
        (1..=self.series).for_each(|number| self.open_series(number, take));
    }

    /// Gives the next command of the flow: one of ten takes a coupon; of the others, every second one places an order that
    /// rests, and every second one cancels the oldest of these. None is refused.
    pub fn flow(&mut self, take: Take<'_>) {
        let series = 1 + self.draw.below(self.series);
        if self.draw.below(10) == 0 {
            let taker = AccountId(self.accounts + 1 + self.draw.below(TAKERS));
            let order = order((taker, self.next_id()), series, (ASKS + 2 * ORDERS, 1));
            let order = PlaceOrder {
                tif: TimeInForce::Ioc,
                ..order
            };
            return self.say(take, TRADER, &order);
        }
        if self.resting.len() < LIFE {
            let nth = self.draw.below(ORDERS);
            let (account, id) = (self.holder(series, nth), self.next_id());
            self.resting.push_back((account, id));
            return self.say(take, TRADER, &order((account, id), series, (BIDS + nth, 1)));
        }
        let (account, cl_ord_id) = self.resting.pop_front().expect("many rest");
        let cancel = CancelOrder {
            account,
            reduce_qty: Qty::ZERO,
            order: OrderId::ZERO,
            cl_ord_id,
        };
        self.say(take, TRADER, &cancel);
    }

    fn open_account(&mut self, number: u32, take: Take<'_>) {
        let is_taker = number > self.accounts;
        let open = OpenAccount {
            account: AccountId(number),
            owner: if is_taker { TAKER } else { TRADER },
            operated_by: TRADER,
            schedule: ScheduleId::ZERO,
            reserved: Reserved::ZERO,
        };
        self.say(take, OPERATOR, &open);
        let credit = CreditCash {
            account: AccountId(number),
            currency: CNY,
            reserved: Reserved::ZERO,
            amount: Amount(1_000_000_000),
            bank_ref: self.reference(),
            value_date: VALUE_DATE,
            reserved2: Reserved::ZERO,
        };
        self.say(take, BANK, &credit);
    }

    /// A series with its holders and its book.
    fn open_series(&mut self, number: u32, take: Take<'_>) {
        let (series, reserved) = (SeriesId(number), Reserved::ZERO);
        self.say(take, OPERATOR, &draft(number));
        let escrow = PostEscrow {
            series,
            reserved,
            amount: Amount(1_000_000),
            bank_ref: self.reference(),
            value_date: VALUE_DATE,
            reserved2: Reserved::ZERO,
        };
        self.say(take, BANK, &escrow);
        self.say(take, OPERATOR, &RegisterSeries { series, reserved });
        let phase = Phase::Continuous;
        let open = SetPhase {
            series,
            phase,
            reserved: Reserved::ZERO,
        };
        self.say(take, OPERATOR, &open);
        for nth in 0..HOLDERS {
            let issue = IssueUnits {
                series,
                account: self.holder(number, nth),
                qty: Qty(1_000),
                reserved,
            };
            self.say(take, OPERATOR, &issue);
        }
        for nth in 0..2 * ORDERS {
            let (account, id) = (self.holder(number, nth), self.next_id());
            let price = if nth < ORDERS { BIDS } else { ASKS } + nth;
            self.say(take, TRADER, &order((account, id), number, (price, 1 + nth)));
        }
    }

    fn holder(&self, series: u32, nth: u32) -> AccountId {
        AccountId(1 + (series * HOLDERS + nth) % self.accounts)
    }

    fn next_id(&mut self) -> ClOrdId {
        self.placed += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.placed.to_le_bytes());
        ClOrdId(id)
    }

    fn reference(&mut self) -> BankRef {
        self.refs += 1;
        BankRef::from_text(&format!("R{}", self.refs)).expect("short")
    }

    fn say<M: Message>(&mut self, take: Take<'_>, who: ParticipantId, body: &M) {
        let request = &mut self.requests[usize::try_from(who.0).expect("few")];
        *request += 1;
        let header = Header {
            session: session(who),
            req_seq: ReqSeq(*request),
            time: START,
            ..Header::default()
        };
        take(&CommandFrame::new(header, body));
    }
}

fn draft(number: u32) -> DraftSeries {
    DraftSeries {
        series: SeriesId(number),
        issuer: ISSUER,
        symbol: Symbol::from_text(&format!("S{number}")).expect("short"),
        currency: CNY,
        reserved: Reserved::ZERO,
        lot: Qty(1),
        tick: Price(1),
        face: Price(3_000),
        redeem_value: Price(1),
        issue_cap: Amount(1_000_000),
        valid_from: START,
        valid_to: Nanos::MAX,
        terms_hash: Hash([1; 32]),
    }
}

/// A buy below [`ASKS`], else a sell; a price above all of these buys, too.
fn order((account, cl_ord_id): (AccountId, ClOrdId), series: u32, (price, qty): (u32, u32)) -> PlaceOrder {
    let sells = (ASKS..ASKS + 2 * ORDERS).contains(&price);
    PlaceOrder {
        account,
        series: SeriesId(series),
        qty: Qty(qty),
        side: if sells { Side::Sell } else { Side::Buy },
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: Price(price.into()),
        expire_at: Nanos::ZERO,
        cl_ord_id,
        on_disconnect: OnDisconnect::Persist,
        reserved: Reserved::ZERO,
    }
}

fn session(participant: ParticipantId) -> SessionId {
    SessionId::of(participant, 0).expect("few")
}

fn house<M: Message>(take: Take<'_>, body: &M) {
    let header = Header {
        time: START,
        ..Header::default()
    };
    take(&CommandFrame::new(header, body));
}

/// Registers a participant with its key, and its session comes up.
fn welcome(take: Take<'_>, (participant, role): (ParticipantId, Role)) {
    let fingerprint = Hash([u8::try_from(participant.0).expect("few"); 32]);
    let reserved = Reserved::ZERO;
    let register = RegisterParticipant {
        participant,
        role,
        reserved,
        reference: Hash::ZERO,
    };
    house(take, &register);
    let key = SetKey {
        participant,
        purpose: KeyPurpose::Session,
        state: KeyState::Valid,
        reserved: Reserved::ZERO,
        fingerprint,
    };
    house(take, &key);
    let header = Header {
        session: session(participant),
        time: START,
        ..Header::default()
    };
    let up = SessionUp {
        connection: ConnectionId(1),
        fingerprint,
    };
    take(&CommandFrame::new(header, &up));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::staffed::Running;

    #[test]
    fn a_small_part_of_it_opens_and_trades_with_as_many_orders_resting() {
        let (mut venue, mut running, mut trades) = (LargeVenue::new(2_000), Running::new(), 0);
        let mut take = |frame: &CommandFrame| {
            let frame = frame.frame().expect("just written");
            for event in running.apply(&frame) {
                match event.event() {
                    Ok(Event::Rejected(rejected)) => panic!("{rejected}"),
                    Ok(Event::Traded(_)) => trades += 1,
                    Ok(_) | Err(_) => {}
                }
            }
        };
        venue.open(&mut take);
        (0..20_000).for_each(|_| venue.flow(&mut take));
        assert!((1_500..2_500).contains(&trades), "{trades}");
        let resting = running.exchange.open_orders();
        assert!(
            (venue.orders() - 1_000..=venue.orders() + 1_000).contains(&resting),
            "{resting}"
        );
        running.exchange.check();
    }
}
