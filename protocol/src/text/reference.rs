//! Parsing of what the house and its operators say: participants, accounts, series, markets, measures, time.

use super::TextError;
use super::line::{Built, Line, built};
use super::names::is_name;
use super::values::{read_date, read_hex, read_label, read_number};
use crate::*;

impl Line<'_, '_> {
    /// `genesis journal=… rules=1 participants=64 … currencies=CNY,USD`
    pub(super) fn genesis(&mut self) -> Built {
        let mut currencies = Currencies::default();
        if let Some(list) = self.words.option("currencies") {
            let codes: Vec<_> = list.text.split(',').collect();
            list.expect(
                (codes.len() <= currencies.0.len()).then_some(()),
                "at most eight currencies",
            )?;
            for (place, text) in currencies.0.iter_mut().zip(codes) {
                *place = self.currency_of(super::words::Word { text, ..list })?;
            }
        }
        let journal_id = match self.words.option("journal") {
            Some(word) => JournalId(word.expect(read_hex(word.text), "32 hexadecimal digits")?),
            None => JournalId::ZERO,
        };
        if !currencies.0[0].is_zero() {
            self.names.set_home(currencies.0[0]);
        }
        built(&Genesis {
            journal_id,
            rules_version: self.count("rules")?,
            participants_max: self.count("participants")?,
            accounts_max: self.count("accounts")?,
            series_max: self.count("series")?,
            balances_max: self.count("balances")?,
            orders_max: self.count("orders")?,
            sessions_max: self.count("sessions")?,
            level_pages_max: self.count("level-pages")?,
            proposals_max: self.count("proposals")?,
            bank_refs_max: self.count("bank-refs")?,
            proposal_ttl: self.duration("proposal-ttl")?,
            reopen_after: self.duration("reopen-after")?,
            disconnect_grace: self.duration("disconnect-grace")?,
            currencies,
        })
    }

    /// `set-config orders=8192 …`
    pub(super) fn set_config(&mut self) -> Built {
        built(&SetConfig {
            participants_max: self.count("participants")?,
            accounts_max: self.count("accounts")?,
            series_max: self.count("series")?,
            balances_max: self.count("balances")?,
            orders_max: self.count("orders")?,
            sessions_max: self.count("sessions")?,
            level_pages_max: self.count("level-pages")?,
            bank_refs_max: self.count("bank-refs")?,
            proposal_ttl: self.duration("proposal-ttl")?,
            reopen_after: self.duration("reopen-after")?,
            disconnect_grace: self.duration("disconnect-grace")?,
        })
    }

    fn stamped(&mut self, now: Nanos) -> Built {
        self.names.set_now(now);
        Ok(CommandFrame::new(
            Header {
                time: now,
                ..Header::default()
            },
            &Tick {},
        ))
    }
    /// `tick`, `tick +1s`
    pub(super) fn tick(&mut self) -> Built {
        match self.words.peek() {
            Some(word) => {
                let word = self.words.take("+1s").unwrap_or(word);
                let now = self.instant_of(word)?;
                self.stamped(now)
            }
            None => built(&Tick {}),
        }
    }
    /// `at 2026-01-02T01:00:00.000000000Z`
    pub(super) fn tick_at(&mut self) -> Built {
        let word = self.words.take("an instant")?;
        let now = self.instant_of(word)?;
        self.stamped(now)
    }
    /// `roll-day 2026-01-05`
    pub(super) fn roll_day(&mut self) -> Built {
        let date = self.choice(read_date, "a date such as 2026-01-05")?;
        built(&RollDay {
            date,
            reserved: Reserved::ZERO,
        })
    }

    /// `session alice up`, `session alice/3 down connection=2`
    pub(super) fn session(&mut self) -> Built {
        let word = self.words.take("a session")?;
        let session = self.session_of(word)?;
        let up_or_down = self.words.take("up or down")?;
        let last = self.names.connection_of(session);
        let given = self.words.option("connection");
        let given = given
            .map(|word| word.expect(read_number(word.text), "a connection's number"))
            .transpose()?;
        let header = Header {
            session,
            ..Header::default()
        };
        match up_or_down.text {
            "up" => {
                let fallback = self.names.key_of(session.participant()).unwrap_or_default();
                let connection = ConnectionId(given.unwrap_or(last.0.saturating_add(1)));
                let fingerprint = match self.words.option("key") {
                    Some(word) => Hash(word.expect(read_hex(word.text), "64 hexadecimal digits")?),
                    None => fallback,
                };
                self.names.connected(session, connection);
                Ok(CommandFrame::new(
                    header,
                    &SessionUp {
                        connection,
                        fingerprint,
                    },
                ))
            }
            "down" => {
                let connection = ConnectionId(given.unwrap_or(last.0));
                Ok(CommandFrame::new(header, &SessionDown { connection }))
            }
            _ => Err(up_or_down.error("up or down")),
        }
    }

    /// `key alice 5f…`; left out, the fingerprint is the name in ASCII, which no certificate has.
    pub(super) fn set_key(&mut self, state: KeyState) -> Built {
        let participant = self.participant()?;
        let fingerprint = match (self.words.peek(), self.names.participant_name(participant)) {
            (Some(word), _) => {
                self.words.take("a fingerprint")?;
                Hash(word.expect(read_hex(word.text), "a fingerprint: 64 hexadecimal digits")?)
            }
            (None, Some(name)) => {
                let mut bytes = [0; 32];
                bytes
                    .iter_mut()
                    .zip(name.bytes())
                    .for_each(|(to, from)| *to = from);
                Hash(bytes)
            }
            (None, None) => return Err(self.words.missing("a fingerprint: 64 hexadecimal digits")),
        };
        if state == KeyState::Valid {
            self.names.key_is(participant, fingerprint);
        }
        built(&SetKey {
            participant,
            purpose: KeyPurpose::Session,
            state,
            reserved: Reserved::ZERO,
            fingerprint,
        })
    }

    /// `rules 2`
    pub(super) fn set_rules(&mut self) -> Built {
        let word = self.words.take("a version of the rules")?;
        let version = word.expect(read_number(word.text), "a version of the rules: a whole number")?;
        built(&SetRules {
            version: Count(version),
            reserved: Reserved::ZERO,
        })
    }

    /// `approve p1`, `approve bob p1`, `approve #17 5f…`, `approve bob #17 5f…`; `hash=` replaces the hash.
    pub(super) fn approve(&mut self) -> Built {
        let given = self.words.option("hash");
        let given = given
            .map(|w| w.expect(read_hex(w.text).map(Hash), "64 hexadecimal digits"))
            .transpose()?;
        let expected = "a proposal: its label, or `#` with its sequence and its hash";
        let mut word = self.words.take(expected)?;
        let is_name = self.words.len() == 2 || self.words.len() == 1 && !word.text.starts_with('#');
        if is_name {
            self.speaker = Some(self.session_of(word)?);
            word = self.words.take(expected)?;
        }
        let known = self.names.proposal(word.text);
        let (proposal, hash) = match self.words.peek() {
            Some(_) => {
                let seq = word.text.strip_prefix('#').and_then(read_number).map(Seq);
                let hash = self.choice(|text| read_hex(text).map(Hash), "a hash: 64 hexadecimal digits")?;
                (word.expect(seq, expected)?, hash)
            }
            None => word.expect(
                known,
                "a known proposal's label, or `#` with its sequence and its hash",
            )?,
        };
        built(&Approve {
            proposal,
            hash: given.unwrap_or(hash),
        })
    }

    /// `kill participant alice`, `release series COFFEE`
    pub(super) fn kill_switch(&mut self, state: SwitchState) -> Built {
        let target = self.choice(KillTarget::from_text, "participant or series")?;
        let word = self.words.take("what it aims at")?;
        let (mut participant, mut series) = (ParticipantId::ZERO, SeriesId::ZERO);
        match target {
            KillTarget::Participant => participant = self.participant_of(word)?,
            KillTarget::Series => series = self.series_of(word)?,
        }
        if let Some(word) = self.words.option("participant") {
            participant = self.participant_of(word)?;
        }
        if let Some(word) = self.words.option("series") {
            series = self.series_of(word)?;
        }
        let (reserved, reserved2) = (Reserved::ZERO, Reserved::ZERO);
        built(&KillSwitch {
            target,
            state,
            reserved,
            participant,
            series,
            reserved2,
        })
    }

    /// `freeze alice case=7`
    pub(super) fn set_freeze(&mut self, action: FreezeAction) -> Built {
        let account = self.account()?;
        built(&SetFreeze {
            account,
            action,
            reserved: Reserved::ZERO,
            case: CaseId(self.number("case")?),
        })
    }

    /// `participant alice trader id=12 reference=5f…`
    pub(super) fn register_participant(&mut self) -> Built {
        let word = self.words.take("a name, or `#` and a number")?;
        let role = self.choice(
            Role::from_text,
            "a role: house trader market-maker issuer merchant bank risk operator regulator",
        )?;
        let participant = match (self.words.option("id"), word.text.starts_with('#')) {
            (Some(id), _) => ParticipantId(id.expect(read_number(id.text), "a participant's number")?),
            (None, true) => self.participant_of(word)?,
            (None, false) => self
                .names
                .participant_id(word.text)
                .unwrap_or(self.names.free_participant()),
        };
        if !word.text.starts_with('#') {
            let name = self.new_name(word)?;
            self.names.name_participant(name, participant);
        }
        built(&RegisterParticipant {
            participant,
            role,
            reserved: Reserved::ZERO,
            reference: self.hash("reference")?,
        })
    }

    /// `account alice owner=alice operator=shop schedule=0 id=12`; its owner is the participant of its name.
    pub(super) fn open_account(&mut self) -> Built {
        let word = self.words.take("a name, or `#` and a number")?;
        let account = match (self.words.option("id"), word.text.starts_with('#')) {
            (Some(id), _) => AccountId(id.expect(read_number(id.text), "an account's number")?),
            (None, true) => self.account_of(word)?,
            (None, false) => self
                .names
                .account_id(word.text)
                .unwrap_or(self.names.free_account()),
        };
        let owner = match self.words.option("owner") {
            Some(owner) => self.participant_of(owner)?,
            None => word.expect(
                self.names.participant_id(word.text),
                "a participant's name, or owner=",
            )?,
        };
        let operated_by = match self.words.option("operator") {
            Some(operator) => self.participant_of(operator)?,
            None => ParticipantId::ZERO,
        };
        if !word.text.starts_with('#') {
            let name = self.new_name(word)?;
            self.names.name_account(name, account);
        }
        self.names.opened(account, owner, operated_by);
        let schedule = ScheduleId(self.number("schedule")?);
        built(&OpenAccount {
            account,
            owner,
            operated_by,
            schedule,
            reserved: Reserved::ZERO,
        })
    }

    /// `limits alice orders=10 qty=100 order-notional=500000 open-notional=900000`; notionals in minor units.
    pub(super) fn set_risk_limits(&mut self) -> Built {
        built(&SetRiskLimits {
            account: self.account()?,
            open_orders_max: self.count("orders")?,
            order_qty_max: Qty(self.number("qty")?),
            reserved: Reserved::ZERO,
            order_notional_max: Amount(self.number("order-notional")?),
            open_notional_max: Amount(self.number("open-notional")?),
        })
    }

    fn ppm(&mut self, key: &'static str) -> Result<Ppm, TextError> {
        match self.words.option(key) {
            Some(word) => word.expect(word.text.parse().ok().map(Ppm), "parts per million"),
            None => Ok(Ppm::ZERO),
        }
    }
    /// `fees 0 taker=1000 maker=-200`
    pub(super) fn set_fee_schedule(&mut self) -> Built {
        let schedule = self.choice(
            |text| read_number(text).map(ScheduleId),
            "a fee schedule's number",
        )?;
        let (taker, maker) = (self.ppm("taker")?, self.ppm("maker")?);
        built(&SetFeeSchedule {
            schedule,
            reserved: Reserved::ZERO,
            taker,
            maker,
        })
    }

    /// `instrument COFFEE min=1 max=1000000 collar=1000 reference=27.00`
    pub(super) fn set_instrument(&mut self) -> Built {
        let series = self.series()?;
        built(&SetInstrument {
            series,
            qty_min: Qty(self.number("min")?),
            qty_max: Qty(self.number("max")?),
            collar: Bps(self.number("collar")?),
            reference: self.price("reference", self.names.currency_of(series))?,
        })
    }

    /// `phase COFFEE continuous`, `phase venue halt`
    pub(super) fn set_phase(&mut self) -> Built {
        let word = self.words.take("a series, or venue")?;
        let series = match word.text {
            "venue" => SeriesId::ZERO,
            _ => self.series_of(word)?,
        };
        let phase = self.choice(Phase::from_text, "closed, continuous or halt")?;
        built(&SetPhase {
            series,
            phase,
            reserved: Reserved::ZERO,
        })
    }

    /// `draft COFFEE acme CNY face=100.00 tick=0.01 lot=1 redeem=100.00 cap=1000 from=… to=… terms=… symbol=… id=…`
    pub(super) fn draft_series(&mut self) -> Built {
        let word = self.words.take("a symbol, or `#` and a number")?;
        let issuer = self.participant()?;
        let currency = self
            .words
            .take("a currency")
            .and_then(|word| self.currency_of(word))?;
        let given = self
            .words
            .option("symbol")
            .map(|symbol| self.symbol_of(symbol))
            .transpose()?;
        let (series, symbol) = match word.text.strip_prefix('#') {
            Some(_) => (self.series_of(word)?, given.unwrap_or_default()),
            None => {
                let known = self
                    .names
                    .series_id(word.text)
                    .unwrap_or(self.names.free_series());
                let id = self.words.option("id");
                let id = id
                    .map(|id| id.expect(read_number(id.text), "a series' number"))
                    .transpose()?;
                let symbol = word.expect(read_label(self.new_name(word)?), "a symbol of at most 16")?;
                (id.map_or(known, SeriesId), given.unwrap_or(Symbol(symbol)))
            }
        };
        if is_name(word.text) {
            self.names.name_series(word.text, series, currency);
        }
        self.drafted(DraftHead {
            series,
            issuer,
            symbol,
            currency,
        })
    }
    fn drafted(&mut self, head: DraftHead) -> Built {
        let currency = Some(head.currency);
        built(&DraftSeries {
            series: head.series,
            issuer: head.issuer,
            symbol: head.symbol,
            currency: head.currency,
            reserved: Reserved::ZERO,
            lot: Qty(self.number("lot")?),
            tick: self.price("tick", currency)?,
            face: self.price("face", currency)?,
            redeem_value: self.price("redeem", currency)?,
            issue_cap: Amount(self.number("cap")?),
            valid_from: self.instant("from")?,
            valid_to: self.instant("to")?,
            terms_hash: self.hash("terms")?,
        })
    }

    /// `register COFFEE`
    pub(super) fn register_series(&mut self) -> Built {
        built(&RegisterSeries {
            series: self.series()?,
            reserved: Reserved::ZERO,
        })
    }
    /// `issue-units COFFEE acme 100`
    pub(super) fn issue_units(&mut self) -> Built {
        let series = self.series()?;
        let account = self.account()?;
        built(&IssueUnits {
            series,
            account,
            qty: self.qty()?,
            reserved: Reserved::ZERO,
        })
    }
}

/// Which series a draft is about.
struct DraftHead {
    series: SeriesId,
    issuer: ParticipantId,
    symbol: Symbol,
    currency: Currency,
}
