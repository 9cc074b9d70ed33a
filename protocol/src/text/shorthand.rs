//! Shorthands of scenarios: lines that stand for several commands, the last of which is the one meant.

use super::values::{decimal, read_decimal, read_number};
use super::words::Words;
use super::{Names, TextError};
use crate::{Currency, Role};

/// What every scenario begins with: a venue, those who run it, and their sessions. The clock shows 09:00 in Shanghai.
pub(super) const PROLOGUE: &[&str] = &[
    "at 2026-01-02T01:00:00.000000000Z",
    "genesis journal=5851000000000000000000000000002a rules=2 participants=64 accounts=64 series=16 balances=512 \
     orders=4096 sessions=64 level-pages=256 proposals=16 bank-refs=1024 proposal-ttl=3600s reopen-after=10s \
     disconnect-grace=10s currencies=CNY,USD,JPY",
    "participant operator operator by house",
    "key operator by house",
    "session operator up",
    "participant operator2 operator by house",
    "key operator2 by house",
    "session operator2 up",
    "participant bank bank",
    "key bank",
    "session bank up",
    "participant risk risk by house",
    "key risk by house",
    "session risk up",
    "participant regulator regulator by house",
    "key regulator by house",
    "session regulator up",
    "phase venue continuous",
    "roll-day 2026-01-02",
];

/// The terms of every series that `issue` drafts: any hash will do.
const TERMS: &str = "7465726d7365726d7365726d7365726d7365726d7365726d7365726d7365726d";

/// The commands that a line stands for; the line itself when it is no shorthand.
pub(super) fn expand(line: &str, names: &Names) -> Result<Vec<String>, TextError> {
    let mut words = Words::split(line);
    match words.peek().map(|word| word.text) {
        Some("issue") => issue(words, names),
        Some("join") => {
            words.take("join")?;
            let name = words.take("a participant's name")?.text;
            let role = words.take("its role")?;
            let role = role.expect(Role::from_text(role.text), "a role")?;
            words.finish()?;
            Ok(join(name, role))
        }
        Some("deposit") => {
            words.take("deposit")?;
            let name = words.take("an account")?.text;
            let mut lines = match (
                name.starts_with('#'),
                names.account_id(name),
                names.participant_id(name),
            ) {
                (true, _, _) | (false, Some(_), _) => Vec::new(),
                (false, None, Some(_)) => vec![format!("account {name}")],
                (false, None, None) => join(name, Role::Trader),
            };
            lines.push(line.to_owned());
            Ok(lines)
        }
        Some(_) | None => Ok(vec![line.to_owned()]),
    }
}

/// A participant with a key and a session that is up, and an account where its role trades.
fn join(name: &str, role: Role) -> Vec<String> {
    let mut lines = vec![
        format!("participant {name} {role}"),
        format!("key {name}"),
        format!("session {name} up"),
    ];
    match role {
        Role::Trader | Role::MarketMaker | Role::Issuer | Role::Merchant => {
            lines.push(format!("account {name}"))
        }
        Role::House | Role::Bank | Role::Risk | Role::Operator | Role::Regulator => {}
    }
    lines
}

/// `issue COFFEE acme 30.00 100 [USD] [draft's options]`: face and redeem value 30.00, 100 coupons to acme, market open.
fn issue(mut words: Words<'_>, names: &Names) -> Result<Vec<String>, TextError> {
    words.take("issue")?;
    let symbol = words.take("a symbol")?.text;
    let issuer = words.take("an issuer")?.text;
    let face = words.take("a face value")?;
    let units = words.take("how many coupons")?;
    let currency = match words.peek().filter(|word| !word.text.contains('=')) {
        Some(_) => words
            .take("a currency")
            .and_then(|w| w.expect(Currency::from_code(w.text), "a currency"))?,
        None => face.expect(names.home(), "a genesis with a currency before")?,
    };
    let redeem = words.option("redeem").unwrap_or(face);
    let redeem_value = redeem.expect(
        read_decimal(redeem.text, Some(currency)),
        "an amount with all its decimals",
    )?;
    let qty: u64 = units.expect(read_number(units.text), "how many coupons")?;
    let escrow = face.expect(
        redeem_value.checked_mul(qty),
        "a value that the escrow can hold that often",
    )?;

    let mut lines = match (names.participant_id(issuer), names.account_id(issuer)) {
        (None, _) => join(issuer, Role::Issuer),
        (Some(_), None) => vec![format!("account {issuer}")],
        (Some(_), Some(_)) => Vec::new(),
    };
    let code = currency.code().unwrap_or_default();
    let (face, redeem, tick) = (face.text, redeem.text, decimal(1, Some(currency)));
    let draft = format!(
        "draft {symbol} {issuer} {code} face={face} redeem={redeem} tick={tick} lot=1 cap=1000000 from=+0s to=+365d \
         terms={TERMS}"
    );
    lines.push(overridden(&draft, &words.rest()));
    lines.push(format!("escrow {symbol} {}", decimal(escrow, Some(currency))));
    lines.push(format!("register {symbol}"));
    lines.push(format!("issue-units {symbol} {issuer} {qty}"));
    lines.push(format!("phase {symbol} continuous"));
    Ok(lines)
}

/// A line with its `key=value` words replaced by others of the same key; the others come last.
pub(super) fn overridden(line: &str, others: &[&str]) -> String {
    let key = |word: &str| word.split_once('=').map(|(key, _)| key.to_owned());
    let replaced =
        |word: &&str| key(word).is_some_and(|k| others.iter().any(|o| key(o).as_ref() == Some(&k)));
    let kept = line.split_whitespace().filter(|word| !replaced(word));
    let words: Vec<&str> = kept.chain(others.iter().copied()).collect();
    words.join(" ")
}
