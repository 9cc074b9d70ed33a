//! The data dictionary: which fields a message may have, which it must, and what their values may be.
//!
//! It is read from the XML that QuickFIX engines read, so that a client which loads the same file is told the same.
//! What a message does wrong is a [`Fault`], with the reason that a Reject names in field 373; where there are several,
//! the first of these is told: a field out of its section, a required field that is missing (the lowest tag), then field by
//! field its number, its place, its value, and the count of its group.

use crate::format::Format;
use crate::tag;
use crate::wire::{Message, number};
use std::collections::BTreeMap;

/// The dictionary of this exchange, which clients load as well.
pub const XQFIX44: &str = include_str!("../XQFIX44.xml");

/// Why a message is rejected, as field 373 says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No field has this tag.
    InvalidTag,
    /// A required field is missing.
    RequiredMissing,
    /// The message has no such field.
    NotOfMessage,
    /// A field has no value.
    NoValue,
    /// A value is not one that the field may have.
    OutOfRange,
    /// A value is not of the field's format.
    BadFormat,
    /// The names in the header are not the session's.
    CompId,
    /// The sending time is too far off.
    SendingTime,
    /// No message has this type.
    InvalidType,
    /// A field stands twice.
    Repeated,
    /// A field stands in another section than its own.
    OutOfOrder,
    /// A group's fields stand in another order than theirs.
    GroupOrder,
    /// A group has more or fewer entries than it says.
    GroupCount,
}

impl FaultKind {
    /// Field 373 and its text.
    pub fn told(self) -> (u64, &'static str) {
        match self {
            FaultKind::InvalidTag => (0, "Invalid tag number"),
            FaultKind::RequiredMissing => (1, "Required tag missing"),
            FaultKind::NotOfMessage => (2, "Tag not defined for this message type"),
            FaultKind::NoValue => (4, "Tag specified without a value"),
            FaultKind::OutOfRange => (5, "Value is incorrect (out of range) for this tag"),
            FaultKind::BadFormat => (6, "Incorrect data format for value"),
            FaultKind::CompId => (9, "CompID problem"),
            FaultKind::SendingTime => (10, "SendingTime accuracy problem"),
            FaultKind::InvalidType => (11, "Invalid MsgType"),
            FaultKind::Repeated => (13, "Tag appears more than once"),
            FaultKind::OutOfOrder => (14, "Tag specified out of required order"),
            FaultKind::GroupOrder => (15, "Repeating group fields out of order"),
            FaultKind::GroupCount => (16, "Incorrect NumInGroup count for repeating group"),
        }
    }
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// The place of the field that is meant, when it stands in the message.
    pub place: Option<usize>,
    /// Its tag, when one is meant.
    pub tag: Option<u32>,
}

/// A dictionary that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DictionaryError {
    /// It is no XML.
    #[error("the dictionary is no XML: {0}")]
    Xml(#[from] roxmltree::Error),
    /// It names what it does not define.
    #[error("the dictionary names {0}, which it does not define")]
    Unknown(String),
}

/// A field's format and the values it may have; with none listed, all of the format.
#[derive(Debug, Default)]
struct Definition {
    format: Format,
    values: Vec<Box<[u8]>>,
}

/// The fields of a message, of the header, or of one entry of a group.
#[derive(Debug, Default)]
struct Fields {
    /// In ascending order.
    tags: Vec<u32>,
    /// In ascending order.
    required: Vec<u32>,
    /// By the tag that counts the entries.
    groups: BTreeMap<u32, Group>,
}

/// A repeating group.
#[derive(Debug, Default)]
struct Group {
    /// The field that each entry begins with.
    first: u32,
    fields: Fields,
}

/// A dictionary.
#[derive(Debug, Default)]
pub struct Dictionary {
    definitions: Vec<Option<Definition>>,
    header: Fields,
    trailer: Fields,
    messages: BTreeMap<Box<[u8]>, Fields>,
}

impl Fields {
    fn has(&self, tag: u32) -> bool {
        self.tags.binary_search(&tag).is_ok()
    }
}

impl Dictionary {
    /// Reads a dictionary.
    ///
    /// # Errors
    /// [`DictionaryError`]
    pub fn parse(xml: &str) -> Result<Dictionary, DictionaryError> {
        let document = roxmltree::Document::parse(xml)?;
        Reader::of(&document).read()
    }

    /// The dictionary of this exchange.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn of_the_exchange() -> Dictionary {
        Dictionary::parse(XQFIX44).expect("a test reads it")
    }

    /// Whether there is a field of this tag.
    pub fn defines(&self, tag: u32) -> bool {
        let place = usize::try_from(tag).unwrap_or(usize::MAX);
        self.definitions.get(place).is_some_and(Option::is_some)
    }

    /// Whether there is a message of this type.
    pub fn knows(&self, kind: &[u8]) -> bool {
        self.messages.contains_key(kind)
    }

    /// Looks for what is wrong with a message.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub fn check(&self, message: &Message<'_>) -> Result<(), Fault> {
        let kind = message.kind();
        let Some(fields) = self.messages.get(kind) else {
            return Err(Fault {
                kind: FaultKind::InvalidType,
                place: None,
                tag: None,
            });
        };
        let body = self.sections(message)?;
        for required in [&self.header.required, &fields.required] {
            for tag in required {
                if message.get(*tag).is_none() {
                    return Err(Fault {
                        kind: FaultKind::RequiredMissing,
                        place: None,
                        tag: Some(*tag),
                    });
                }
            }
        }
        self.run(message, (0, body.start), &self.header)?;
        self.run(message, (body.start, body.end), fields)?;
        self.run(message, (body.end, message.len()), &self.trailer)
    }

    /// Where the body stands: header fields before it, trailer fields after it.
    fn sections(&self, message: &Message<'_>) -> Result<std::ops::Range<usize>, Fault> {
        let is = |fields: &Fields, place: usize| message.at(place).is_some_and(|(tag, _)| fields.has(tag));
        let first = (0..message.len())
            .find(|place| !is(&self.header, *place))
            .unwrap_or(message.len());
        let mut last = message.len();
        while last > first && is(&self.trailer, last - 1) {
            last -= 1;
        }
        for place in first..last {
            if is(&self.header, place) || is(&self.trailer, place) {
                return Err(fault(message, place, FaultKind::OutOfOrder));
            }
        }
        Ok(first..last)
    }

    /// Checks a stretch of fields that are not an entry of a group.
    fn run(&self, message: &Message<'_>, (from, to): (usize, usize), fields: &Fields) -> Result<(), Fault> {
        let mut place = from;
        while place < to {
            let tag = self.value(message, place)?;
            if !fields.has(tag) {
                return Err(fault(message, place, FaultKind::NotOfMessage));
            }
            if (from..place).any(|before| message.at(before).is_some_and(|(other, _)| other == tag)) {
                return Err(fault(message, place, FaultKind::Repeated));
            }
            place = match fields.groups.get(&tag) {
                Some(group) => self.group(message, (place, to), group)?,
                None => place + 1,
            };
        }
        Ok(())
    }

    /// Checks the group whose count stands at a place; gives the place after it.
    fn group(
        &self,
        message: &Message<'_>,
        (count, to): (usize, usize),
        group: &Group,
    ) -> Result<usize, Fault> {
        let wanted = message
            .at(count)
            .and_then(|(_, value)| number(value))
            .unwrap_or(0);
        let (mut place, mut entries) = (count + 1, 0);
        while place < to && message.at(place).is_some_and(|(tag, _)| tag == group.first) {
            entries += 1;
            place = self.entry(message, (place, to), group)?;
        }
        let next = message.at(place).filter(|_| place < to);
        if next.is_some_and(|(tag, _)| group.fields.has(tag)) && entries == 0 && wanted > 0 {
            return Err(fault(message, place, FaultKind::GroupOrder));
        }
        if entries != wanted {
            return Err(fault(message, count, FaultKind::GroupCount));
        }
        Ok(place)
    }

    /// Checks one entry, whose first field stands at a place; gives the place after it.
    fn entry(
        &self,
        message: &Message<'_>,
        (first, to): (usize, usize),
        group: &Group,
    ) -> Result<usize, Fault> {
        let mut place = first;
        while place < to {
            let Some((tag, _)) = message.at(place) else { break };
            let again =
                (first..place).any(|before| message.at(before).is_some_and(|(other, _)| other == tag));
            if !group.fields.has(tag) || again {
                break;
            }
            self.value(message, place)?;
            place = match group.fields.groups.get(&tag) {
                Some(inner) => self.group(message, (place, to), inner)?,
                None => place + 1,
            };
        }
        let there =
            |tag: &u32| (first..place).any(|at| message.at(at).is_some_and(|(other, _)| other == *tag));
        match group.fields.required.iter().find(|tag| !there(tag)) {
            Some(tag) => Err(Fault {
                kind: FaultKind::RequiredMissing,
                place: None,
                tag: Some(*tag),
            }),
            None => Ok(place),
        }
    }

    /// Checks the value at a place; gives its tag.
    fn value(&self, message: &Message<'_>, place: usize) -> Result<u32, Fault> {
        let wrong = |kind| Err(fault(message, place, kind));
        let Some((tag, value)) = message.at(place) else {
            return wrong(FaultKind::InvalidTag);
        };
        let definition = usize::try_from(tag)
            .ok()
            .and_then(|tag| self.definitions.get(tag)?.as_ref());
        let Some(definition) = definition else {
            return wrong(FaultKind::InvalidTag);
        };
        if value.is_empty() {
            return wrong(FaultKind::NoValue);
        }
        if !definition.format.admits(value) {
            return wrong(FaultKind::BadFormat);
        }
        let listed = |one: &[u8]| definition.values.iter().any(|other| **other == *one);
        // The message's type was looked up before.
        let any = definition.values.is_empty() || tag == tag::MSG_TYPE;
        let several = definition.format == Format::Several && value.split(|byte| *byte == b' ').all(listed);
        if any || several || listed(value) {
            Ok(tag)
        } else {
            wrong(FaultKind::OutOfRange)
        }
    }
}

fn fault(message: &Message<'_>, place: usize, kind: FaultKind) -> Fault {
    let tag = message.at(place).map(|(tag, _)| tag);
    Fault {
        kind,
        place: Some(place),
        tag,
    }
}

/// Whether what a component requires is required where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}

/// Reads the XML.
struct Reader<'a, 'x> {
    root: roxmltree::Node<'a, 'x>,
    tags: BTreeMap<&'a str, u32>,
}

impl<'a, 'x> Reader<'a, 'x> {
    fn of(document: &'a roxmltree::Document<'x>) -> Reader<'a, 'x> {
        let root = document.root_element();
        let tags = part(root, "fields")
            .filter_map(|field| Some((field.attribute("name")?, field.attribute("number")?.parse().ok()?)))
            .collect();
        Reader { root, tags }
    }

    fn read(&self) -> Result<Dictionary, DictionaryError> {
        let mut dictionary = Dictionary::default();
        for field in part(self.root, "fields") {
            let tag = self.tag(field)?;
            let place = usize::try_from(tag).unwrap_or(usize::MAX).min(99_999);
            if dictionary.definitions.len() <= place {
                dictionary.definitions.resize_with(place + 1, || None);
            }
            let values = field.children().filter_map(|value| value.attribute("enum"));
            let values = values.map(|value| value.as_bytes().into()).collect();
            let format = Format::named(field.attribute("type").unwrap_or_default());
            dictionary.definitions[place] = Some(Definition { format, values });
        }
        for (section, fields) in [
            ("header", &mut dictionary.header),
            ("trailer", &mut dictionary.trailer),
        ] {
            for node in part(self.root, section) {
                self.member(node, fields, Need::Required)?;
            }
        }
        for message in part(self.root, "messages") {
            let kind = message.attribute("msgtype").unwrap_or_default();
            let mut fields = Fields::default();
            for node in elements(message) {
                self.member(node, &mut fields, Need::Required)?;
            }
            dictionary.messages.insert(kind.as_bytes().into(), fields);
        }
        Ok(dictionary)
    }

    fn tag(&self, node: roxmltree::Node<'_, '_>) -> Result<u32, DictionaryError> {
        let name = node.attribute("name").unwrap_or_default();
        self.tags
            .get(name)
            .copied()
            .ok_or_else(|| DictionaryError::Unknown(format!("field {name}")))
    }

    /// Adds a field, a group or a component; what is required of a component that is not required itself is not required.
    fn member(
        &self,
        node: roxmltree::Node<'_, '_>,
        to: &mut Fields,
        outer: Need,
    ) -> Result<(), DictionaryError> {
        let need = match node.attribute("required") {
            Some("Y") => outer,
            Some(_) | None => Need::Optional,
        };
        if node.tag_name().name() == "component" {
            let name = node.attribute("name").unwrap_or_default();
            let found =
                part(self.root, "components").find(|component| component.attribute("name") == Some(name));
            let component = found.ok_or_else(|| DictionaryError::Unknown(format!("component {name}")))?;
            return elements(component).try_for_each(|inner| self.member(inner, to, need));
        }
        let tag = self.tag(node)?;
        insert(&mut to.tags, tag);
        if need == Need::Required {
            insert(&mut to.required, tag);
        }
        if node.tag_name().name() == "group" {
            let mut group = Group::default();
            for inner in elements(node) {
                self.member(inner, &mut group.fields, Need::Required)?;
            }
            group.first = self.first(node)?;
            to.groups.insert(tag, group);
        }
        Ok(())
    }

    /// The field that an entry begins with.
    fn first(&self, group: roxmltree::Node<'_, '_>) -> Result<u32, DictionaryError> {
        let Some(node) = elements(group).next() else {
            return Ok(0);
        };
        if node.tag_name().name() != "component" {
            return self.tag(node);
        }
        let name = node.attribute("name").unwrap_or_default();
        let found = part(self.root, "components").find(|component| component.attribute("name") == Some(name));
        self.first(found.ok_or_else(|| DictionaryError::Unknown(format!("component {name}")))?)
    }
}

fn insert(tags: &mut Vec<u32>, tag: u32) {
    if let Err(place) = tags.binary_search(&tag) {
        tags.insert(place, tag);
    }
}

fn elements<'a, 'x>(node: roxmltree::Node<'a, 'x>) -> impl Iterator<Item = roxmltree::Node<'a, 'x>> {
    node.children().filter(roxmltree::Node::is_element)
}

fn part<'a, 'x>(
    root: roxmltree::Node<'a, 'x>,
    name: &'static str,
) -> impl Iterator<Item = roxmltree::Node<'a, 'x>> {
    let section = elements(root).find(move |node| node.tag_name().name() == name);
    section.into_iter().flat_map(elements)
}
