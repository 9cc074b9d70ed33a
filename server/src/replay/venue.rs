//! What a replay needs of the exchange: a fresh series, covered and issued, and two funded accounts.

use super::desk::Desk;
use super::{Keyring, ReplayError, Stage, Tape};
use crate::clock::wall_now;
use crate::config::Participant;
use xq_client::ClientError;
use xq_client::market::{MarketConfig, MarketData, Update};
use xq_protocol::{
    AccountId, Amount, BankRef, Book, CreditCash, Currency, Date, DraftSeries, Hash, IssueUnits, Nanos,
    OpenAccount, ParticipantId, Phase, PostEscrow, Price, Qty, RegisterSeries, RejectReason, Reserved, Role,
    ScheduleId, SeriesId, SetPhase, Symbol, text::instant,
};

const DAY: u64 = 86_400_000_000_000;
/// The terms of what is replayed are nobody's: any hash will do.
const TERMS: Hash = Hash([b'x'; 32]);

/// Where a tape is played, and as whom.
pub struct Market {
    /// Series and accounts.
    pub stage: Stage,
    /// The session that acts for both accounts.
    pub client: xq_client::Config,
}

/// Who trades: the first speaks for both accounts and owns the buyer's, the second owns the seller's.
///
/// # Errors
/// [`ReplayError::Nobody`] when the configuration has fewer than two.
pub fn traders<'a>(keyring: &'a Keyring<'_>) -> Result<(&'a Participant, &'a Participant), ReplayError> {
    let trades = |guest: &&Participant| match guest.role() {
        Role::Trader | Role::MarketMaker | Role::Merchant => true,
        Role::House | Role::Issuer | Role::Bank | Role::Risk | Role::Operator | Role::Regulator => false,
    };
    let mut trading = keyring.config.participants.iter().filter(trades);
    let nobody = ReplayError::Nobody("fewer than two participants that trade, the first with a certificate");
    let speaker = trading.next().filter(|guest| !guest.certificates.is_empty());
    match (speaker, trading.next()) {
        (Some(speaker), Some(other)) => Ok((speaker, other)),
        (None, _) | (_, None) => Err(nobody),
    }
}

/// Sees that nothing rests in a series.
///
/// # Errors
/// Something does; or there is no market data to see it by.
pub async fn must_be_empty(
    keyring: &Keyring<'_>,
    client: &xq_client::Config,
    series: SeriesId,
) -> Result<(), ReplayError> {
    let nobody = "no `market_data.listen`, by which one could see that the series' book is empty";
    let addr = keyring.config.market_data().ok_or(ReplayError::Nobody(nobody))?;
    let config = MarketConfig::beside(client, addr);
    let lost = |error| ReplayError::Client {
        who: format!("market data at {addr}"),
        error,
    };
    let mut market = MarketData::connect(&config).await.map_err(lost)?;
    market.subscribe(series);
    while market.book(series).is_none() {
        if let Update::Refused { reason, .. } = market.next().await.map_err(lost)? {
            return Err(lost(ClientError::MarketRefused(reason)));
        }
    }
    let orders = market.book(series).map_or(0, Book::len);
    market.close().await;
    match orders {
        0 => Ok(()),
        orders => Err(ReplayError::NotEmpty { series, orders }),
    }
}

/// Opens a market for a tape: operator, bank and issuer do what they would for any series.
///
/// # Errors
/// Nobody to do it, a connection, or a refusal.
pub async fn open(keyring: &Keyring<'_>, tape: &Tape, name: &str) -> Result<Market, ReplayError> {
    let (speaker, other) = traders(keyring)?;
    let nobody = "fewer than two participants that trade, the first with a certificate";
    let client = keyring.client(speaker).ok_or(ReplayError::Nobody(nobody))?;
    let issuer = keyring
        .first(Role::Issuer)
        .ok_or(ReplayError::Nobody("no issuer"))?;
    let mut operator = Desk::open(keyring, Role::Operator, "no operator with a certificate").await?;
    let mut bank = Desk::open(keyring, Role::Bank, "no bank with a certificate").await?;
    let venue = SetPhase {
        series: SeriesId::ZERO,
        phase: Phase::Continuous,
        reserved: Reserved::ZERO,
    };
    operator.tell("opening the venue", &venue).await?;
    let (first, second) = (ParticipantId(speaker.number), ParticipantId(other.number));
    let buyer = account(&mut operator, (first, ParticipantId::ZERO), AccountId(1)).await?;
    let seller = account(&mut operator, (second, first), AccountId(buyer.0 + 1)).await?;
    let mut issue = Issue::of(tape, keyring, ParticipantId(issuer.number))?;
    issue.draft(&mut operator, name).await?;
    issue.cover_and_fund(&mut bank, buyer).await?;
    issue.issue(&mut operator, seller).await?;
    operator.close().await;
    bank.close().await;
    let series = issue.series;
    let stage = Stage {
        series,
        buyer,
        seller,
    };
    Ok(Market { stage, client })
}

/// Opens the first account from `from` on whose number is free.
async fn account(
    operator: &mut Desk,
    (owner, operated_by): (ParticipantId, ParticipantId),
    from: AccountId,
) -> Result<AccountId, ReplayError> {
    let mut account = from;
    loop {
        let open = OpenAccount {
            account,
            owner,
            operated_by,
            schedule: ScheduleId::ZERO,
            reserved: Reserved::ZERO,
        };
        match operator.ask(&open).await? {
            Ok(()) => return Ok(account),
            // What an account that is open already answers.
            Err(rejected) if RejectReason::from_code(rejected.code) == Some(RejectReason::NotAuthorised) => {
                account = AccountId(account.0 + 1);
            }
            Err(rejected) => {
                let (what, why) = (format!("opening account {account}"), rejected.to_string());
                return Err(ReplayError::Refused { what, why });
            }
        }
    }
}

/// A series for a tape, in the making.
struct Issue {
    series: SeriesId,
    symbol: Symbol,
    issuer: ParticipantId,
    currency: Currency,
    face: Price,
    units: Qty,
    money: Amount,
    today: Date,
    now: Nanos,
}

impl Issue {
    fn of(tape: &Tape, keyring: &Keyring<'_>, issuer: ParticipantId) -> Result<Issue, ReplayError> {
        let code = keyring
            .config
            .exchange
            .currencies
            .first()
            .map_or("", String::as_str);
        let too_many = || ReplayError::Refused {
            what: "issuing what the tape sells".to_owned(),
            why: format!("{} units are more than one command can issue", tape.units()),
        };
        let now = wall_now();
        Ok(Issue {
            series: SeriesId::ZERO,
            symbol: Symbol::default(),
            issuer,
            currency: Currency::from_code(code).unwrap_or_default(),
            face: tape.price_max(),
            units: Qty(u32::try_from(tape.units()).map_err(|_| too_many())?.max(1)),
            money: Amount(tape.money().max(1)),
            today: date(now),
            now,
        })
    }

    /// Drafts it under the first number that is free.
    async fn draft(&mut self, operator: &mut Desk, name: &str) -> Result<(), ReplayError> {
        for number in 1.. {
            self.series = SeriesId(number);
            self.symbol = Symbol::from_text(&format!("{name}-{number}")).unwrap_or_default();
            let draft = DraftSeries {
                series: self.series,
                issuer: self.issuer,
                symbol: self.symbol,
                currency: self.currency,
                reserved: Reserved::ZERO,
                lot: Qty(1),
                tick: Price(1),
                face: self.face,
                redeem_value: Price(1),
                issue_cap: self.units.into(),
                valid_from: self.now,
                valid_to: Nanos(self.now.0 + 365 * DAY),
                terms_hash: TERMS,
            };
            match operator.ask(&draft).await? {
                Ok(()) => break,
                // What a series that is drafted already answers.
                Err(rejected)
                    if RejectReason::from_code(rejected.code) == Some(RejectReason::SeriesState) => {}
                Err(rejected) => {
                    let (what, why) = (format!("drafting series {number}"), rejected.to_string());
                    return Err(ReplayError::Refused { what, why });
                }
            }
        }
        Ok(())
    }

    async fn cover_and_fund(&self, bank: &mut Desk, buyer: AccountId) -> Result<(), ReplayError> {
        let reference =
            |what: &str| BankRef::from_text(&format!("{}{what}", self.symbol)).unwrap_or_default();
        let escrow = PostEscrow {
            series: self.series,
            reserved: Reserved::ZERO,
            amount: Amount(self.units.0.into()),
            bank_ref: reference(".e"),
            value_date: self.today,
            reserved2: Reserved::ZERO,
        };
        bank.tell("posting escrow", &escrow).await?;
        let credit = CreditCash {
            account: buyer,
            currency: self.currency,
            reserved: Reserved::ZERO,
            // Fees, if there are any, come on top: a tenth is ten times what a schedule is likely to ask.
            amount: Amount(self.money.0.saturating_add(self.money.0 / 10)),
            bank_ref: reference(".c"),
            value_date: self.today,
            reserved2: Reserved::ZERO,
        };
        bank.tell("crediting the buyer", &credit).await
    }

    async fn issue(&self, operator: &mut Desk, seller: AccountId) -> Result<(), ReplayError> {
        let (series, reserved) = (self.series, Reserved::ZERO);
        operator
            .tell("registering the series", &RegisterSeries { series, reserved })
            .await?;
        let (account, qty) = (seller, self.units);
        operator
            .tell(
                "issuing units",
                &IssueUnits {
                    series,
                    account,
                    qty,
                    reserved,
                },
            )
            .await?;
        let (phase, reserved) = (Phase::Continuous, Reserved::ZERO);
        operator
            .tell(
                "opening the series",
                &SetPhase {
                    series,
                    phase,
                    reserved,
                },
            )
            .await
    }
}

/// The date of an instant, in UTC: its first ten characters without the dashes are the number.
fn date(at: Nanos) -> Date {
    let text = instant(at).to_string();
    let digits: String = text.chars().take(10).filter(char::is_ascii_digit).collect();
    Date(digits.parse().expect("an instant begins with a date"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_its_instant() {
        assert_eq!(date(Nanos(951_782_400_000_000_001)), Date(20_000_229));
    }
}
