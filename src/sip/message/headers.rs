//! The header fields of a message: an index into its head.

use super::field::Field;
use super::name_addr::NameAddrText;
use super::text;
use super::uri::digits;
use super::{Method, NameAddr, Via};
use bytestring::ByteString;

/// The header fields of a message, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Start line and header lines, without folds; every range of `lines` lies in it.
    pub(super) head: ByteString,
    pub(super) lines: Vec<Line>,
    pub(super) tags: Tags,
}

/// Where the tags of From and To stand in the head: they tell which dialog a message belongs to, and are asked for
/// at every step of its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tags {
    pub(super) from: Option<Span>,
    pub(super) to: Option<Span>,
}

/// Where a header line stands in the head. A head is at most 65,535 bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) field: Field,
    pub(super) name: Span,
    pub(super) value: Span,
}

/// A range of the head, on character boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) end: u16,
}

impl Span {
    /// The place of a part of the head in it.
    pub(super) fn find(part: &str, head: &str) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(head.as_ptr() as usize);
        let narrow = |at: usize| u16::try_from(at).expect("a part of the head lies in the head");
        Span {
            start: narrow(start),
            end: narrow(start + part.len()),
        }
    }

    pub(super) fn of(self, head: &str) -> &str {
        &head[usize::from(self.start)..usize::from(self.end)]
    }
}

/// The value of a CSeq header (RFC 3261 §20.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    /// Parses the value: a number, blanks, a method.
    pub fn parse(value: &str) -> Option<CSeq> {
        let (number, method) = CSeq::parts(value)?;
        Some(CSeq {
            number,
            method: Method::parse(method)?,
        })
    }

    pub(super) fn parts(value: &str) -> Option<(u32, &str)> {
        let (number, method) = value.split_once([' ', '\t'])?;
        let number = digits(number)?
            .parse()
            .ok()
            .filter(|&number| number < 1 << 31)?;
        let method = text::trim(method);
        text::is_token(method).then_some((number, method))
    }
}

impl std::fmt::Display for CSeq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

impl Headers {
    /// The first value of the header: its whole line. `name` is the long form in any case (`"Call-ID"`); a compact
    /// form in the message (`i`) is found by it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.lines(name).next()
    }

    /// Every line of that header, in order.
    pub fn lines<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let wanted = Field::of(name.as_bytes());
        self.lines
            .iter()
            .filter(move |line| {
                line.field == wanted
                    && (wanted != Field::Other
                        || line.name.of(&self.head).eq_ignore_ascii_case(name))
            })
            .map(|line| line.value.of(&self.head))
    }

    /// Every value of a list header, in order, whether on one line with commas or on several lines. Empty values
    /// are left out.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines(name)
            .flat_map(|line| text::split(line, b','))
            .filter(|value| !value.is_empty())
    }

    /// True if a list header has this token among its values, in any case: `lists("Require", "timer")`.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Every header line in order: name as written, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines
            .iter()
            .map(|line| (line.name.of(&self.head), line.value.of(&self.head)))
    }

    /// Call-ID. Always there in a message that parsed.
    pub fn call_id(&self) -> &str {
        self.of(Field::CallId)
    }

    /// CSeq. Always there in a message that parsed.
    pub fn cseq(&self) -> CSeq {
        CSeq::parse(self.of(Field::CSeq)).expect("parse checked CSeq")
    }

    /// From. Always there and valid in a message that parsed.
    pub fn from(&self) -> NameAddr {
        self.address(Field::From).to_name_addr()
    }

    /// To. Always there and valid in a message that parsed.
    pub fn to(&self) -> NameAddr {
        self.address(Field::To).to_name_addr()
    }

    /// The tag of From. None only from a peer of RFC 2543.
    pub fn from_tag(&self) -> Option<&str> {
        self.tags.from.map(|tag| tag.of(&self.head))
    }

    /// The tag of To.
    pub fn to_tag(&self) -> Option<&str> {
        self.tags.to.map(|tag| tag.of(&self.head))
    }

    /// The top Via.
    pub fn top_via(&self) -> Via<'_> {
        let top = text::split(self.of(Field::Via), b',').next();
        top.and_then(Via::parse).expect("parse checked the top Via")
    }

    /// The first Contact that is an address.
    pub fn contact(&self) -> Option<NameAddr> {
        self.values("Contact").find_map(NameAddr::parse)
    }

    /// Max-Forwards, if there and a number.
    pub fn max_forwards(&self) -> Option<u8> {
        digits(self.first(Field::MaxForwards)?)?.parse().ok()
    }

    /// The first line of a field.
    pub(super) fn first(&self, field: Field) -> Option<&str> {
        self.all(field).next()
    }

    pub(super) fn all(&self, field: Field) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter(move |line| line.field == field)
            .map(|line| line.value.of(&self.head))
    }

    fn of(&self, mandatory: Field) -> &str {
        self.first(mandatory)
            .expect("parse checked the mandatory headers")
    }

    fn address(&self, mandatory: Field) -> NameAddrText<'_> {
        NameAddrText::parse(self.of(mandatory)).expect("parse checked From and To")
    }
}
