//! Parsing of a command's line: what all commands share, and which verb is which command.

use super::names::is_name;
use super::values::{
    date_of, is_word, read_date, read_decimal, read_duration, read_hex, read_instant, read_label, read_number,
};
use super::words::{Word, Words};
use super::{Names, TextError};
use crate::*;
use std::str::FromStr;

/// A command as its line says it.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The command. Its header holds a time where the line gives one (`tick +1s`, `at …`), a request number where the
    /// line gives one (`req=5`), and the session for the commands that are about one; all else is zero.
    pub frame: CommandFrame,
    /// Who speaks; none when the line does not say and the names do not tell.
    pub speaker: Option<SessionId>,
    /// The label the line gives it: an order's is its client order id too.
    pub label: Option<String>,
}

const VERBS: &str = "a command: buy sell cancel reduce replace mass-cancel quote protection \
    reset-protection dynamic-collar exposure query-limits bust gift deposit escrow draft register \
    issue-units phase instrument participant account limits fees key revoke-key approve kill release freeze unfreeze \
    rules tick at roll-day session restart genesis set-config";

/// Parses one line. A name that the line introduces (`participant`, `account`, `draft`) is known from then on.
///
/// # Errors
/// [`TextError`] names the column, what stands there and what was expected; the line is 1.
pub fn parse_command(line: &str, names: &mut Names) -> Result<Parsed, TextError> {
    let mut words = Words::split(line);
    let label = words.pair("as", |_| true)?;
    let speaker = words.pair("by", |text| !text.starts_with(|c: char| c.is_ascii_digit()))?;
    let req_seq = words.option("req");
    let mut line = Line {
        words,
        names,
        label,
        speaker: None,
    };
    line.speaker = speaker.map(|word| line.session_of(word)).transpose()?;
    if let Some(word) = label {
        word.expect(
            read_label(word.text),
            "a label: letters, digits, `-`, `_`, `.`, at most 16",
        )?;
    }
    let mut frame = line.command()?;
    if let Some(word) = req_seq {
        frame.header_mut().req_seq = ReqSeq(word.expect(read_number(word.text), "a request number")?);
    }
    let Line {
        words,
        names,
        label,
        speaker,
    } = line;
    words.finish()?;
    let view = frame.frame().expect("a frame was written");
    let command = view.command().expect("a command was written");
    let speaker = speaker.or_else(|| names.default_speaker(view.header, &command));
    Ok(Parsed {
        frame,
        speaker,
        label: label.map(|word| word.text.to_owned()),
    })
}

pub(super) type Built = Result<CommandFrame, TextError>;

/// A line being parsed.
pub(super) struct Line<'a, 'n> {
    pub words: Words<'a>,
    pub names: &'n mut Names,
    pub label: Option<Word<'a>>,
    pub speaker: Option<SessionId>,
}

/// A frame of this command, its header still empty.
pub(super) fn built<M: Message>(body: &M) -> Built {
    Ok(CommandFrame::new(Header::default(), body))
}

impl<'a> Line<'a, '_> {
    fn command(&mut self) -> Built {
        let verb = self.words.take(VERBS)?;
        match verb.text {
            "buy" => self.place_order(Side::Buy),
            "sell" => self.place_order(Side::Sell),
            "cancel" => self.cancel_order(),
            "reduce" => self.reduce_order(),
            "replace" => self.replace_order(),
            "mass-cancel" => self.mass_cancel(),
            "quote" => self.mass_quote(),
            "protection" => self.set_mmp(),
            "reset-protection" => self.reset_mmp(),
            "dynamic-collar" => self.set_dynamic_collar(),
            "exposure" => self.set_exposure_limits(),
            "query-limits" => self.query_limits(),
            "bust" => self.bust_trade(),
            "gift" => self.transfer_units(),
            "deposit" => self.credit_cash(),
            "escrow" => self.post_escrow(),
            "draft" => self.draft_series(),
            "register" => self.register_series(),
            "issue-units" => self.issue_units(),
            "phase" => self.set_phase(),
            "instrument" => self.set_instrument(),
            "participant" => self.register_participant(),
            "account" => self.open_account(),
            "limits" => self.set_risk_limits(),
            "fees" => self.set_fee_schedule(),
            "key" => self.set_key(KeyState::Valid),
            "revoke-key" => self.set_key(KeyState::Revoked),
            "approve" => self.approve(),
            "kill" => self.kill_switch(SwitchState::Engaged),
            "release" => self.kill_switch(SwitchState::Released),
            "freeze" => self.set_freeze(FreezeAction::Place),
            "unfreeze" => self.set_freeze(FreezeAction::Lift),
            "tick" => self.tick(),
            "at" => self.tick_at(),
            "roll-day" => self.roll_day(),
            "session" => self.session(),
            "restart" => built(&AllSessionsDown {}),
            "rules" => self.set_rules(),
            "genesis" => self.genesis(),
            "set-config" => self.set_config(),
            _ => Err(verb.error(VERBS)),
        }
    }

    /// A thing by its name or `#number`.
    fn found(&self, word: Word<'_>, id: Option<u32>, what: &str) -> Result<u32, TextError> {
        match word.text.strip_prefix('#') {
            Some(digits) => word.expect(read_number(digits), &format!("{what}: a number after `#`")),
            None => word.expect(id, &format!("{what}: a known name, or `#` and its number")),
        }
    }
    pub fn account_of(&self, word: Word<'_>) -> Result<AccountId, TextError> {
        let id = self.names.account_id(word.text).map(AccountId::get);
        self.found(word, id, "an account").map(AccountId)
    }
    pub fn participant_of(&self, word: Word<'_>) -> Result<ParticipantId, TextError> {
        let id = self.names.participant_id(word.text).map(ParticipantId::get);
        self.found(word, id, "a participant").map(ParticipantId)
    }
    pub fn series_of(&self, word: Word<'_>) -> Result<SeriesId, TextError> {
        let id = self.names.series_id(word.text).map(SeriesId::get);
        self.found(word, id, "a series").map(SeriesId)
    }
    /// `alice`, `alice/3`, `#12/3`, `house`.
    pub fn session_of(&self, word: Word<'_>) -> Result<SessionId, TextError> {
        if word.text == "house" {
            return Ok(SessionId::HOUSE);
        }
        let (name, slot) = word.text.split_once('/').unwrap_or((word.text, "0"));
        let participant = self.participant_of(Word { text: name, ..word })?;
        let session = read_number(slot).and_then(|slot| SessionId::of(participant, slot));
        word.expect(
            session,
            "a session: a participant, and `/` and 0 to 15 when it is not its first",
        )
    }
    pub fn account(&mut self) -> Result<AccountId, TextError> {
        let word = self.words.take("an account")?;
        self.account_of(word)
    }
    pub fn participant(&mut self) -> Result<ParticipantId, TextError> {
        let word = self.words.take("a participant")?;
        self.participant_of(word)
    }
    pub fn series(&mut self) -> Result<SeriesId, TextError> {
        let word = self.words.take("a series")?;
        self.series_of(word)
    }
    pub fn qty(&mut self) -> Result<Qty, TextError> {
        let expected = "a quantity: a whole number up to 4294967295";
        let word = self.words.take(expected)?;
        word.expect(read_number(word.text), expected).map(Qty)
    }
    /// An amount of money that must stand next.
    pub fn money(&mut self, currency: Option<Currency>) -> Result<u64, TextError> {
        let word = self.words.take("an amount")?;
        self.money_of(word, currency)
    }
    pub fn money_of(&self, word: Word<'_>, currency: Option<Currency>) -> Result<u64, TextError> {
        let expected = match currency.map(|c| (c.code(), c.exponent())) {
            Some((Some(code), Some(exponent))) => format!("an amount of {code} with {exponent} decimals"),
            Some(_) | None => "an amount in whole minor units: its currency is not known".to_owned(),
        };
        word.expect(read_decimal(word.text, currency), &expected)
    }
    /// A code such as `CNY`, or `#999`.
    pub fn currency_of(&self, word: Word<'_>) -> Result<Currency, TextError> {
        let number = word.text.strip_prefix('#').and_then(read_number).map(Currency);
        let currency = number.or_else(|| Currency::from_code(word.text));
        word.expect(currency, "a currency: its ISO 4217 code, or `#` and its number")
    }
    pub fn choice<T>(&mut self, read: fn(&str) -> Option<T>, expected: &str) -> Result<T, TextError> {
        let word = self.words.take(expected)?;
        word.expect(read(word.text), expected)
    }
    /// The label after `as`, as a client order id; all zero when there is none.
    pub fn cl_ord_id(&self) -> ClOrdId {
        let bytes = self.label.and_then(|word| read_label(word.text));
        bytes.map_or(ClOrdId::ZERO, ClOrdId)
    }

    /// `key=` and a number; zero when it is left out.
    pub fn number<N: FromStr + Default>(&mut self, key: &'static str) -> Result<N, TextError> {
        match self.words.option(key) {
            Some(word) => word.expect(read_number(word.text), "a whole number that fits"),
            None => Ok(N::default()),
        }
    }
    pub fn count(&mut self, key: &'static str) -> Result<Count, TextError> {
        self.number(key).map(Count)
    }
    pub fn price(&mut self, key: &'static str, currency: Option<Currency>) -> Result<Price, TextError> {
        match self.words.option(key) {
            Some(word) => self.money_of(word, currency).map(Price),
            None => Ok(Price::ZERO),
        }
    }
    pub fn duration(&mut self, key: &'static str) -> Result<Nanos, TextError> {
        match self.words.option(key) {
            Some(word) => word.expect(
                read_duration(word.text),
                "a duration such as 10s (ns us ms s m h d)",
            ),
            None => Ok(Nanos::ZERO),
        }
    }
    pub fn instant(&mut self, key: &'static str) -> Result<Nanos, TextError> {
        match self.words.option(key) {
            Some(word) => self.instant_of(word),
            None => Ok(Nanos::ZERO),
        }
    }
    /// An instant, or `+10s` from the latest time heard of.
    pub fn instant_of(&self, word: Word<'_>) -> Result<Nanos, TextError> {
        let later = word.text.strip_prefix('+').and_then(read_duration);
        let at = match later {
            Some(length) => self.names.now().0.checked_add(length.0).map(Nanos),
            None => read_instant(word.text),
        };
        word.expect(at, "an instant such as 2026-01-02T01:00:00.000000000Z, or +10s")
    }
    pub fn hash(&mut self, key: &'static str) -> Result<Hash, TextError> {
        match self.words.option(key) {
            Some(word) => word.expect(read_hex(word.text).map(Hash), "64 hexadecimal digits"),
            None => Ok(Hash::ZERO),
        }
    }
    /// `ref=`; left out, one that was not used before.
    pub fn bank_ref(&mut self) -> Result<BankRef, TextError> {
        match self.words.option("ref") {
            Some(word) => word.expect(
                read_label(word.text).map(BankRef),
                "a reference: one word, or 0x and 32 digits",
            ),
            None => Ok(BankRef::from_text(&self.names.free_bank_ref()).unwrap_or_default()),
        }
    }
    /// `date=`; left out, the date of the latest time heard of.
    pub fn value_date(&mut self) -> Result<Date, TextError> {
        match self.words.option("date") {
            Some(word) => word.expect(read_date(word.text), "a date such as 2026-01-02"),
            None => Ok(date_of(self.names.now())),
        }
    }
    /// A word that is to become a name.
    pub fn new_name(&self, word: Word<'a>) -> Result<&'a str, TextError> {
        let expected = "a name: a letter, then letters, digits, `-`, `_`, `.`; or `#` and a number";
        word.expect(is_name(word.text).then_some(word.text), expected)
    }
    /// A symbol: sixteen bytes as a word, or in hexadecimal.
    pub fn symbol_of(&self, word: Word<'_>) -> Result<Symbol, TextError> {
        let expected = "a symbol: one word of at most 16, or 0x and 32 digits";
        word.expect(read_label(word.text).map(Symbol), expected)
    }
    /// Says whether the next word can only be a value that stands for itself, not an option.
    pub fn next_is_word(&self) -> bool {
        self.words
            .peek()
            .is_some_and(|w| is_word(w.text) || w.text.starts_with('#') || w.text == "*")
    }
}
