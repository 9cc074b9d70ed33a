//! A line of text as words with their columns: positions first, then `key=value` options and flags in any order.

use super::TextError;
use std::collections::VecDeque;

/// One word and the column, from 1, where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub text: &'a str,
    pub column: usize,
}

impl Word<'_> {
    /// This word is not what was expected.
    pub fn error(&self, expected: impl Into<String>) -> TextError {
        TextError {
            line: 1,
            column: self.column,
            culprit: self.text.to_owned(),
            expected: expected.into(),
        }
    }
    /// The value, or the error that names this word.
    pub fn expect<T>(&self, value: Option<T>, expected: &str) -> Result<T, TextError> {
        value.ok_or_else(|| self.error(expected))
    }
}

/// The words of a line that have not been taken yet.
#[derive(Debug)]
pub(super) struct Words<'a> {
    rest: VecDeque<Word<'a>>,
    asked: Vec<&'static str>,
    end: usize,
}

impl<'a> Words<'a> {
    /// Splits a line at blanks.
    pub fn split(line: &'a str) -> Words<'a> {
        let mut rest = VecDeque::new();
        let mut at = 0;
        for text in line.split([' ', '\t', '\r', '\n']) {
            if !text.is_empty() {
                let column = line.get(..at).map_or(0, |before| before.chars().count()) + 1;
                rest.push_back(Word { text, column });
            }
            at += text.len() + 1;
        }
        Words {
            rest,
            asked: Vec::new(),
            end: line.trim_end().chars().count() + 1,
        }
    }

    /// The next word, which must be there.
    pub fn take(&mut self, expected: &str) -> Result<Word<'a>, TextError> {
        self.rest.pop_front().ok_or_else(|| self.missing(expected))
    }
    /// The next word, if any, left where it is.
    pub fn peek(&self) -> Option<Word<'a>> {
        self.rest.front().copied()
    }
    /// How many words are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }
    /// The line ended where something was expected.
    pub fn missing(&self, expected: &str) -> TextError {
        Word {
            text: "",
            column: self.end,
        }
        .error(expected)
    }

    /// The value of `key=value`, wherever it stands.
    pub fn option(&mut self, key: &'static str) -> Option<Word<'a>> {
        self.asked.push(key);
        let value = |w: &Word<'a>| w.text.strip_prefix(key).and_then(|rest| rest.strip_prefix('='));
        let at = self.rest.iter().position(|w| value(w).is_some())?;
        let word = self.rest.remove(at)?;
        let text = value(&word)?;
        Some(Word {
            text,
            column: word.column + key.len() + 1,
        })
    }
    /// A word that stands for itself, wherever it stands.
    pub fn flag(&mut self, name: &'static str) -> Option<Word<'a>> {
        self.asked.push(name);
        let at = self.rest.iter().position(|w| w.text == name)?;
        self.rest.remove(at)
    }
    /// The word after `name`, when the pair stands anywhere and `fits` accepts what follows.
    pub fn pair(
        &mut self,
        name: &'static str,
        fits: fn(&str) -> bool,
    ) -> Result<Option<Word<'a>>, TextError> {
        self.asked.push(name);
        for at in 0..self.rest.len() {
            if self.rest[at].text != name {
                continue;
            }
            let Some(value) = self.rest.get(at + 1).copied() else {
                return Err(self.missing(&format!("something after `{name}`")));
            };
            if fits(value.text) {
                self.rest.drain(at..at + 2);
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
    /// All that is left, as it stands.
    pub fn rest(self) -> Vec<&'a str> {
        self.rest.into_iter().map(|word| word.text).collect()
    }
    /// Nothing may be left.
    pub fn finish(self) -> Result<(), TextError> {
        match self.rest.front() {
            None => Ok(()),
            Some(word) => Err(word.error(format!(
                "the end of the line, or once one of: {}",
                self.asked.join(" ")
            ))),
        }
    }
}
