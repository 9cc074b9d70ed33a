//! What every wire message tells about itself: its template id and its fields, from which the schema is published.

use zerocopy::{Immutable, IntoBytes, KnownLayout, TryFromBytes};

/// How a field's bytes are to be read by a foreign client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A little-endian integer of the named SBE primitive (`uint32`, `int64`, …).
    Integer(&'static str),
    /// So many little-endian integers of the named SBE primitive.
    Integers(&'static str, usize),
    /// One byte, one of the listed `(value, name)` pairs.
    Choice(&'static [(u8, &'static str)]),
    /// So many ASCII bytes, padded with zero bytes.
    Text(usize),
    /// So many opaque bytes.
    Bytes(usize),
    /// So many bytes that must be zero.
    Zeros(usize),
}

/// A type that may stand in a message: its name in the schema, its shape, its meaning.
pub trait WireType {
    /// The type's name in the published schema.
    const NAME: &'static str;
    /// How its bytes are read.
    const SHAPE: Shape;
    /// What it is, its unit and range, in one sentence.
    const ABOUT: &'static str;
    /// Finds the first byte that makes these bytes no value of this type.
    fn is_valid(bytes: &[u8]) -> bool {
        match Self::SHAPE {
            Shape::Choice(pairs) => bytes.first().is_some_and(|b| pairs.iter().any(|(v, _)| v == b)),
            Shape::Zeros(_) => bytes.iter().all(|b| *b == 0),
            Shape::Integer(_) | Shape::Integers(..) | Shape::Text(_) | Shape::Bytes(_) => true,
        }
    }
}

/// One field of a message, as the schema publishes it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The field's name, in snake case.
    pub name: &'static str,
    /// What it means here.
    pub about: &'static str,
    /// Its type's name in the schema.
    pub type_name: &'static str,
    /// Its type's shape.
    pub shape: Shape,
    /// Its type's meaning.
    pub type_about: &'static str,
    /// Bytes from the start of the body.
    pub offset: usize,
    /// Its length in bytes.
    pub length: usize,
    /// Says whether bytes are a value of its type.
    pub is_valid: fn(&[u8]) -> bool,
}

/// A fixed-layout message body.
pub trait Message: TryFromBytes + IntoBytes + Immutable + KnownLayout + Copy {
    /// The template id, which for a command is the command's id.
    const TEMPLATE: u16;
    /// The message's name in the schema.
    const NAME: &'static str;
    /// What it is.
    const ABOUT: &'static str;
    /// Its fields in order.
    const FIELDS: &'static [Field];
}

/// Defines messages of fixed layout: a struct each, and what it tells about itself.
macro_rules! bodies {
    ( $( $(#[doc = $doc:literal])* $name:ident = $id:literal {
        $( $(#[doc = $field_doc:literal])* $field:ident : $kind:ty ),* $(,)?
    } )* ) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, zerocopy::TryFromBytes, zerocopy::IntoBytes,
            zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(C, align(8))]
        pub struct $name { $( $(#[doc = $field_doc])* pub $field: $kind, )* }

        const _: () = assert!(size_of::<$name>() % 8 == 0 && size_of::<$name>() + 40 <= $crate::FRAME_MAX);

        impl $crate::Message for $name {
            const TEMPLATE: u16 = $id;
            const NAME: &'static str = stringify!($name);
            const ABOUT: &'static str = concat!($($doc),*);
            const FIELDS: &'static [$crate::Field] = &[ $( $crate::Field {
                name: stringify!($field),
                about: concat!($($field_doc),*),
                type_name: <$kind as $crate::WireType>::NAME,
                shape: <$kind as $crate::WireType>::SHAPE,
                type_about: <$kind as $crate::WireType>::ABOUT,
                offset: std::mem::offset_of!($name, $field),
                length: size_of::<$kind>(),
                is_valid: <$kind as $crate::WireType>::is_valid,
            } ),* ];
        }
    )* };
}

/// Makes a family of messages: an enum of views over them, its decoder and its list for the schema.
macro_rules! family {
    ( $(#[doc = $family_doc:literal])* $family:ident, $list:ident; $( $name:ident ),* $(,)? ) => {
        $(#[doc = $family_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $family<'a> { $( #[doc = concat!("See [`", stringify!($name), "`](struct@", stringify!($name), ").")] $name(&'a $name) ),* }

        impl<'a> $family<'a> {
            /// Views a body as the message its template id names; never panics, allocates nothing.
            #[inline(always)]
            pub fn decode(template: u16, body: &'a [u8]) -> Result<Self, $crate::DecodeError> {
                match template {
                    $( <$name as $crate::Message>::TEMPLATE => $crate::view::<$name>(body).map($family::$name), )*
                    _ => Err($crate::DecodeError::UnknownTemplate { template }),
                }
            }
            /// The template id.
            pub fn template(&self) -> u16 {
                match self { $( $family::$name(_) => <$name as $crate::Message>::TEMPLATE ),* }
            }
            /// The message's name.
            pub fn name(&self) -> &'static str { match self { $( $family::$name(_) => stringify!($name) ),* } }
        }

        /// `(template id, name, what it is, fields, body length)` of every message of the family, in order.
        pub const $list: &[(u16, &str, &str, &[$crate::Field], usize)] = &[ $( (
            <$name as $crate::Message>::TEMPLATE,
            <$name as $crate::Message>::NAME,
            <$name as $crate::Message>::ABOUT,
            <$name as $crate::Message>::FIELDS,
            size_of::<$name>(),
        ) ),* ];
    };
}

/// Defines messages and the family they are.
macro_rules! messages {
    (
        $(#[doc = $family_doc:literal])* $family:ident, $list:ident;
        $( $(#[doc = $doc:literal])* $name:ident = $id:literal { $( $fields:tt )* } )*
    ) => {
        $crate::meta::bodies! { $( $(#[doc = $doc])* $name = $id { $( $fields )* } )* }
        $crate::meta::family! { $(#[doc = $family_doc])* $family, $list; $( $name ),* }
    };
}
pub(crate) use {bodies, family, messages};
