//! Placeholders for values at fault: they satisfy any request, so that the rest can be read.
//!
//! Nothing read through them is ever seen, because a read with a fault returns the faults only.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::Error;
use super::hint::Hint;
use crate::bytes::BYTES_NAME;
use crate::http::HTTP_NAME;

/// Texts to try, because a type may accept some kinds only.
const TEXTS: [&str; 10] = [
    "",
    "1",
    "http://127.0.0.1:1/",
    "127.0.0.1:1",
    "127.0.0.1",
    "00000000-0000-0000-0000-000000000000",
    "2000-01-01T00:00:00Z",
    "a@example.org",
    "GET",
    "a longer text with more than thirty-two characters",
];

/// How many placeholders there are to try.
pub(super) const ATTEMPTS: usize = TEXTS.len();

/// How deep a placeholder is gone into; a type may contain itself.
const DEPTH_MAX: usize = 32;

/// The `attempt`-th placeholder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Poison {
    pub(super) attempt: usize,
    depth: usize,
}

impl Poison {
    pub(super) fn new(attempt: usize) -> Self {
        Self { attempt, depth: 0 }
    }

    fn text(self) -> &'static str {
        TEXTS[self.attempt % TEXTS.len()]
    }

    fn deeper(self) -> Result<Self, Error> {
        if self.depth == DEPTH_MAX {
            return Err(de::Error::custom("a type that contains itself"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// Gives something to a buffer of which nobody says what it is for; one kind after another.
    pub(super) fn unhinted<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.attempt {
            1 => visitor.visit_unit(),
            2 => visitor.visit_u64(1),
            3 => visitor.visit_bool(true),
            4 => visitor.visit_seq(de::value::SeqDeserializer::new(std::iter::empty::<u64>())),
            5 => visitor.visit_map(Fields { poison: self, names: [].iter() }),
            _ => visitor.visit_str(self.text()),
        }
    }

    /// Gives what `hint` asks for to a buffer.
    pub(super) fn hinted<'de, V: Visitor<'de>>(
        self,
        hint: &Hint,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let number = u64::from(self.attempt > 0);
        match hint {
            Hint::Integer { min, .. } => {
                visitor.visit_u64(number.max(u64::try_from(*min).unwrap_or(0)))
            }
            Hint::Float => visitor.visit_f64(if self.attempt > 0 { 1.0 } else { 0.0 }),
            Hint::Bool => visitor.visit_bool(self.attempt > 0),
            Hint::Char => visitor.visit_char('a'),
            Hint::Duration => {
                visitor.visit_seq(de::value::SeqDeserializer::new([number, 0].into_iter()))
            }
            Hint::Unread => visitor.visit_unit(),
            Hint::Variant(names) => {
                visitor.visit_str(names.get(self.attempt % names.len().max(1)).unwrap_or(&""))
            }
            Hint::Natural(words) if ["seq", "tuple", "array"].iter().any(|w| words.contains(w)) => {
                visitor.visit_seq(de::value::SeqDeserializer::new(std::iter::empty::<u64>()))
            }
            Hint::Natural(_) if self.attempt == ATTEMPTS - 1 => visitor.visit_unit(),
            Hint::Text | Hint::Natural(_) => visitor.visit_str(self.text()),
        }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(u8::from(self.attempt > 0).into())
        }
    )*};
}

impl<'de> Deserializer<'de> for Poison {
    type Error = Error;

    numbers! {
        deserialize_i8 visit_i64 deserialize_i16 visit_i64 deserialize_i32 visit_i64
        deserialize_i64 visit_i64 deserialize_i128 visit_i128
        deserialize_u8 visit_u64 deserialize_u16 visit_u64 deserialize_u32 visit_u64
        deserialize_u64 visit_u64 deserialize_u128 visit_u128
        deserialize_f32 visit_f64 deserialize_f64 visit_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.attempt > 0)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_char('a')
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if [HTTP_NAME, BYTES_NAME].contains(&name) {
            let text: StrDeserializer<'_, Error> = self.text().into_deserializer();
            return visitor.visit_newtype_struct(text);
        }
        visitor.visit_newtype_struct(self.deeper()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let count = usize::from(self.attempt > 0);
        visitor.visit_seq(Items { poison: self.deeper()?, left: count })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { poison: self.deeper()?, left: len })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Fields { poison: self.deeper()?, names: [].iter() })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Fields { poison: self.deeper()?, names: fields.iter() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = variants.first().copied().unwrap_or("");
        visitor.visit_enum(Variant { poison: self.deeper()?, name })
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct identifier ignored_any }
}

struct Items {
    poison: Poison,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Items {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.poison).map(Some)
    }
}

struct Fields {
    poison: Poison,
    names: std::slice::Iter<'static, &'static str>,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.names.next() else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Error> = (*name).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.poison)
    }
}

struct Variant {
    poison: Poison,
    name: &'static str,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Error;
    type Variant = Poison;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Poison), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.poison))
    }
}

impl<'de> VariantAccess<'de> for Poison {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}
