//! The market that the load meets: accounts with money and coupons, opened once, before anything dies.

use super::{GUESTS, TRADERS, cycle};
use crate::exchange::Trial;
use anyhow::{Context, bail, ensure};
use xq_client::{Client, Report};
use xq_protocol::{
    AccountId, Amount, BankRef, CreditCash, Currency, Date, DraftSeries, Event, Hash, IssueUnits, Message,
    Nanos, OpenAccount, ParticipantId, Phase, PostEscrow, Price, Qty, RegisterSeries, Reserved, ScheduleId,
    SeriesId, SetPhase, Symbol,
};

/// The one series.
pub const SERIES: SeriesId = SeriesId(1);
const CNY: Currency = Currency(156);
/// Coupons of each trader: more than they can sell each other.
const UNITS: Qty = Qty(100_000_000);
const TODAY: Date = Date(20_260_102);
const MONEY: Amount = Amount(1_000_000_000_000);

/// The account of a trader: it has its number.
pub fn account(trader: usize) -> AccountId {
    AccountId(TRADERS[trader].number)
}

/// Opens it, and stops the exchange cleanly.
pub fn open(trial: &Trial) -> anyhow::Result<()> {
    let running = cycle::start(trial)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(staff(trial)).context("opening the market")?;
    running.terminate()
}

async fn staff(trial: &Trial) -> anyhow::Result<()> {
    let mut operator = Client::connect(trial.client(&GUESTS[0], 0))
        .await
        .context("the operator's session")?;
    let mut bank = Client::connect(trial.client(&GUESTS[1], 0))
        .await
        .context("the bank's session")?;
    let traders = TRADERS.len() as u64;
    for (trader, guest) in TRADERS.iter().enumerate() {
        let open = OpenAccount {
            account: account(trader),
            owner: ParticipantId(guest.number),
            operated_by: ParticipantId::ZERO,
            schedule: ScheduleId::ZERO,
            reserved: Reserved::ZERO,
        };
        tell(&mut operator, &open).await?;
        let credit = CreditCash {
            account: account(trader),
            currency: CNY,
            reserved: Reserved::ZERO,
            amount: MONEY,
            bank_ref: reference(&format!("credit-{trader}")),
            value_date: TODAY,
            reserved2: Reserved::ZERO,
        };
        tell(&mut bank, &credit).await?;
    }
    tell(&mut operator, &draft()).await?;
    let escrow = PostEscrow {
        series: SERIES,
        reserved: Reserved::ZERO,
        amount: Amount(u64::from(UNITS.0) * traders),
        bank_ref: reference("escrow"),
        value_date: TODAY,
        reserved2: Reserved::ZERO,
    };
    tell(&mut bank, &escrow).await?;
    tell(
        &mut operator,
        &RegisterSeries {
            series: SERIES,
            reserved: Reserved::ZERO,
        },
    )
    .await?;
    for trader in 0..TRADERS.len() {
        let issue = IssueUnits {
            series: SERIES,
            account: account(trader),
            qty: UNITS,
            reserved: Reserved::ZERO,
        };
        tell(&mut operator, &issue).await?;
    }
    for series in [SeriesId::ZERO, SERIES] {
        tell(
            &mut operator,
            &SetPhase {
                series,
                phase: Phase::Continuous,
                reserved: Reserved::ZERO,
            },
        )
        .await?;
    }
    operator.close().await;
    bank.close().await;
    Ok(())
}

fn draft() -> DraftSeries {
    DraftSeries {
        series: SERIES,
        issuer: ParticipantId(GUESTS[2].number),
        symbol: Symbol::from_text("CRASH").unwrap_or_default(),
        currency: CNY,
        reserved: Reserved::ZERO,
        lot: Qty(1),
        tick: Price(1),
        face: Price(100_000),
        redeem_value: Price(1),
        issue_cap: Amount(u64::from(u32::MAX)),
        valid_from: Nanos(1),
        valid_to: Nanos(u64::MAX / 2),
        terms_hash: Hash([1; 32]),
    }
}

fn reference(text: &str) -> BankRef {
    BankRef::from_text(text).unwrap_or_default()
}

/// Sends a command and waits for its answer, which must be no refusal.
async fn tell<M: Message>(client: &mut Client, command: &M) -> anyhow::Result<()> {
    let number = client.send(command).await?;
    loop {
        let report = client.next_event().await?;
        match &report {
            Report::Down(error) => bail!("{}: {error}", M::NAME),
            Report::Refused(refused) => bail!("{} was refused at the door: {refused:?}", M::NAME),
            Report::Up(_) | Report::Missed { .. } => {}
            Report::Event { frame, .. } if frame.header().req_seq == number => {
                let rejected = matches!(report.event(), Some(Event::Rejected(_)));
                ensure!(!rejected, "{} was rejected: {:?}", M::NAME, report.event());
                if frame.header().is_last() {
                    return Ok(());
                }
            }
            Report::Event { .. } => {}
        }
    }
}
