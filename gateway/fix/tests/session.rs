//! The session machine on its own, with virtual time: what each message and each silence leads to.

use xq_fix::dictionary::Dictionary;
use xq_fix::format::put_timestamp;
use xq_fix::session::{Names, Output, Reset, Say, Session, Step};
use xq_fix::wire::{Places, put_message};
use xq_protocol::Nanos;

const SECOND: u64 = 1_000_000_000;
const START: Nanos = Nanos(1_800_000_000 * SECOND);

/// Enough of a dictionary for session messages and one of an application.
const XML: &str = "<fix major='4' minor='4'><header>
 <field name='BeginString' required='Y'/><field name='MsgType' required='Y'/><field name='MsgSeqNum' required='Y'/>
 <field name='BodyLength' required='Y'/>
 <field name='SenderCompID' required='Y'/><field name='TargetCompID' required='Y'/><field name='SendingTime' required='Y'/>
 <field name='OrigSendingTime' required='N'/><field name='PossDupFlag' required='N'/></header>
 <trailer><field name='CheckSum' required='Y'/></trailer><components/>
 <messages>
 <message name='Heartbeat' msgtype='0'><field name='TestReqID' required='N'/></message>
 <message name='TestRequest' msgtype='1'><field name='TestReqID' required='Y'/></message>
 <message name='ResendRequest' msgtype='2'><field name='BeginSeqNo' required='Y'/><field name='EndSeqNo' required='Y'/></message>
 <message name='SequenceReset' msgtype='4'><field name='NewSeqNo' required='Y'/><field name='GapFillFlag' required='N'/></message>
 <message name='Logout' msgtype='5'><field name='Text' required='N'/></message>
 <message name='Logon' msgtype='A'><field name='EncryptMethod' required='Y'/><field name='HeartBtInt' required='Y'/>
  <field name='ResetSeqNumFlag' required='N'/><field name='NextExpectedMsgSeqNum' required='N'/></message>
 <message name='NewOrderSingle' msgtype='D'><field name='Text' required='N'/></message>
 </messages><fields>
 <field number='8' name='BeginString' type='STRING'/><field number='9' name='BodyLength' type='LENGTH'/>
 <field number='10' name='CheckSum' type='STRING'/><field number='35' name='MsgType' type='STRING'/>
 <field number='34' name='MsgSeqNum' type='SEQNUM'/><field number='49' name='SenderCompID' type='STRING'/>
 <field number='56' name='TargetCompID' type='STRING'/><field number='52' name='SendingTime' type='UTCTIMESTAMP'/>
 <field number='122' name='OrigSendingTime' type='UTCTIMESTAMP'/><field number='43' name='PossDupFlag' type='BOOLEAN'/>
 <field number='112' name='TestReqID' type='STRING'/><field number='7' name='BeginSeqNo' type='SEQNUM'/>
 <field number='16' name='EndSeqNo' type='SEQNUM'/><field number='36' name='NewSeqNo' type='SEQNUM'/>
 <field number='123' name='GapFillFlag' type='BOOLEAN'/><field number='58' name='Text' type='STRING'/>
 <field number='98' name='EncryptMethod' type='INT'/><field number='108' name='HeartBtInt' type='INT'/>
 <field number='141' name='ResetSeqNumFlag' type='BOOLEAN'/><field number='789' name='NextExpectedMsgSeqNum' type='SEQNUM'/>
 </fields></fix>";

struct Desk {
    session: Session,
    dictionary: Dictionary,
    now: Nanos,
    delivered: usize,
}

impl Desk {
    fn new(policy: Reset) -> Desk {
        let names = Names {
            ours: (*b"XQ").into(),
            theirs: (*b"SHOP").into(),
        };
        let dictionary = Dictionary::parse(XML).expect("it is a dictionary");
        Desk {
            session: Session::new(names, policy, START),
            dictionary,
            now: START,
            delivered: 0,
        }
    }

    /// A message of a type and number, with these fields after the header.
    fn message(&self, kind: &str, number: u64, rest: &str) -> Vec<u8> {
        let mut time = Vec::new();
        put_timestamp(&mut time, self.now);
        let time = String::from_utf8_lossy(&time);
        let rest = rest.replace("<NOW>", &time);
        let text = format!("35={kind}|34={number}|49=SHOP|56=XQ|52={time}|{rest}").replace('|', "\x01");
        let mut bytes = Vec::new();
        put_message(&mut bytes, text.as_bytes(), [&[], &[]]);
        bytes
    }

    /// Logs on with this number, the session standing at these.
    fn logon(&mut self, number: u64, rest: &str, stands: (u64, u64)) -> String {
        let bytes = self.message("A", number, &format!("98=0|108=30|{rest}"));
        let (mut places, mut out) = (Places::default(), Output::default());
        let message = places.read(&bytes).expect("it has fields");
        if !self.session.logon(self.now, &message, &mut out) {
            return "closed".to_owned();
        }
        self.session.established(self.now, stands, &mut out);
        shown(out)
    }

    fn receive(&mut self, kind: &str, number: u64, rest: &str) -> String {
        let bytes = self.message(kind, number, rest);
        let mut out = Output::default();
        self.take(&bytes, &mut out);
        while let Some(early) = self.session.next_early() {
            self.take(&early, &mut out);
        }
        shown(out)
    }

    fn take(&mut self, bytes: &[u8], out: &mut Output) {
        let mut places = Places::default();
        let message = places.read(bytes).expect("it has fields");
        let step = self.session.received(self.now, &message, &self.dictionary, out);
        self.delivered += usize::from(step == Step::Deliver);
    }

    fn wait(&mut self, seconds: u64) -> String {
        self.now.0 += seconds * SECOND;
        let mut out = Output::default();
        self.session.tick(self.now, &mut out);
        if !out.says.is_empty() {
            self.session.said(self.now);
        }
        shown(out)
    }
}

fn shown(out: Output) -> String {
    let say = |say: &Say| {
        let kind = String::from_utf8_lossy(&say.kind)
            .trim_end_matches('\0')
            .to_owned();
        format!(
            "{kind} {}",
            String::from_utf8_lossy(&say.body).replace('\x01', "|")
        )
    };
    let mut all: Vec<String> = out.says.iter().map(say).collect();
    all.extend(out.reset.map(|_| "anew".to_owned()));
    all.extend(out.resend.map(|(from, to)| format!("again {from} to {to}")));
    all.extend(out.close.map(|_| "closed".to_owned()));
    all.join(" & ")
}

#[test]
fn a_logon_meets_the_numbers_as_they_stand() {
    let cases = [
        (5, "", (5, 9), "A 98=0|108=30|"),
        (7, "", (5, 9), "A 98=0|108=30| & 2 7=5|16=0|"),
        (
            4,
            "",
            (5, 9),
            "5 58=MsgSeqNum too low, expecting 5 but received 4| & closed",
        ),
        (1, "141=Y|", (5, 9), "A 98=0|108=30|141=Y| & anew"),
        (2, "141=Y|", (5, 9), "closed"),
        (5, "789=9|", (5, 9), "A 98=0|108=30|789=6|"),
        (5, "789=4|", (5, 9), "A 98=0|108=30|789=6| & again 4 to 8"),
        (
            5,
            "789=10|",
            (5, 9),
            "5 58=NextExpectedMsgSeqNum is above 9, the next that is sent|",
        ),
        (
            5,
            "789=0|",
            (5, 9),
            "5 58=NextExpectedMsgSeqNum is above 9, the next that is sent|",
        ),
        // Told what is expected, the client sends it by itself.
        (8, "789=9|", (5, 9), "A 98=0|108=30|789=5|"),
        (0, "", (5, 9), "closed"),
        (1 << 53, "", (5, 9), "A 98=0|108=30| & 2 7=5|16=0|"),
        (u64::MAX, "", (5, 9), "closed"),
    ];
    for (number, rest, stands, wanted) in cases {
        assert_eq!(
            Desk::new(Reset::Agreed).logon(number, rest, stands),
            wanted,
            "{number} {rest}"
        );
    }
    assert_eq!(Desk::new(Reset::Never).logon(1, "141=Y|", (5, 9)), "closed");
    assert_eq!(
        Desk::new(Reset::OnLogon).logon(1, "", (5, 9)),
        "A 98=0|108=30| & anew"
    );
}

#[test]
fn a_logon_far_from_now_or_without_heartbeats_is_closed() {
    for (heartbeat, ahead) in [("0", 0), ("301", 0), ("-1", 0), ("30", 121), ("x", 0)] {
        let mut desk = Desk::new(Reset::Agreed);
        let bytes = desk.message("A", 1, &format!("98=0|108={heartbeat}|"));
        desk.now.0 += ahead * SECOND;
        let mut places = Places::default();
        let message = places.read(&bytes).expect("it has fields");
        assert!(
            !desk.session.logon(desk.now, &message, &mut Output::default()),
            "{heartbeat} {ahead}"
        );
    }
}

#[test]
fn silence_is_answered_with_heartbeats_a_test_and_the_end() {
    let mut desk = Desk::new(Reset::Agreed);
    desk.logon(1, "", (1, 1));
    assert_eq!(desk.wait(29), "");
    assert_eq!(desk.wait(1), "0 ");
    assert_eq!(desk.wait(6), "1 112=TEST|");
    assert_eq!(desk.receive("0", 2, "112=TEST|"), "");
    assert_eq!(desk.wait(30), "0 ");
    assert_eq!(desk.wait(6), "1 112=TEST|");
    assert_eq!(desk.wait(35), "");
    assert_eq!(desk.wait(1), "closed");
}

#[test]
fn what_comes_early_waits_and_is_asked_for_once() {
    let mut desk = Desk::new(Reset::Agreed);
    desk.logon(1, "", (1, 1));
    assert_eq!(desk.receive("D", 4, ""), "2 7=2|16=0|");
    assert_eq!(desk.receive("D", 5, ""), "");
    assert_eq!(desk.receive("D", 3, "43=Y|122=<NOW>|"), "");
    assert_eq!(desk.delivered, 0);
    assert_eq!(desk.receive("4", 2, "123=Y|36=3|"), "");
    assert_eq!((desk.delivered, desk.session.next_in()), (3, 6));
    // What was asked for and does not come is asked for again, not each time something else comes.
    assert_eq!(desk.receive("D", 9, ""), "2 7=6|16=0|");
    assert_eq!(desk.wait(9), "");
    assert_eq!(desk.wait(1), "2 7=6|16=0|");
}

#[test]
fn early_messages_are_kept_within_bounds() {
    let mut desk = Desk::new(Reset::Agreed);
    desk.logon(1, "", (1, 1));
    for number in 3..6_000 {
        desk.receive("D", number, "58=x|");
    }
    desk.receive("D", 2, "43=Y|122=<NOW>|");
    let next = desk.session.next_in();
    assert!((1_000..=1_027).contains(&next), "{next}");
    // The rest is asked for again when the next one comes.
    assert_eq!(desk.receive("D", 6_000, ""), format!("2 7={next}|16=0|"));
}

#[test]
fn a_message_sent_again_is_executed_once() {
    let mut desk = Desk::new(Reset::Agreed);
    desk.logon(1, "", (1, 1));
    assert_eq!(desk.receive("D", 2, ""), "");
    assert_eq!(desk.receive("D", 2, "43=Y|122=<NOW>|"), "");
    assert_eq!((desk.delivered, desk.session.next_in()), (1, 3));
    assert_eq!(desk.receive("D", 3, "43=Y|122=<NOW>|"), "");
    assert_eq!(desk.delivered, 2);
    assert_eq!(
        desk.receive("2", 3, "43=Y|122=<NOW>|7=1|16=0|"),
        "",
        "nor is a request for numbers answered twice"
    );
    assert_eq!(
        desk.receive("D", 2, ""),
        "5 58=MsgSeqNum too low, expecting 4 but received 2| & closed"
    );
}

#[test]
fn numbers_may_leap_forward_and_never_back() {
    let mut desk = Desk::new(Reset::Agreed);
    desk.logon(1, "", (1, 1));
    assert_eq!(desk.receive("4", 1, "36=1000000|"), "");
    assert_eq!(desk.session.next_in(), 1_000_000);
    let refused = "3 45=1|58=Value is incorrect (out of range) for this tag|371=36|372=4|373=5|";
    assert_eq!(desk.receive("4", 1, "36=5|"), refused);
    let gap = desk.receive("4", 1_000_000, "123=Y|36=7|");
    assert!(gap.starts_with("3 45=1000000|58=Value is incorrect"), "{gap}");
    assert_eq!(desk.session.next_in(), 1_000_001);
}

#[test]
fn a_second_logon_or_a_wrong_time_does_not_pass() {
    let mut desk = Desk::new(Reset::Agreed);
    desk.logon(1, "", (1, 1));
    let again = desk.receive("A", 2, "98=0|108=30|");
    assert!(
        again.starts_with("3 45=2|") && again.contains("|371=35|372=A|373=5|"),
        "{again}"
    );
    let bytes = desk.message("D", 3, "");
    desk.now.0 += 121 * SECOND;
    let mut out = Output::default();
    desk.take(&bytes, &mut out);
    assert_eq!(
        shown(out),
        "3 45=3|58=SendingTime accuracy problem|372=D|373=10| & 5 "
    );
    assert_eq!(desk.delivered, 0);
    assert_eq!(
        desk.receive("D", 4, ""),
        "",
        "all that still matters is its Logout"
    );
    assert_eq!(desk.wait(1), "");
    assert_eq!(desk.wait(1), "closed");
}
