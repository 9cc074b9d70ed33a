//! A business day as a document to be signed: trial balance, coverage, fees, refusals, breaks and the chain head, as one
//! page and as CSV files.

use crate::connect::Target;
use crate::encode::days_since_2000;
use crate::schema::SCHEMA;
use crate::trouble::{Trouble, told};
use postgres::{IsolationLevel, Transaction};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use xq_protocol::Date;

/// A part of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name of its file, without ending.
    pub name: &'static str,
    /// What stands above it.
    pub title: &'static str,
    /// Its columns.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

/// A business day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// Its date.
    pub date: Date,
    /// Whether the next day has begun, so that nothing is added to it any more.
    pub is_closed: bool,
    /// Hash of all events up to and with the command that ended it, or up to the cursor.
    pub chain_head: String,
    /// The last command that it covers.
    pub last_seq: i64,
    /// Trial balance, coverage, fees, refusals, breaks.
    pub sections: Vec<Section>,
}

/// What lay where at the end of the day: the sum of all transfers up to it.
const LYING: &str = "
    WITH legs AS (
        SELECT debit_place AS place, debit_owner AS owner, asset, -sum(amount) AS amount FROM transfers
        WHERE coalesce(business_date, '-infinity') <= $1::text::date GROUP BY 1, 2, 3
        UNION ALL
        SELECT credit_place, credit_owner, asset, sum(amount) FROM transfers
        WHERE coalesce(business_date, '-infinity') <= $1::text::date GROUP BY 1, 2, 3
    ), lying AS (
        SELECT l.place, l.owner, l.asset, sum(l.amount) AS amount FROM legs l GROUP BY 1, 2, 3
    ), coverage AS (
        SELECT s.series, s.symbol, c.code AS currency, c.exponent, s.redeem_value,
               coalesce((SELECT sum(amount) FROM lying WHERE place = 6 AND owner = s.series), 0) AS escrow,
               coalesce((SELECT -sum(amount) FROM lying WHERE place = 9 AND asset = s.series), 0) AS outstanding
        FROM series s JOIN assets c ON c.asset = 2147483648 + s.currency
    ) ";

/// Name, title and question of each section; every column is text, `$1` is the date.
const SECTIONS: &[(&str, &str, &str)] = &[
    (
        "trial_balance",
        "Trial balance",
        "SELECT CASE WHEN a.kind = 'cash' THEN p.chart_cash ELSE p.chart_units END AS chart, p.name AS place,
                a.code AS asset, round(sum(l.amount) / power(10::numeric, a.exponent), a.exponent)::text AS amount
         FROM lying l JOIN places p USING (place) JOIN assets a USING (asset)
         GROUP BY p.place, p.chart_cash, p.chart_units, p.name, a.kind, a.code, a.exponent
         ORDER BY a.kind, a.code, 1",
    ),
    (
        "coverage",
        "Escrow coverage",
        "SELECT series::text, symbol, currency, round(escrow / power(10::numeric, exponent), exponent)::text AS escrow,
                outstanding::text,
                round(redeem_value * outstanding / power(10::numeric, exponent), exponent)::text AS owed,
                CASE WHEN redeem_value * outstanding > 0
                     THEN floor(escrow * 10000 / (redeem_value * outstanding))::text END AS coverage_bps
         FROM coverage ORDER BY coverage.series",
    ),
    (
        "fees",
        "Fees",
        "SELECT currency, trades::text, busts::text, traded::text, fees::text, rebates::text FROM fees_by_day
         WHERE business_date = $1::text::date ORDER BY currency",
    ),
    (
        "refusals",
        "Refusals by code",
        "SELECT 'R' || code AS code, name, count(*)::text AS refused FROM refusals
         WHERE business_date = $1::text::date GROUP BY code, name ORDER BY count(*) DESC, refusals.code",
    ),
    (
        "breaks",
        "Breaks",
        "SELECT 'an asset does not sum to zero' AS what, a.code AS which, sum(l.amount)::text AS by
         FROM lying l JOIN assets a USING (asset) GROUP BY a.code HAVING sum(l.amount) <> 0
         UNION ALL
         SELECT 'escrow does not cover what is outstanding', symbol, (redeem_value * outstanding - escrow)::text
         FROM coverage WHERE escrow < redeem_value * outstanding
         UNION ALL
         SELECT 'an account has less than nothing', p.name || ' ' || l.owner || ' ' || a.code, l.amount::text
         FROM lying l JOIN places p USING (place) JOIN assets a USING (asset) WHERE l.place <= 3 AND l.amount < 0
         UNION ALL
         SELECT 'a trade''s amount is not its price by its quantity', seq || ', ' || idx, (amount - price * qty)::text
         FROM trades WHERE business_date = $1::text::date AND amount <> price * qty",
    ),
];

impl Day {
    /// Reads a day that has begun.
    ///
    /// # Errors
    /// What PostgreSQL refuses; a day that it does not know.
    pub fn read(target: &Target, date: Date) -> Result<Day, Trouble> {
        if days_since_2000(date).is_none() {
            return Err(Trouble::Refused(format!(
                "{date} is no date: year, month and day, as in 20260131"
            )));
        }
        let mut client = target.connect()?;
        let said = |error: postgres::Error| told("reading the day", &error);
        client
            .batch_execute(&format!("SET search_path TO {SCHEMA}"))
            .map_err(said)?;
        let mut transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .map_err(said)?;
        let iso = format!(
            "{:04}-{:02}-{:02}",
            date.0 / 10_000,
            date.0 / 100 % 100,
            date.0 % 100
        );
        let ask =
            "SELECT is_closed, chain_head, complete_up_to FROM days WHERE business_date = $1::text::date";
        let Some(row) = transaction.query_opt(ask, &[&iso]).map_err(said)? else {
            return Err(Trouble::Refused(format!(
                "{iso} is no business day that has begun here"
            )));
        };
        let sections = SECTIONS
            .iter()
            .map(|section| read(&mut transaction, section, &iso));
        Ok(Day {
            date,
            is_closed: row.get(0),
            chain_head: row.get(1),
            last_seq: row.get(2),
            sections: sections.collect::<Result<_, _>>().map_err(said)?,
        })
    }

    /// What does not add up.
    pub fn breaks(&self) -> &[Vec<String>] {
        self.sections
            .iter()
            .find(|section| section.name == "breaks")
            .map_or(&[], |section| &section.rows)
    }

    /// Writes the page and the CSV files into a folder.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        for section in &self.sections {
            fs::write(folder.join(format!("{}.csv", section.name)), section.csv())?;
        }
        fs::write(folder.join("day.html"), self.html())
    }

    fn html(&self) -> String {
        let state = if self.is_closed {
            "closed: nothing is added to it any more"
        } else {
            "open: it goes on, and this is how it stood at its last command"
        };
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Business day {0}</title>\n\
             <style>body{{font:15px/1.45 system-ui;margin:3em auto;max-width:60em}}table{{border-collapse:collapse;width:100%}}\
             td,th{{border-bottom:1px solid #ccc;padding:.25em .6em;text-align:left}}.sign{{margin-top:4em}}\
             code{{word-break:break-all}}</style>\n\
             <h1>Business day {0}</h1>\n<p>The day is {state}.</p>\n\
             <p>Last command: {1}<br>Chain head: <code>{2}</code></p>\n",
            self.date, self.last_seq, self.chain_head
        );
        for section in &self.sections {
            section.html(&mut page);
        }
        page += "<p class=\"sign\">Prepared by ____________________ &nbsp; Approved by ____________________</p>\n</html>\n";
        page
    }
}

impl Section {
    fn csv(&self) -> String {
        let quoted = |value: &String| match value.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", value.replace('"', "\"\"")),
            false => value.clone(),
        };
        let line = |values: &Vec<String>| values.iter().map(quoted).collect::<Vec<_>>().join(",") + "\r\n";
        std::iter::once(&self.columns)
            .chain(&self.rows)
            .map(line)
            .collect()
    }

    fn html(&self, page: &mut String) {
        let cells = |tag: &str, values: &[String]| {
            let cell = |value: &String| format!("<{tag}>{}</{tag}>", escaped(value));
            values.iter().map(cell).collect::<String>()
        };
        let rows: String = match &self.rows[..] {
            [] => format!("<tr><td colspan=\"{}\">none</td></tr>\n", self.columns.len()),
            rows => rows
                .iter()
                .map(|row| format!("<tr>{}</tr>\n", cells("td", row)))
                .collect(),
        };
        writeln!(
            page,
            "<h2>{}</h2>\n<table><tr>{}</tr>\n{rows}</table>",
            self.title,
            cells("th", &self.columns)
        )
        .expect("writing to a string does not fail");
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn read(
    transaction: &mut Transaction<'_>,
    (name, title, question): &(&'static str, &'static str, &'static str),
    date: &String,
) -> Result<Section, postgres::Error> {
    let statement = transaction.prepare(&format!("{LYING}{question}"))?;
    let columns = statement
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let rows = transaction.query(&statement, &[date])?;
    let texts = |row: &postgres::Row| {
        (0..row.len())
            .map(|at| row.get::<_, Option<String>>(at).unwrap_or_default())
            .collect()
    };
    Ok(Section {
        name,
        title,
        columns,
        rows: rows.iter().map(texts).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_cell() {
        let section = Section {
            name: "a",
            title: "A",
            columns: vec!["one".to_owned()],
            rows: vec![vec!["<b>\", &".to_owned()]],
        };
        assert_eq!(section.csv(), "one\r\n\"<b>\"\", &\"\r\n");
        let mut page = String::new();
        section.html(&mut page);
        assert!(page.contains("<td>&lt;b&gt;\", &amp;</td>"), "{page}");
    }
}
