//! Larger jobs as rows of a snapshot.

use super::{Cursor, Job, Jobs, List, Scope};
use crate::snapshot::{BadSnapshot, SectionKind, bad};
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{AccountId, JobKind, ParticipantId, Seq, SeriesId, SessionId, Sides};

/// A job: of its scope and its cursor the kind first, then the numbers that the kind has.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct JobRow {
    pub began: u64,
    pub series: u32,
    pub canceled: u32,
    pub scope_id: u32,
    pub cursor_account: u32,
    pub cursor_place: u32,
    pub kind: u8,
    pub sides: u8,
    pub scope: u8,
    pub cursor: u8,
    pub list: u8,
}

impl Jobs {
    /// Every job, the oldest first.
    pub fn rows(&self) -> impl Iterator<Item = JobRow> + '_ {
        self.going.iter().map(row)
    }

    /// How many jobs have this scope.
    pub fn count(&self, scope: Scope) -> usize {
        self.going.iter().filter(|job| job.scope == scope).count()
    }

    /// Lets a job go on after all others; whoever calls judges what it refers to.
    pub fn restore(&mut self, row: &JobRow) -> Result<Job, BadSnapshot> {
        let Some(job) = job_of(row) else {
            return bad(SectionKind::Jobs, "an unknown job");
        };
        if self.going.len() >= self.max {
            return bad(SectionKind::Jobs, "more jobs than there is room for");
        }
        self.going.push_back(job);
        Ok(job)
    }
}

fn row(job: &Job) -> JobRow {
    let Job {
        kind,
        scope,
        series,
        sides,
        began,
        cursor,
        canceled,
    } = *job;
    let (scope, scope_id) = match scope {
        Scope::Account(id) => (0, id.0),
        Scope::Operated(id) => (1, id.0),
        Scope::Participant(id) => (2, id.0),
        Scope::Session(id) => (3, id.0),
        Scope::Series(id) => (4, id.0),
        Scope::Quotes(id) => (5, id.0),
    };
    let (cursor, cursor_account, cursor_place, list) = match cursor {
        Cursor::Orders { account, order, list } => (0, account.0, order, list_number(list)),
        Cursor::Book => (1, 0, 0, 0),
        Cursor::Rows { row } => (2, 0, row, 0),
        Cursor::Done => (3, 0, 0, 0),
    };
    JobRow {
        began: began.0,
        series: series.0,
        canceled,
        scope_id,
        cursor_account,
        cursor_place,
        kind: kind.byte(),
        sides: sides.byte(),
        scope,
        cursor,
        list,
    }
}

fn list_number(list: List) -> u8 {
    match list {
        List::Single => 0,
        List::Operated => 1,
        List::OperatedThenOwned => 2,
        List::Owned => 3,
    }
}

fn job_of(row: &JobRow) -> Option<Job> {
    let scope = match row.scope {
        0 => Scope::Account(AccountId(row.scope_id)),
        1 => Scope::Operated(ParticipantId(row.scope_id)),
        2 => Scope::Participant(ParticipantId(row.scope_id)),
        3 => Scope::Session(SessionId(row.scope_id)),
        4 => Scope::Series(SeriesId(row.scope_id)),
        5 => Scope::Quotes(AccountId(row.scope_id)),
        _ => return None,
    };
    let list = match row.list {
        0 => List::Single,
        1 => List::Operated,
        2 => List::OperatedThenOwned,
        3 => List::Owned,
        _ => return None,
    };
    let cursor = match row.cursor {
        0 => Cursor::Orders {
            account: AccountId(row.cursor_account),
            order: row.cursor_place,
            list,
        },
        1 => Cursor::Book,
        2 => Cursor::Rows {
            row: row.cursor_place,
        },
        3 => Cursor::Done,
        _ => return None,
    };
    Some(Job {
        kind: JobKind::from_byte(row.kind)?,
        scope,
        series: SeriesId(row.series),
        sides: Sides::from_byte(row.sides)?,
        began: Seq(row.began),
        cursor,
        canceled: row.canceled,
    })
}
