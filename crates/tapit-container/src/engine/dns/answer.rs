//! What is answered to a question: a pure decision over the bytes of the question and what is known of the app.
//!
//! ```text
//! api   api.APP.internal   a process: the addresses of its healthy instances, some of them in changing order
//! anything.internal   any other single label   nobody
//! 2.0.64.10.in-addr.arpa   an address of the app: the process that has it
//! everything else   the host's resolvers are asked
//! ```

use std::net::Ipv4Addr;

use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::message_builder::PushError;
use domain::base::name::{Name, ParsedName, ToLabelIter};
use domain::base::{Message, MessageBuilder, Rtype, Serial, StaticCompressor, Ttl};
use domain::rdata::{A, Ptr, Soa};
use tapit_model::{AppName, ProcessName};

use crate::linux::net::Subnet;

/// Everything below it belongs to this host and nobody else is asked for it. The name is set aside for such use.
const ZONE: &str = "internal";
/// Addresses may change with every moment.
const LIFETIME: Ttl = Ttl::from_secs(1);
/// So many fit into the 512 bytes that every asker takes, whatever the name. Of more, each answer has others.
const ADDRESSES_MAX: usize = 16;
/// What this side would take over UDP, for those who say what they take.
const PAYLOAD: u16 = 1232;

/// What is known of an app's processes.
pub trait Directory {
    /// Addresses of the healthy instances; `None` where there is no such process.
    fn healthy(&self, process: &ProcessName) -> Option<Vec<Ipv4Addr>>;
    /// Whose an address is.
    fn owner(&self, address: Ipv4Addr) -> Option<ProcessName>;
}

/// Whose gateway was asked, and how many questions were asked there before.
pub struct Asked<'a> {
    pub app: &'a AppName,
    pub subnet: Subnet,
    pub turn: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Reaction {
    Answer(Vec<u8>),
    Forward,
    /// Not a question.
    Ignore,
}

/// What a name stands for, here.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Process(ProcessName),
    Address(Ipv4Addr),
    Nobody,
    Elsewhere,
}

type Question<'a> = Message<&'a [u8]>;

pub fn react(bytes: &[u8], asked: &Asked, directory: &impl Directory) -> Reaction {
    let Ok(question) = Message::from_octets(bytes) else { return Reaction::Ignore };
    if question.header().qr() {
        return Reaction::Ignore;
    }
    let content = if question.header().opcode() != Opcode::QUERY {
        Content::Refusal(Rcode::NOTIMP)
    } else {
        match question.sole_question() {
            Err(_) => Content::Refusal(Rcode::FORMERR),
            Ok(asks) if asks.qclass() != Class::IN => Content::Refusal(Rcode::REFUSED),
            Ok(asks) => match content(meaning(&labels(asks.qname()), asked), asks.qtype(), asked, directory) {
                Some(content) => content,
                None => return Reaction::Forward,
            },
        }
    };
    compose(&question, &content).map_or(Reaction::Ignore, Reaction::Answer)
}

/// The answer that nothing could be found out; `None` to what is no question.
pub fn failure(bytes: &[u8]) -> Option<Vec<u8>> {
    let question = Message::from_octets(bytes).ok()?;
    compose(&question, &Content::Refusal(Rcode::SERVFAIL)).ok()
}

/// `None` when others are to be asked.
fn content(meaning: Meaning, kind: Rtype, asked: &Asked, directory: &impl Directory) -> Option<Content> {
    let content = match meaning {
        Meaning::Elsewhere => return None,
        Meaning::Nobody => Content::Nothing(Rcode::NXDOMAIN),
        Meaning::Process(process) => match directory.healthy(&process) {
            None => Content::Nothing(Rcode::NXDOMAIN),
            Some(addresses) if addresses.is_empty() || !matches!(kind, Rtype::A | Rtype::ANY) => {
                Content::Nothing(Rcode::NOERROR)
            }
            Some(addresses) => Content::Addresses(in_turn(&addresses, asked.turn)),
        },
        Meaning::Address(address) => match directory.owner(address) {
            None => Content::Nothing(Rcode::NXDOMAIN),
            Some(process) if matches!(kind, Rtype::PTR | Rtype::ANY) => {
                Content::Pointer(format!("{process}.{}.{ZONE}", asked.app))
            }
            Some(_) => Content::Nothing(Rcode::NOERROR),
        },
    };
    Some(content)
}

/// In lower case, which is what names are compared in. What is not text stands for nothing of ours.
fn labels(name: &ParsedName<&[u8]>) -> Vec<String> {
    let labels = name.iter_labels().filter(|label| !label.is_root());
    labels.map(|label| String::from_utf8_lossy(label.as_slice()).to_ascii_lowercase()).collect()
}

fn meaning(labels: &[String], asked: &Asked) -> Meaning {
    let process = |name: &str| ProcessName::parse(name).map_or(Meaning::Nobody, Meaning::Process);
    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
    match labels[..] {
        [] => Meaning::Elsewhere,
        [ZONE] => Meaning::Nobody,
        [name] => process(name),
        [name, app, ZONE] if app == asked.app.as_str() => process(name),
        [.., ZONE] => Meaning::Nobody,
        [d, c, b, a, "in-addr", "arpa"] => match [a, b, c, d].join(".").parse() {
            Ok(address) if asked.subnet.contains(address) => Meaning::Address(address),
            Ok(_) | Err(_) => Meaning::Elsewhere,
        },
        _ => Meaning::Elsewhere,
    }
}

/// As many as fit, beginning elsewhere each time.
fn in_turn(addresses: &[Ipv4Addr], turn: usize) -> Vec<Ipv4Addr> {
    let count = addresses.len().min(ADDRESSES_MAX);
    addresses.iter().copied().cycle().skip(turn % addresses.len().max(1)).take(count).collect()
}

/// What an answer consists of besides the question.
enum Content {
    Addresses(Vec<Ipv4Addr>),
    Pointer(String),
    /// Nothing of that name, or nothing of that kind.
    Nothing(Rcode),
    Refusal(Rcode),
}

impl Content {
    fn code(&self) -> Rcode {
        match self {
            Content::Addresses(_) | Content::Pointer(_) => Rcode::NOERROR,
            Content::Nothing(code) | Content::Refusal(code) => *code,
        }
    }
}

/// Fails only for what can be in no message, which nothing here makes.
fn compose(question: &Question, content: &Content) -> Result<Vec<u8>, PushError> {
    let target = StaticCompressor::new(Vec::new());
    let mut builder = MessageBuilder::from_target(target).map_err(|_| PushError::ShortBuf)?;
    let mut answer = if question.sole_question().is_ok() {
        builder.start_answer(question, content.code())?
    } else {
        // Many questions, written out, would make an answer that is longer than what was asked.
        let (header, asked) = (builder.header_mut(), question.header());
        header.set_id(asked.id());
        header.set_qr(true);
        header.set_opcode(asked.opcode());
        header.set_rd(asked.rd());
        header.set_rcode(content.code());
        builder.answer()
    };
    answer.header_mut().set_ra(true);
    answer.header_mut().set_aa(!matches!(content, Content::Refusal(_)));
    let name = question.sole_question().ok().map(|asks| asks.into_qname());
    match (content, &name) {
        (Content::Addresses(addresses), Some(name)) => {
            for address in addresses {
                answer.push((name, LIFETIME, A::new(*address)))?;
            }
        }
        (Content::Pointer(owner), Some(name)) => {
            let owner: Name<Vec<u8>> = owner.parse().map_err(|_| PushError::ShortBuf)?;
            answer.push((name, LIFETIME, Ptr::new(owner)))?;
        }
        (Content::Nothing(_) | Content::Refusal(_), _) | (_, None) => {}
    }
    let mut authority = answer.authority();
    if let (Content::Nothing(_), Some(name)) = (content, &name) {
        // Without this an asker would remember for minutes that there is nothing.
        let soa = Soa::new(name, name, Serial::from(1), LIFETIME, LIFETIME, LIFETIME, LIFETIME);
        authority.push((name, LIFETIME, soa))?;
    }
    let mut additional = authority.additional();
    if question.opt().is_some() {
        // The asker said what it takes, so it must be told the same.
        additional.opt(|opt| {
            opt.set_udp_payload_size(PAYLOAD);
            Ok(())
        })?;
    }
    Ok(additional.finish().into_target())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// `api` has so many healthy instances, `sick` none; everything below 10.64.0.9 is `api`'s.
    struct Shop(u8);

    impl Directory for Shop {
        fn healthy(&self, process: &ProcessName) -> Option<Vec<Ipv4Addr>> {
            let ip = |last| Ipv4Addr::new(10, 64, 0, last);
            let known = BTreeMap::from([("api", (2..2 + self.0).map(ip).collect()), ("sick", Vec::new())]);
            known.get(process.as_str()).cloned()
        }

        fn owner(&self, address: Ipv4Addr) -> Option<ProcessName> {
            (address.octets()[3] < 9).then(|| ProcessName::parse("api").expect("a legal name"))
        }
    }

    fn question(name: &str, kind: Rtype) -> Vec<u8> {
        let mut question = MessageBuilder::new_vec().question();
        question.push((name.parse::<Name<Vec<u8>>>().expect(name), kind)).expect("fits");
        question.finish()
    }

    fn asked(turn: usize, check: impl Fn(&Asked) -> Reaction) -> Reaction {
        let app = AppName::parse("shop").expect("a legal name");
        check(&Asked { app: &app, subnet: "10.64.0.0/22".parse().expect("a subnet"), turn })
    }

    /// The code and the records of the answer in words.
    fn told(name: &str, kind: Rtype) -> String {
        match asked(1, |asked| react(&question(name, kind), asked, &Shop(3))) {
            Reaction::Ignore => "ignored".to_owned(),
            Reaction::Forward => "others are asked".to_owned(),
            Reaction::Answer(answer) => {
                let answer = Message::from_octets(answer).expect("a message");
                let records = answer.answer().expect("a section");
                let addresses = records.limit_to::<A>().map(|it| it.expect("a record").data().to_string());
                let names = answer.answer().expect("a section").limit_to::<Ptr<_>>();
                let names = names.map(|it| it.expect("a record").data().to_string());
                let code = answer.header().rcode().to_string();
                std::iter::once(code).chain(addresses).chain(names).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn a_process_is_its_healthy_instances() {
        for name in ["api", "API", "api.shop.internal", "Api.Shop.Internal."] {
            assert_eq!(told(name, Rtype::A), "NOERROR 10.64.0.3 10.64.0.4 10.64.0.2", "{name}");
        }
        assert_eq!(told("api", Rtype::AAAA), "NOERROR");
        assert_eq!(told("api", Rtype::from_int(65_000)), "NOERROR");
        assert_eq!(told("sick", Rtype::A), "NOERROR");
    }

    #[test]
    fn names_of_nobody_are_known_to_be_so() {
        for name in ["web", "api.blog.internal", "web.shop.internal", "internal", "x.api.shop.internal", "-", "a_b"] {
            assert_eq!(told(name, Rtype::A), "NXDOMAIN", "{name}");
        }
    }

    #[test]
    fn an_address_of_the_app_has_the_name_of_its_process() {
        assert_eq!(told("2.0.64.10.in-addr.arpa", Rtype::PTR), "NOERROR api.shop.internal.");
        assert_eq!(told("2.0.64.10.in-addr.arpa", Rtype::A), "NOERROR");
        assert_eq!(told("9.0.64.10.in-addr.arpa", Rtype::PTR), "NXDOMAIN");
        assert_eq!(told("2.4.64.10.in-addr.arpa", Rtype::PTR), "others are asked");
    }

    #[test]
    fn others_are_asked_for_everything_else() {
        for name in ["example.com", "api.shop", "api.shop.internal.example.com", "in-addr.arpa", "."] {
            assert_eq!(told(name, Rtype::A), "others are asked", "{name}");
        }
    }

    #[test]
    fn every_answer_fits_into_the_smallest_datagram_and_many_are_told_in_turn() {
        let app = AppName::parse(&"a".repeat(32)).expect("a legal name");
        let name = format!("api.{app}.internal");
        let mut told = std::collections::BTreeSet::new();
        for turn in 0..200 {
            let asked = Asked { app: &app, subnet: "10.64.0.0/22".parse().expect("a subnet"), turn };
            let Reaction::Answer(answer) = react(&question(&name, Rtype::A), &asked, &Shop(200)) else {
                panic!("no answer")
            };
            assert!(answer.len() <= 512, "{}", answer.len());
            let answer = Message::from_octets(answer).expect("a message");
            told.extend(answer.answer().expect("a section").limit_to::<A>().map(|it| it.expect("one").data().addr()));
        }
        assert_eq!(told.len(), 200);
    }

    #[test]
    fn what_is_no_question_is_not_answered_and_what_is_wrong_is_refused() {
        let react = |bytes: &[u8]| asked(0, |asked| react(bytes, asked, &Shop(1)));
        assert_eq!(react(&[]), Reaction::Ignore);
        let mut answer = question("api", Rtype::A);
        answer[2] |= 0x80;
        assert_eq!(react(&answer), Reaction::Ignore);
        let code = |reaction| match reaction {
            Reaction::Answer(answer) => Message::from_octets(answer).expect("a message").header().rcode(),
            Reaction::Forward | Reaction::Ignore => panic!("{reaction:?}"),
        };
        let mut update = question("api", Rtype::A);
        update[2] |= 5 << 3;
        assert_eq!(code(react(&update)), Rcode::NOTIMP);
        let mut cut = question("api", Rtype::A);
        cut.truncate(14);
        assert_eq!(code(react(&cut)), Rcode::FORMERR);
        let mut many = question("api", Rtype::A);
        many[5] = 200;
        many.extend([0xc0, 12, 0, 1, 0, 1].repeat(199));
        let answered = react(&many);
        assert!(matches!(&answered, Reaction::Answer(answer) if answer.len() == 12), "{answered:?}");
        assert_eq!(code(answered), Rcode::FORMERR);
        let mut chaos = question("api", Rtype::A);
        let last = chaos.len() - 1;
        chaos[last] = 3;
        assert_eq!(code(react(&chaos)), Rcode::REFUSED);
    }

    #[test]
    fn bytes_of_any_kind_end_in_some_reaction() {
        let good = question("api.shop.internal", Rtype::A);
        for place in 0..good.len() {
            for value in [0, 1, 0x3f, 0x7f, 0xc0, 0xff] {
                let mut bytes = good.clone();
                bytes[place] = value;
                asked(place, |asked| react(&bytes, asked, &Shop(1)));
                bytes.truncate(place);
                asked(place, |asked| react(&bytes, asked, &Shop(1)));
            }
        }
    }
}
