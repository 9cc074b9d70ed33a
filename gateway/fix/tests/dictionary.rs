//! The exchange's dictionary: all that is spoken at this door stands in it, and it contradicts itself nowhere.

use std::collections::BTreeSet;
use xq_fix::dictionary::{Dictionary, XQFIX44};
use xq_fix::tag;
use xq_fix::wire::{Places, put_message};

/// The messages of the dialect.
const KINDS: &[&str] = &[
    "0", "1", "2", "3", "4", "5", "A", "D", "F", "G", "H", "AF", "q", "r", "8", "9", "j", "x", "y", "c", "d",
    "e", "f", "g", "h", "AD", "AQ", "AE", "AR", "AN", "AO", "AP", "BA", "V", "W", "X", "Y", "U1", "U2", "U3",
    "U4", "U5", "U6",
];

fn named<'a>(node: roxmltree::Node<'a, 'a>, name: &str) -> roxmltree::Node<'a, 'a> {
    let mut found = node.children().filter(|child| child.tag_name().name() == name);
    found.next().expect("there is such a section")
}

#[test]
fn every_tag_and_message_that_is_spoken_stands_in_it() {
    let dictionary = Dictionary::of_the_exchange();
    for (name, tag) in tag::ALL {
        assert!(dictionary.defines(*tag), "{name} = {tag}");
    }
    for kind in KINDS {
        assert!(dictionary.knows(kind.as_bytes()), "{kind}");
    }
    assert!(!dictionary.defines(9_999) && !dictionary.knows(b"U7"));
}

#[test]
fn names_and_numbers_stand_once_and_every_field_is_used() {
    let document = roxmltree::Document::parse(XQFIX44).expect("it is XML");
    let root = document.root_element();
    let elements = |node: roxmltree::Node<'_, '_>| node.descendants().filter(|one| one.is_element()).count();
    let fields = named(root, "fields");
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for field in fields.children().filter(|one| one.is_element()) {
        assert!(names.insert(field.attribute("name").expect("a name")));
        assert!(numbers.insert(field.attribute("number").expect("a number")));
        let values: Vec<_> = field
            .children()
            .filter_map(|value| value.attribute("enum"))
            .collect();
        let distinct: BTreeSet<_> = values.iter().collect();
        assert_eq!(values.len(), distinct.len(), "{:?}", field.attribute("name"));
    }
    let mut used = BTreeSet::new();
    for section in ["header", "messages", "trailer"] {
        let section = named(root, section);
        assert!(elements(section) > 1);
        let members = section
            .descendants()
            .filter(|one| matches!(one.tag_name().name(), "field" | "group"));
        used.extend(members.filter_map(|one| one.attribute("name")));
    }
    assert_eq!(used, names, "what is used is defined, and nothing else is");
}

#[test]
fn the_list_of_types_is_that_of_the_messages() {
    let document = roxmltree::Document::parse(XQFIX44).expect("it is XML");
    let root = document.root_element();
    let messages = named(root, "messages");
    let types: BTreeSet<_> = messages
        .children()
        .filter_map(|one| one.attribute("msgtype"))
        .collect();
    assert_eq!(types, KINDS.iter().copied().collect());
    let fields = named(root, "fields");
    let listed = fields
        .children()
        .find(|one| one.attribute("number") == Some("35"));
    let listed: BTreeSet<_> = listed
        .into_iter()
        .flat_map(|field| field.children())
        .filter_map(|value| value.attribute("enum"))
        .collect();
    assert_eq!(
        listed, types,
        "a type that field 35 does not list is refused by QuickFIX"
    );
}

#[test]
fn an_order_is_admitted_and_one_without_account_is_not() {
    let dictionary = Dictionary::of_the_exchange();
    let head = "35=D|34=2|49=SHOP|56=XQ|52=20260101-00:00:00|";
    let rest = "11=a-1|55=COFFEE|54=1|60=20260101-00:00:00|38=5|40=2|44=27.50|59=1|21011=N|";
    let told = |account: &str| {
        let text = [head, account, rest].concat().replace('|', "\x01");
        let (mut bytes, mut places) = (Vec::new(), Places::default());
        put_message(&mut bytes, text.as_bytes(), [&[], &[]]);
        let message = places.read(&bytes).expect("it has fields");
        dictionary
            .check(&message)
            .map_err(|fault| (fault.kind.told().0, fault.tag))
    };
    assert_eq!(told("1=7|"), Ok(()));
    assert_eq!(told(""), Err((1, Some(tag::ACCOUNT))));
    assert_eq!(told("1=7|40=9|"), Err((5, Some(tag::ORD_TYPE))));
}
