//! The pages of docs/ that are made from the tables: the protocol and its errors.

use super::{Row, xml};
use std::fmt::Write as _;
use xq_protocol::*;

const PROTOCOL_HEAD: &str = "\
# Protocol

Made from the tables in `protocol/src` by its tests; `XQ_BLESS=1 cargo test -p xq-protocol` makes it anew. The same tables
make `protocol/schema/xq.xml`, from which SBE tools generate clients; `protocol/golden/` pins the bytes of every message.

Every message is one frame: a header of 40 bytes and a body of fixed layout; little-endian, a multiple of 8 bytes, at most
1,024. Events have at most 128 bytes. A message's template id is a command's id on every door.

```text
 0        2        4        6        8                16               24       28     30     32              40
 | block  | templ- | schema | schema | seq            | time           | session| index| flags| req_seq       |
 | length | ate id | id     | version| u64            | u64 ns UTC     | u32    | u16  | u16  | u64           |
```

A client fills in `req_seq` and leaves `seq`, `time`, `session`, `index` and `flags` zero, else R106. In an event, `seq` is the
causing command's, `index` the event's place among that command's events; bit 0 of `flags` marks the last of them, bit 1 an
outcome told again. Reserved bytes are zero. A frame of another schema, version or length than is spoken is refused by name.

";

const MARKET_HEAD: &str = "
`xqmd/1` is a connection of its own, with the same keys. Its messages travel in packets of at most 1,024 bytes: a header of 32
bytes, then `count` messages, each a head of 16 bytes and its body.

```text
 0        2        4        6        8                16               24               32
 | length | schema | channel| count  | ch_seq         | seq            | time           |   packet
 | u16    | version| u16    | u16    | u64            | u64            | u64 ns UTC     |

 0        2      3      4              8              12             16
 | templ- | body | flags| series       | time after   | seq after    |                       message
 | ate id | ÷ 8  | u8   | u32          | u32 ns       | u32          |
```

A channel's messages are numbered from 1 without gaps: `ch_seq` is the number of a packet's first, an empty packet tells the
next one's. Numbers begin anew with each start of the exchange. `seq` and `time` are of the command behind the packet's first
message; a message's head says how many commands and nanoseconds later its own came. Bit 0 of `flags` marks the last message of
its command on this channel. Outside of channels (`channel` 65,535) `ch_seq` is zero.

1. The client opens one stream of requests. The exchange answers on a stream of its own, which MarketWelcome begins; snapshots
   and levels come on a further stream each, once they are asked for. ChannelsWanted lets the datagrams flow.
2. Datagrams may be lost or overtake one another. A client that finds a gap holds its books for invalid, asks with RepairWanted
   for what is missing, or for a snapshot when that is refused (R109: not kept any more), and applies what came meanwhile.
3. A snapshot is the book before the message `next` of the series' channel: messages before are in it, later ones are not.
4. A book's hash: from 14695981039346656037 on, each 64-bit word w in turn makes h into ((h xor w) × 1099511628211 mod 2^64), then
   into (h xor (h >> 29)). The words of an order are its id, price and quantity; first come the buy orders in priority, then how
   many they are, then the sell orders and how many they are.
";

/// `docs/protocol.md`.
pub fn protocol() -> String {
    let mut page = format!("{PROTOCOL_HEAD}Schema {SCHEMA_ID}, version {SCHEMA_VERSION}.\n");
    let families: [(&str, &str, &[Row]); 4] = [
        ("Commands", "", COMMANDS),
        ("Events", "", EVENTS),
        ("Session messages", "", SESSION_MESSAGES),
        ("Market data", MARKET_HEAD, MARKET_MESSAGES),
    ];
    for (title, head, rows) in families {
        write!(page, "\n## {title}\n{head}").expect("a String takes all");
        for row in rows {
            write_message(&mut page, row);
        }
    }
    page += "\n## Types\n\n| type | is | bytes | meaning |\n|---|---|---|---|\n";
    for (name, field) in xml::types() {
        let shape = match field.shape {
            Shape::Integer(primitive) => primitive.to_owned(),
            Shape::Integers(primitive, count) => format!("{count} times {primitive}"),
            Shape::Choice(pairs) => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(value, name)| format!("{value} {name}"))
                    .collect();
                pairs.join(", ")
            }
            Shape::Text(_) => "ASCII, padded with zeros".to_owned(),
            Shape::Bytes(_) => "bytes".to_owned(),
            Shape::Zeros(_) => "zeros".to_owned(),
        };
        let (length, about) = (field.length, field.type_about.trim());
        writeln!(page, "| {name} | {shape} | {length} | {about} |").expect("a String takes all");
    }
    page
}

fn write_message(page: &mut String, row: &Row) {
    let (template, name, about, fields, length) = row;
    let about = about.trim();
    write!(page, "\n### {template} {name}\n\n{about} Body: {length} bytes.").expect("a String takes all");
    if let Some(rule) = rule(*template) {
        let roles: Vec<_> = rule.roles.iter().map(|role| role.text()).collect();
        write!(page, " Said by: {}.", roles.join(", ")).expect("a String takes all");
    }
    *page += "\n";
    if !fields.is_empty() {
        *page += "\n| at | bytes | field | type | meaning |\n|---|---|---|---|---|\n";
    }
    for field in *fields {
        let (kind, about) = (xml::type_name(field), field.about.trim());
        writeln!(
            page,
            "| {} | {} | {} | {kind} | {about} |",
            field.offset, field.length, field.name
        )
        .expect("a String takes all");
    }
}

/// `docs/errors.md`.
pub fn errors() -> String {
    let mut page = "\
# Errors

Made from `protocol/src/reject.rs` by its tests; `XQ_BLESS=1 cargo test -p xq-protocol` makes it anew. `xq errors CODE` tells
one. Inside a group, the order is precedence: of several reasons the first is told. Numbers are never reused.

A refusal at the door never enters the exchange and consumes its request number; every other is an event in the journal.

| code | name | told by | meaning |
|---|---|---|---|
"
    .to_owned();
    for reason in RejectReason::ALL {
        let door = if reason.is_door() { "door" } else { "exchange" };
        let (code, name, text) = (reason.code(), reason.name(), reason.text());
        writeln!(page, "| R{code} | {name} | {door} | {text} |").expect("a String takes all");
    }
    page
}
