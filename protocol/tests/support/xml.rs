//! The SBE 1.0 schema, made from the tables of messages.

use super::framed_and_packed;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use xq_protocol::{Field, SCHEMA_ID, SCHEMA_VERSION, Shape};

const HEADER: &[(&str, &str, &str)] = &[
    ("blockLength", "uint16", "Bytes of the body after the header."),
    ("templateId", "uint16", "Which message the body is."),
    ("schemaId", "uint16", "Which schema."),
    ("version", "uint16", "Which version of the schema."),
    (
        "seq",
        "uint64",
        "Place in the command journal; a client leaves it zero.",
    ),
    (
        "time",
        "uint64",
        "Nanoseconds UTC when the command entered the exchange; a client leaves it zero.",
    ),
    ("session", "uint32", "Who spoke; a client leaves it zero."),
    (
        "index",
        "uint16",
        "Place among the events of one command; a client leaves it zero.",
    ),
    (
        "flags",
        "uint16",
        "Bit 0: last event of its command. Bit 1: told again. A client leaves it zero.",
    ),
    ("req_seq", "uint64", "Number of the request within its session."),
];

const PACKET_HEADER: &[(&str, &str, &str)] = &[
    ("length", "uint16", "Bytes of the packet, this header included."),
    ("version", "uint16", "Which version of the schema."),
    ("channel", "uint16", "The channel; 65,535 for none."),
    ("count", "uint16", "How many messages follow."),
    (
        "ch_seq",
        "uint64",
        "Number of the first message in its channel; zero outside of channels.",
    ),
    (
        "seq",
        "uint64",
        "Place in the command journal of the command behind the first message.",
    ),
    (
        "time",
        "uint64",
        "Nanoseconds UTC when that command entered the exchange.",
    ),
];

const MESSAGE_HEAD: &[(&str, &str, &str)] = &[
    ("templateId", "uint16", "Which message follows."),
    ("words", "uint8", "Its length in words of eight bytes."),
    (
        "flags",
        "uint8",
        "Bit 0: last message of its command on this channel.",
    ),
    ("series", "uint32", "The series it is about; zero for none."),
    ("time_after", "uint32", "Nanoseconds after the packet's time."),
    ("seq_after", "uint32", "Commands after the packet's."),
];

fn write_composite(xml: &mut String, name: &str, about: &str, fields: &[(&str, &str, &str)]) {
    writeln!(xml, "        <composite name=\"{name}\" description=\"{about}\">").expect("a String takes all");
    for (name, primitive, about) in fields {
        let about = escaped(about);
        writeln!(
            xml,
            "            <type name=\"{name}\" primitiveType=\"{primitive}\" description=\"{about}\"/>"
        )
        .expect("a String takes all");
    }
    *xml += "        </composite>\n";
}

/// The type's name in the schema: reserved bytes have one for each length.
pub fn type_name(field: &Field) -> String {
    match field.shape {
        Shape::Zeros(length) => format!("Reserved{length}"),
        Shape::Integer(_) | Shape::Integers(..) | Shape::Choice(_) | Shape::Text(_) | Shape::Bytes(_) => {
            field.type_name.to_owned()
        }
    }
}

/// Every type that a message uses, by name.
pub fn types() -> BTreeMap<String, Field> {
    framed_and_packed()
        .flat_map(|row| row.3)
        .map(|field| (type_name(field), *field))
        .collect()
}

fn escaped(text: &str) -> String {
    text.trim()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The whole schema.
pub fn schema() -> String {
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
         <!-- Made from the tables in protocol/src by its tests; XQ_BLESS=1 makes it anew. -->\n\
         <sbe:messageSchema xmlns:sbe=\"http://fixprotocol.io/2016/sbe\" package=\"xianquan\" id=\"{SCHEMA_ID}\" \
         version=\"{SCHEMA_VERSION}\" semanticVersion=\"xqoe/1\" description=\"Xianquan coupon exchange\" \
         byteOrder=\"littleEndian\" headerType=\"messageHeader\">\n    <types>\n"
    );
    let about = "Header of every frame: SBE's four fields, then ours.";
    write_composite(&mut xml, "messageHeader", about, HEADER);
    let about = "Header of every packet of market data; so many messages follow, each behind a head.";
    write_composite(&mut xml, "packetHeader", about, PACKET_HEADER);
    write_composite(
        &mut xml,
        "packetMessageHead",
        "Head of a message in a packet.",
        MESSAGE_HEAD,
    );
    for (name, field) in types() {
        write_type(&mut xml, &name, &field);
    }
    xml += "    </types>\n";
    for row in framed_and_packed() {
        let about = escaped(row.2);
        let (id, name, length) = (row.0, row.1, row.4);
        writeln!(
            xml,
            "    <sbe:message name=\"{name}\" id=\"{id}\" blockLength=\"{length}\" description=\"{about}\">"
        )
        .expect("a String takes all");
        for (k, field) in (1..).zip(row.3) {
            write_field(&mut xml, k, field);
        }
        xml += "    </sbe:message>\n";
    }
    xml += "</sbe:messageSchema>\n";
    xml
}

fn write_type(xml: &mut String, name: &str, field: &Field) {
    let about = escaped(field.type_about);
    let simple = |rest: &str| format!("        <type name=\"{name}\" {rest} description=\"{about}\"/>\n");
    match field.shape {
        Shape::Integer(primitive) => *xml += &simple(&format!("primitiveType=\"{primitive}\"")),
        Shape::Integers(primitive, length) => {
            *xml += &simple(&format!("primitiveType=\"{primitive}\" length=\"{length}\""));
        }
        Shape::Text(length) => {
            *xml += &simple(&format!(
                "primitiveType=\"char\" length=\"{length}\" characterEncoding=\"US-ASCII\""
            ));
        }
        Shape::Bytes(length) => *xml += &simple(&format!("primitiveType=\"uint8\" length=\"{length}\"")),
        // SBE's constants take no bytes on the wire, and these do: so they are bytes of which only zero is valid.
        Shape::Zeros(length) => {
            let range = "minValue=\"0\" maxValue=\"0\"";
            *xml += &simple(&format!("primitiveType=\"uint8\" length=\"{length}\" {range}"));
        }
        Shape::Choice(pairs) => {
            writeln!(
                xml,
                "        <enum name=\"{name}\" encodingType=\"uint8\" description=\"{about}\">"
            )
            .expect("a String takes all");
            for (value, choice) in pairs {
                writeln!(
                    xml,
                    "            <validValue name=\"{choice}\">{value}</validValue>"
                )
                .expect("a String takes all");
            }
            *xml += "        </enum>\n";
        }
    }
}

fn write_field(xml: &mut String, id: usize, field: &Field) {
    let (name, kind, offset, about) = (field.name, type_name(field), field.offset, escaped(field.about));
    writeln!(
        xml,
        "        <field name=\"{name}\" id=\"{id}\" type=\"{kind}\" offset=\"{offset}\" description=\"{about}\"/>"
    )
    .expect("a String takes all");
}
