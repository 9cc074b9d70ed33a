//! The machine over a real session: commands go out as they come, the reports come in, and the book is made of them.

use super::desk::reason;
use super::{Drive, Market, ReplayError, Row, Stage, Step, Tally, Tape};
use std::time::Duration;
use tokio::time::Instant;
use xq_client::market::BookChange;
use xq_client::{Client, Report, Reports, Sender};
use xq_protocol::{
    AccountId, Book, Event, Liquidity, MassCancel, ReqSeq, Reserved, RestingAdded, RestingDeleted,
    RestingExecuted, RestingReduced, SeriesId, Sides, TimeInForce,
};

/// Commands queued before the others' answers are looked at again.
const BATCH: usize = 64;

/// How fast a tape is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as the exchange answers.
    Fast,
    /// So many times as fast as it happened.
    Times(f64),
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The counts.
    pub tally: Tally,
    /// Best ask and bid, after each message that changed them and at each hidden execution.
    pub rows: Vec<Row>,
    /// How long it took.
    pub took: Duration,
}

/// Plays a tape; `progress` hears how many messages were played.
///
/// # Errors
/// A lost connection, a refusal, or a book that is not what the tape says: [`ReplayError`].
pub async fn play(
    market: &Market,
    tape: &Tape,
    pace: Pace,
    progress: &mut dyn FnMut(usize),
) -> Result<Outcome, ReplayError> {
    let who = format!("session {} at {}", market.client.session, market.client.addr);
    let lost = |error| ReplayError::Client {
        who: who.clone(),
        error,
    };
    let (sender, mut reports) = Client::connect(market.client.clone())
        .await
        .map_err(lost)?
        .split();
    let started = Instant::now();
    let mut player = Player {
        drive: Drive::new(tape.items(), market.stage),
        book: Book::default(),
        sender,
        held: None,
        first: None,
        lines: Vec::new(),
    };
    let clock = PlayClock::new(pace, started, tape);
    player
        .run(&mut reports, &clock, progress)
        .await
        .map_err(|error| error.of(&who))?;
    let took = started.elapsed();
    player.leave(&market.stage, &mut reports).await.map_err(lost)?;
    Ok(Outcome {
        tally: player.drive.tally(),
        rows: player.drive.rows().to_vec(),
        took,
    })
}

/// When what happened then is to happen now.
struct PlayClock {
    pace: Pace,
    started: Instant,
    first_ns: u64,
}

impl PlayClock {
    fn new(pace: Pace, started: Instant, tape: &Tape) -> PlayClock {
        let first_ns = tape.items().first().map_or(0, |item| item.time_ns);
        PlayClock {
            pace,
            started,
            first_ns,
        }
    }

    /// None when it may happen at once.
    fn due(&self, at_ns: u64) -> Option<Instant> {
        match self.pace {
            Pace::Fast => None,
            Pace::Times(speed) => {
                let since = Duration::from_nanos(at_ns.saturating_sub(self.first_ns));
                let due = self.started + since.div_f64(speed);
                (due > Instant::now()).then_some(due)
            }
        }
    }
}

/// Why playing stopped, before it is known whose session it was.
enum Fault {
    Lost(xq_client::ClientError),
    Other(ReplayError),
}

impl Fault {
    fn of(self, who: &str) -> ReplayError {
        match self {
            Fault::Lost(error) => ReplayError::Client {
                who: who.to_owned(),
                error,
            },
            Fault::Other(error) => error,
        }
    }
}

impl From<xq_client::ClientError> for Fault {
    fn from(error: xq_client::ClientError) -> Fault {
        Fault::Lost(error)
    }
}

impl From<super::DriveError> for Fault {
    fn from(error: super::DriveError) -> Fault {
        Fault::Other(error.into())
    }
}

/// What keeps the next command from being sent.
#[derive(Clone, Copy, PartialEq)]
enum Ready {
    /// Nothing.
    Now,
    /// It is not time yet.
    At(Instant),
    /// The book, or an answer, must come first.
    AfterNews,
    /// There is none.
    Done,
}

struct Player<'a> {
    drive: Drive<'a>,
    /// The series' book: all its orders are this session's.
    book: Book,
    sender: Sender,
    /// A command that found no room among the unanswered ones.
    held: Option<Step>,
    /// Number of the first request; the others follow it.
    first: Option<ReqSeq>,
    /// Line of each request.
    lines: Vec<usize>,
}

impl Player<'_> {
    async fn run(
        &mut self,
        reports: &mut Reports,
        clock: &PlayClock,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(), Fault> {
        let mut ready = Ready::Now;
        while ready != Ready::Done {
            let wait = match ready {
                Ready::At(due) => due,
                Ready::Now | Ready::AfterNews | Ready::Done => Instant::now(),
            };
            // News first: what is known of the book is as fresh as can be when the next command is chosen.
            tokio::select! {
                biased;
                heard = reports.next_batch() => {
                    self.hear(heard?)?;
                    ready = if ready == Ready::AfterNews { Ready::Now } else { ready };
                }
                () = tokio::time::sleep_until(wait), if matches!(ready, Ready::At(_)) => ready = Ready::Now,
                () = std::future::ready(()), if ready == Ready::Now => {
                    ready = self.send(clock)?;
                    progress(self.drive.tally().messages);
                }
            }
        }
        Ok(())
    }

    /// Sends what can be sent.
    fn send(&mut self, clock: &PlayClock) -> Result<Ready, Fault> {
        let mut ready = Ready::Now;
        for _ in 0..BATCH {
            if let Some(due) = self
                .drive
                .due_ns()
                .filter(|_| self.held.is_none())
                .and_then(|at| clock.due(at))
            {
                ready = Ready::At(due);
                break;
            }
            let step = match self.held.take() {
                Some(step) => step,
                None => self.drive.next(&self.book)?,
            };
            let queued = match &step {
                Step::Place(order) => self.sender.queue(order)?,
                Step::Cancel(cancel) => self.sender.queue(cancel)?,
                Step::Wait => {
                    ready = Ready::AfterNews;
                    break;
                }
                Step::Done => return Ok(Ready::Done),
            };
            let Some(number) = queued else {
                self.held = Some(step);
                ready = Ready::AfterNews;
                break;
            };
            self.first.get_or_insert(number);
            self.lines.push(self.drive.line());
        }
        self.sender.flush();
        Ok(ready)
    }

    fn hear(&mut self, reports: Vec<Report>) -> Result<(), Fault> {
        for report in reports {
            let number = report.req_seq();
            let why = match report {
                // What happened meanwhile would be told again; but nobody knows when the tape was to go on.
                Report::Down(error) => return Err(Fault::Lost(error)),
                Report::Event { frame, .. } => match frame.event() {
                    Ok(Event::Rejected(rejected)) => rejected.to_string(),
                    Ok(event) => {
                        self.follow(&event)?;
                        continue;
                    }
                    Err(_) => continue,
                },
                Report::Refused(refused) => reason(refused.code),
                Report::Up(_) | Report::Missed { .. } => continue,
            };
            let line = self.line_of(number);
            return Err(Fault::Other(ReplayError::LineRefused { line, why }));
        }
        Ok(())
    }

    /// Makes the change of the book that an event is, if it is one.
    fn follow(&mut self, event: &Event<'_>) -> Result<(), Fault> {
        let Some(change) = change_of(event, &self.book) else {
            return Ok(());
        };
        if change.apply(&mut self.book).is_err() {
            let change = format!("{change:?}");
            return Err(super::DriveError::Stranger { change }.into());
        }
        Ok(self.drive.changed(&change, &self.book)?)
    }

    fn line_of(&self, number: ReqSeq) -> usize {
        let since = self.first.and_then(|first| number.0.checked_sub(first.0));
        let place = since.and_then(|since| usize::try_from(since).ok());
        place
            .and_then(|place| self.lines.get(place))
            .copied()
            .unwrap_or(0)
    }

    /// Takes what still rests off the book, and ends the session.
    async fn leave(&self, stage: &Stage, reports: &mut Reports) -> Result<(), xq_client::ClientError> {
        for account in [stage.buyer, stage.seller] {
            self.sender.send(&all_of(account, stage.series)).await?;
        }
        while self.sender.unanswered() > 0 {
            reports.next_batch().await?;
        }
        self.sender.close();
        Ok(())
    }
}

fn all_of(account: AccountId, series: SeriesId) -> MassCancel {
    MassCancel {
        account,
        series,
        sides: Sides::Both,
        reserved: Reserved::ZERO,
    }
}

/// What an event changes in a book all of whose orders are this session's.
fn change_of(event: &Event<'_>, book: &Book) -> Option<BookChange> {
    match event {
        // The tape's own orders come to rest whole; others are immediate or cancelled.
        Event::OrderAccepted(e) if e.tif == TimeInForce::Gtc => Some(BookChange::Added(RestingAdded {
            order: e.order,
            price: e.limit,
            qty: e.qty,
            side: e.side,
            reserved: Reserved::ZERO,
        })),
        Event::Executed(e) if e.liquidity == Liquidity::Maker => {
            Some(BookChange::Executed(RestingExecuted {
                order: e.order,
                price: e.price,
                qty: e.qty,
                leaves: e.leaves,
            }))
        }
        Event::OrderReduced(e) => Some(BookChange::Reduced(RestingReduced {
            order: e.order,
            leaves: e.leaves,
            reserved: Reserved::ZERO,
        })),
        Event::OrderCanceled(e) if book.order(e.order).is_some() => {
            Some(BookChange::Deleted(RestingDeleted { order: e.order }))
        }
        // Nothing else changes a book.
        _ => None,
    }
}
