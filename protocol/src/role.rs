//! Who may say what: one row a command, one column a role.

use crate::{Approve, Command, FreezeAction, KeyState, Message, Role, SwitchState};

/// Who may send a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The roles that may.
    pub roles: &'static [Role],
    /// Whether only the exchange's own threads and doors may speak it, whatever the session in its header.
    pub house_only: HouseOnly,
}

/// Whether a command comes from inside the house only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HouseOnly {
    /// A client may send it.
    No,
    /// A door refuses it from a client.
    Yes,
}

const fn open(roles: &'static [Role]) -> Rule {
    Rule {
        roles,
        house_only: HouseOnly::No,
    }
}

const HOUSE: Rule = Rule {
    roles: &[Role::House],
    house_only: HouseOnly::Yes,
};
const TRADING: Rule = open(&[Role::Trader, Role::MarketMaker, Role::Issuer, Role::Merchant]);

const LIMITS: Rule = open(&[
    Role::Trader,
    Role::MarketMaker,
    Role::Issuer,
    Role::Merchant,
    Role::Operator,
    Role::Risk,
]);

/// Who may send the command with this template id; none when no command has it.
#[inline]
pub fn rule(template: u16) -> Option<Rule> {
    use crate::*;
    Some(match template {
        PlaceOrder::TEMPLATE | PlaceExtendedOrder::TEMPLATE | CancelOrder::TEMPLATE => TRADING,
        ReplaceOrder::TEMPLATE | MassCancel::TEMPLATE | TransferUnits::TEMPLATE => TRADING,
        MassQuote::TEMPLATE | SetMmp::TEMPLATE | ResetMmp::TEMPLATE => open(&[Role::MarketMaker]),
        QueryLimits::TEMPLATE => LIMITS,
        BustTrade::TEMPLATE => open(&[Role::Operator, Role::Risk]),
        SetDynamicCollar::TEMPLATE | SetRules::TEMPLATE => open(&[Role::Operator]),
        SetExposureLimits::TEMPLATE => open(&[Role::Operator, Role::Risk]),
        Genesis::TEMPLATE | Tick::TEMPLATE | AllSessionsDown::TEMPLATE => HOUSE,
        SessionUp::TEMPLATE | SessionDown::TEMPLATE => HOUSE,
        RegisterParticipant::TEMPLATE | SetKey::TEMPLATE => open(&[Role::House, Role::Operator]),
        SetConfig::TEMPLATE | OpenAccount::TEMPLATE | SetFeeSchedule::TEMPLATE => open(&[Role::Operator]),
        RollDay::TEMPLATE | SetInstrument::TEMPLATE | SetPhase::TEMPLATE => open(&[Role::Operator]),
        RegisterSeries::TEMPLATE => open(&[Role::Operator]),
        SetRiskLimits::TEMPLATE => open(&[Role::Operator, Role::Risk]),
        KillSwitch::TEMPLATE => open(&[Role::Operator, Role::Risk, Role::Regulator]),
        SetFreeze::TEMPLATE | Approve::TEMPLATE => open(&[Role::Operator, Role::Risk, Role::Regulator]),
        DraftSeries::TEMPLATE => open(&[Role::Issuer, Role::Operator]),
        IssueUnits::TEMPLATE => open(&[Role::Issuer, Role::Operator]),
        PostEscrow::TEMPLATE | CreditCash::TEMPLATE => open(&[Role::Bank]),
        _ => return None,
    })
}

impl Rule {
    /// Says whether this role may.
    #[inline]
    pub fn allows(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// Says whether some commands of this template wait for approval: most are never asked.
pub fn may_need_approval(template: u16) -> bool {
    use crate::*;
    matches!(
        template,
        SetConfig::TEMPLATE
            | SetFeeSchedule::TEMPLATE
            | KillSwitch::TEMPLATE
            | SetFreeze::TEMPLATE
            | RegisterParticipant::TEMPLATE
            | SetKey::TEMPLATE
            | BustTrade::TEMPLATE
            | SetRules::TEMPLATE
    )
}

/// Says whether a command waits for a second participant's approval. `holder` is the role of the participant that a key
/// is for: who could make approvers, or give himself the key of one, would need no second pair of eyes.
pub fn needs_approval(command: &Command<'_>, holder: Option<Role>) -> bool {
    match command {
        Command::SetConfig(_) | Command::SetFeeSchedule(_) | Command::BustTrade(_) | Command::SetRules(_) => {
            true
        }
        Command::KillSwitch(switch) => switch.state == SwitchState::Released,
        Command::SetFreeze(freeze) => freeze.action == FreezeAction::Lift,
        Command::RegisterParticipant(participant) => may_approve(participant.role),
        Command::SetKey(key) => key.state == KeyState::Valid && holder.is_some_and(may_approve),
        Command::Genesis(_)
        | Command::Tick(_)
        | Command::RollDay(_)
        | Command::SessionUp(_)
        | Command::SessionDown(_)
        | Command::AllSessionsDown(_)
        | Command::Approve(_)
        | Command::OpenAccount(_)
        | Command::SetRiskLimits(_)
        | Command::SetInstrument(_)
        | Command::SetPhase(_)
        | Command::DraftSeries(_)
        | Command::PostEscrow(_)
        | Command::RegisterSeries(_)
        | Command::IssueUnits(_)
        | Command::CreditCash(_)
        | Command::TransferUnits(_)
        | Command::PlaceOrder(_)
        | Command::PlaceExtendedOrder(_)
        | Command::SetDynamicCollar(_)
        | Command::SetMmp(_)
        | Command::SetExposureLimits(_)
        | Command::MassQuote(_)
        | Command::ResetMmp(_)
        | Command::QueryLimits(_)
        | Command::CancelOrder(_)
        | Command::ReplaceOrder(_)
        | Command::MassCancel(_) => false,
    }
}

/// Says whether a role may approve anything.
fn may_approve(role: Role) -> bool {
    rule(Approve::TEMPLATE).is_some_and(|rule| rule.allows(role))
}

/// Says whether a command may still enter when the ring is nearly full: what takes risk away always gets in.
pub fn is_urgent(template: u16) -> bool {
    use crate::*;
    matches!(
        template,
        CancelOrder::TEMPLATE
            | MassCancel::TEMPLATE
            | KillSwitch::TEMPLATE
            | SetPhase::TEMPLATE
            | SessionUp::TEMPLATE
            | SessionDown::TEMPLATE
            | AllSessionsDown::TEMPLATE
            | Tick::TEMPLATE
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::COMMANDS;

    /// `command: roles`, the whole table; a change of it is a change here.
    const TABLE: &str = "\
Genesis: house
Tick: house
RollDay: operator
SessionUp: house
SessionDown: house
AllSessionsDown: house
SetConfig: operator
SetKey: house operator
Approve: risk operator regulator
KillSwitch: risk operator regulator
SetRules: operator
RegisterParticipant: house operator
OpenAccount: operator
SetRiskLimits: risk operator
SetFeeSchedule: operator
SetInstrument: operator
SetPhase: operator
SetDynamicCollar: operator
SetMmp: market-maker
SetExposureLimits: risk operator
DraftSeries: issuer operator
PostEscrow: bank
RegisterSeries: operator
IssueUnits: issuer operator
CreditCash: bank
TransferUnits: trader market-maker issuer merchant
SetFreeze: risk operator regulator
PlaceOrder: trader market-maker issuer merchant
PlaceExtendedOrder: trader market-maker issuer merchant
CancelOrder: trader market-maker issuer merchant
ReplaceOrder: trader market-maker issuer merchant
MassCancel: trader market-maker issuer merchant
MassQuote: market-maker
ResetMmp: market-maker
QueryLimits: trader market-maker issuer merchant risk operator
BustTrade: risk operator
";

    #[test]
    fn every_cell_is_as_written() {
        let mut table = String::new();
        for (template, name, ..) in COMMANDS {
            let rule = rule(*template).expect("every command has a row");
            let roles: Vec<_> = Role::ALL
                .iter()
                .filter(|r| rule.allows(**r))
                .map(|r| r.text())
                .collect();
            table += &format!("{name}: {}\n", roles.join(" "));
        }
        assert_eq!(table, TABLE);
    }

    #[test]
    fn no_other_template_has_a_row() {
        let known: Vec<u16> = COMMANDS.iter().map(|c| c.0).collect();
        assert!(
            (0..=u16::MAX)
                .filter(|t| !known.contains(t))
                .all(|t| rule(t).is_none())
        );
    }
}
