//! The executable specification: every scenario through the engine, its replay, and restarts after every line
//! from its journal and from snapshots.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use support::doors::{Engine, FromSnapshot, Restarting};
use xq_protocol::text::{Door, Failure, Scenario, outcomes, run};
use xq_protocol::*;

/// Every scenario file, in order.
fn corpus() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder of scenarios") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "scn") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 10, "there are scenarios");
    files
}

fn read(path: &Path) -> Scenario {
    let text = fs::read_to_string(path).expect("a scenario is text");
    let shown = path.components().rev().take(2).collect::<Vec<_>>();
    let shown: PathBuf = shown.into_iter().rev().collect();
    Scenario::parse(&shown.display().to_string(), &text).unwrap_or_else(|error| panic!("{shown:?}: {error}"))
}

fn is_blessing() -> bool {
    std::env::var_os("XQ_BLESS").is_some_and(|value| value == "1")
}

/// Writes what happened into the file.
fn bless(path: &Path, scenario: &Scenario) -> Result<(), Failure> {
    let blessed = scenario.blessed(&outcomes(scenario, &mut Engine::default())?);
    if blessed != fs::read_to_string(path).expect("a scenario is text") {
        fs::write(path, blessed).expect("a scenario can be written");
    }
    Ok(())
}

/// Does this with every scenario; all failures are told together, and a panic names its scenario.
fn each(mut play: impl FnMut(&Path, &Scenario) -> Result<(), Failure>) {
    let mut failures = Vec::new();
    for path in corpus() {
        let scenario = read(&path);
        match catch_unwind(AssertUnwindSafe(|| play(&path, &scenario))) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => failures.push(failure.to_string()),
            Err(_) => failures.push(format!("{}: panicked, see above", scenario.file)),
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn through_the_engine_and_its_replay() {
    if is_blessing() {
        each(bless);
    }
    each(|_, scenario| {
        let mut engine = Engine::default();
        run(scenario, &mut engine)?;
        let again = Engine::replayed(&engine.commands);
        assert!(
            again.told == engine.told,
            "{}: the replay tells otherwise",
            scenario.file
        );
        again.check();
        Ok(())
    });
}

#[test]
fn through_restarts_after_every_line() {
    if !is_blessing() {
        each(|_, scenario| run(scenario, &mut Restarting::default()));
    }
}

#[test]
fn through_restarts_from_snapshots() {
    if !is_blessing() {
        each(|_, scenario| run(scenario, &mut FromSnapshot::default()));
    }
}

/// The engine, and all events that followed.
#[derive(Default)]
struct Listening {
    engine: Engine,
    told: Vec<EventFrame>,
}

impl Door for Listening {
    fn submit(&mut self, _speaker: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        let events = self.engine.apply(command).to_vec();
        self.told.extend_from_slice(&events);
        events
    }
}

/// What befalls an order is told as its own session's, whoever traded: nobody else learns of it. Under the first rules it
/// was not so.
#[test]
fn what_befalls_an_order_is_its_own_sessions() {
    let (mut own, mut others) = ([0, 0], [0, 0]);
    each(|_, scenario| {
        let mut door = Listening::default();
        run(scenario, &mut door)?;
        let (mut rules, mut sessions) = (Count::ZERO, BTreeMap::new());
        for event in &door.told {
            let teller = event.header().session;
            let session = match event.event().expect("an event") {
                Event::ExchangeOpened(e) => {
                    rules = e.rules_version;
                    continue;
                }
                Event::RulesSet(e) => {
                    rules = e.version;
                    continue;
                }
                Event::OrderAccepted(e) => {
                    sessions.insert(e.order, teller);
                    continue;
                }
                Event::Traded(e) => match sessions.get(&e.taker_order) {
                    Some(session) => *session,
                    None => continue,
                },
                Event::StopTriggered(e) => e.session,
                Event::OrderRefreshed(e) => e.session,
                Event::MmpTripped(e) => e.session,
                Event::OrderCanceled(e) if e.reason == CancelReason::Expired && !teller.is_zero() => {
                    e.session
                }
                _ => continue,
            };
            let version = usize::from(rules >= Count(2));
            match teller == session {
                true => own[version] += 1,
                false => others[version] += 1,
            }
        }
        Ok(())
    });
    assert!(own[1] > 100 && others[1] == 0, "{own:?} {others:?}");
    assert!(others[0] > 0, "the first rules are played, too");
}

#[test]
fn a_scenario_says_its_rule_in_a_sentence() {
    for path in corpus() {
        let scenario = read(&path);
        assert!(
            scenario.rule.ends_with('.'),
            "{}: {}",
            scenario.file,
            scenario.rule
        );
        assert!(
            scenario.steps.iter().any(|step| step.is_compared()),
            "{}",
            scenario.file
        );
    }
}

/// What the corpus brings about.
#[derive(Default)]
struct Seen {
    accepted: BTreeSet<u16>,
    refused: BTreeSet<u16>,
    events: BTreeSet<u16>,
    reasons: BTreeSet<RejectReason>,
    cancels: BTreeSet<String>,
    orders: BTreeSet<String>,
}

/// The engine, and what went through it.
#[derive(Default)]
struct Watched {
    engine: Engine,
    seen: Seen,
    venue: Option<Phase>,
    series: BTreeMap<SeriesId, Phase>,
}

impl Watched {
    fn watch(&mut self, command: &CommandFrame, events: &[EventFrame]) {
        let template = command.header().template_id;
        let mut refused = false;
        for event in events {
            self.seen.events.insert(event.header().template_id);
            match event.event().expect("an event") {
                Event::Rejected(e) => {
                    refused = true;
                    self.seen
                        .reasons
                        .insert(RejectReason::from_code(e.code).expect("a reason"));
                }
                Event::OrderCanceled(e) => {
                    self.seen.cancels.insert(e.reason.to_string());
                }
                Event::PhaseSet(e) if e.series.is_zero() => self.venue = Some(e.phase),
                Event::PhaseSet(e) => {
                    self.series.insert(e.series, e.phase);
                }
                _ => {}
            }
        }
        match refused {
            true => self.seen.refused.insert(template),
            false => self.seen.accepted.insert(template),
        };
        let order = match command.frame().expect("a frame").command() {
            Ok(Command::PlaceOrder(c)) => Some((c.series, c.order_type, c.tif, c.execution)),
            Ok(Command::PlaceExtendedOrder(c)) => Some((c.series, c.order_type, c.tif, c.execution)),
            _ => None,
        };
        if let Some((series, kind, tif, execution)) = order {
            let venue = self.venue.unwrap_or(Phase::Continuous);
            let series = self.series.get(&series).copied().unwrap_or(Phase::Closed);
            let phase = match venue {
                Phase::Continuous => format!("series {series}"),
                Phase::Closed | Phase::Halt => format!("venue {venue}"),
            };
            self.seen
                .orders
                .insert(format!("{kind} {tif} {execution}, {phase}"));
        }
    }
}

impl Door for Watched {
    fn submit(&mut self, _speaker: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        let events = self.engine.apply(command).to_vec();
        self.watch(command, &events);
        events
    }
}

/// Everything that any scenario brings about.
fn all_seen() -> Seen {
    let mut seen = Seen::default();
    for path in corpus() {
        let scenario = read(&path);
        let mut door = Watched {
            seen,
            ..Watched::default()
        };
        // A scenario that fails is told by the other tests.
        catch_unwind(AssertUnwindSafe(|| run(&scenario, &mut door).ok())).ok();
        seen = door.seen;
    }
    seen
}

/// Reasons without a scenario, and why.
const WITHOUT_SCENARIO: &[(&[u16], &str)] = &[
    (
        &[101, 105, 107, 110, 111, 112, 114],
        "refused at the door, before the engine",
    ),
    (
        &[106, 108],
        "said in bytes that the notation cannot write: tests/total.rs",
    ),
    (&[113], "of a command that cannot be applied: tests/set_aside.rs"),
    (
        &[203, 204, 206, 211],
        "participants are not suspended, graded or closed yet",
    ),
    (
        &[315, 316, 317],
        "no holding period, cap on holders or other way to match yet",
    ),
    (
        &[407],
        "of a quote's side only, which says so in an event of its own: quote-refused.scn",
    ),
    (&[507, 508, 509, 511], "no caps, T+1 or adjustments yet"),
    (
        &[603, 607, 608, 609, 610, 611, 612],
        "coverage is whole; no offerings yet",
    ),
    (
        &[701, 702, 703, 704, 705, 706, 707, 708, 709, 711, 712],
        "no redemption yet",
    ),
    (&[802, 803, 804], "no payouts yet"),
    (&[903, 904], "no review yet"),
];

#[test]
fn every_reason_has_a_scenario_or_a_reason_for_none() {
    let seen = all_seen().reasons;
    for reason in RejectReason::ALL {
        let excused = WITHOUT_SCENARIO
            .iter()
            .find(|(codes, _)| codes.contains(&reason.code().0));
        match (excused, seen.contains(reason)) {
            (Some((_, why)), true) => panic!("{reason} has a scenario, although: {why}"),
            (None, false) => panic!("{reason} has no scenario"),
            (Some(_), false) | (None, true) => {}
        }
    }
}

#[test]
fn every_command_event_and_cause_of_a_cancel_has_a_scenario() {
    let seen = all_seen();
    for (template, name, ..) in COMMANDS {
        assert!(seen.accepted.contains(template), "{name} is never accepted");
        // A tick and a restart of the house are never refused, a mass cancel of nothing neither.
        assert!(
            seen.refused.contains(template) || [Tick::TEMPLATE, AllSessionsDown::TEMPLATE].contains(template),
            "{name} is never refused"
        );
    }
    for (template, name, ..) in EVENTS {
        // What only one side is told, doors make of `Traded` and `TradeBusted`.
        assert!(
            seen.events.contains(template)
                || [Executed::TEMPLATE, ExecutionBusted::TEMPLATE].contains(template),
            "{name} never happens"
        );
    }
    for reason in CancelReason::ALL {
        // The fill limit takes 8,192 orders: tests/bounds.rs.
        let is_elsewhere = *reason == CancelReason::FillLimit;
        assert!(
            seen.cancels.contains(reason.text()) || is_elsewhere,
            "no order is cancelled for {reason}"
        );
    }
}

#[test]
fn every_kind_of_order_meets_every_phase() {
    let seen = all_seen().orders;
    let phases = [
        "series closed",
        "series continuous",
        "series halt",
        "venue closed",
        "venue halt",
    ];
    for kind in OrderType::ALL {
        for tif in TimeInForce::ALL {
            for execution in Execution::ALL {
                for phase in phases {
                    let wanted = format!("{kind} {tif} {execution}, {phase}");
                    assert!(seen.contains(&wanted), "no scenario has: {wanted}");
                }
            }
        }
    }
}
