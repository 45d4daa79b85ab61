//! The deserialiser: one slot, asked by a type.

use serde::de::value::SeqDeserializer;
use serde::de::{Deserializer, IntoDeserializer, Visitor};

use super::access::{Items, Table, Variant};
use super::error::{Error, tag};
use super::hint::Hint;
use super::poison::Poison;
use super::session::{Content, Session, SlotId, State};
use crate::bytes::BYTES_NAME;
use crate::evaluate::{Evaluated, Value};
use crate::http::HTTP_NAME;
use crate::secret::SECRET_NAME;
use crate::unread::UNREAD_NAME;

#[derive(Clone, Copy)]
pub(super) struct Reader<'s, 't> {
    pub(super) session: &'s Session<'t>,
    pub(super) slot: SlotId,
}

impl<'s, 't> Reader<'s, 't> {
    pub(super) fn new(session: &'s Session<'t>, slot: SlotId) -> Self {
        Self { session, slot }
    }

    fn poison(&self) -> Option<Poison> {
        match self.session.state(self.slot) {
            State::Poisoned { attempt, .. } => Some(Poison::new(attempt)),
            _ => None,
        }
    }

    /// What the slot is, for a type that takes anything.
    fn natural<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self { session, slot } = self;
        if session.get(slot, |slot| matches!(slot.content, Content::View(_))) {
            return visitor.visit_map(Table::view(session, slot));
        }
        let evaluated = session.value(slot)?;
        match evaluated.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Int(value) => number(value, visitor),
            Value::Float(value) => visitor.visit_f64(value),
            Value::Text(text) => visitor.visit_str(&text),
            Value::Table(table) => visitor.visit_map(Table::all(session, slot, table)),
            Value::List(_) | Value::Texts(_) | Value::Arguments(_) | Value::Calls(_) => {
                visitor.visit_seq(Items::of(session, slot)?)
            }
            Value::Http { .. } => visitor.visit_map(Table::request(session, slot)?),
            Value::Range(..) => visitor.visit_str(&session.text(slot)?),
            Value::Call(_) | Value::Argument(_) => visitor.visit_map(Table::of(session, slot)?),
            Value::Unknown => {
                let evaluated = session.value(slot)?;
                Err(session.mismatch(slot, &evaluated, "a value"))
            }
        }
    }

    /// What was asked for when the tag of this slot was refused.
    fn hinted<'de, V: Visitor<'de>>(self, hint: &Hint, visitor: V) -> Result<V::Value, Error> {
        let Self { session, slot } = self;
        if *hint == Hint::Unread || matches!(session.value(slot)?.value, Value::Null) {
            return visitor.visit_unit();
        }
        match hint {
            Hint::Integer { min, max } => number(session.integer(slot, *min, *max)?, visitor),
            Hint::Float => visitor.visit_f64(session.float(slot)?),
            Hint::Bool => visitor.visit_bool(session.boolean(slot)?),
            Hint::Text => visitor.visit_str(&session.text(slot)?),
            Hint::Duration => self.duration(visitor),
            Hint::Char | Hint::Unread | Hint::Variant(_) | Hint::Natural(_) => {
                self.natural(visitor)
            }
        }
    }

    fn duration<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let duration = self.session.duration(self.slot)?;
        let parts = [duration.as_secs(), u64::from(duration.subsec_nanos())];
        visitor.visit_seq(SeqDeserializer::new(parts.into_iter()))
    }

    /// A placeholder for a buffer. What it should look like is found out by a tag, as for a value.
    fn poisoned<'de, V: Visitor<'de>>(
        self,
        hint: Option<&Hint>,
        poison: Poison,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match hint {
            None if poison.attempt == 0 => visitor.visit_bytes(&tag(self.slot)),
            None => poison.unhinted(visitor),
            Some(Hint::Natural(words)) if words.starts_with("struct ") || words == "a map" => {
                visitor.visit_map(Table::poisoned(self.session, self.slot))
            }
            Some(hint) => poison.hinted(hint, visitor),
        }
    }
}

fn number<'de, V: Visitor<'de>>(value: i128, visitor: V) -> Result<V::Value, Error> {
    if let Ok(value) = u64::try_from(value) {
        visitor.visit_u64(value)
    } else if let Ok(value) = i64::try_from(value) {
        visitor.visit_i64(value)
    } else {
        visitor.visit_i128(value)
    }
}

macro_rules! integers {
    ($($method:ident $type:ty, $visit:ident $as:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            if let Some(poison) = self.poison() {
                return poison.$method(visitor);
            }
            let min = i128::from(<$type>::MIN);
            let max = i128::from(<$type>::MAX);
            let value = self.session.integer(self.slot, min, max)?;
            visitor.$visit(<$as>::try_from(value).unwrap_or_default())
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = Error;

    integers! {
        deserialize_i8 i8, visit_i64 i64;
        deserialize_i16 i16, visit_i64 i64;
        deserialize_i32 i32, visit_i64 i64;
        deserialize_i64 i64, visit_i64 i64;
        deserialize_u8 u8, visit_u64 u64;
        deserialize_u16 u16, visit_u64 u64;
        deserialize_u32 u32, visit_u64 u64;
        deserialize_u64 u64, visit_u64 u64;
        deserialize_i128 i128, visit_i128 i128;
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(poison) = self.poison() {
            return poison.deserialize_u128(visitor);
        }
        let value = self.session.integer(self.slot, 0, i128::MAX)?;
        visitor.visit_u128(value.unsigned_abs())
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.poison() {
            Some(poison) => poison.deserialize_f64(visitor),
            None => visitor.visit_f64(self.session.float(self.slot)?),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.poison() {
            Some(poison) => poison.deserialize_bool(visitor),
            None => visitor.visit_bool(self.session.boolean(self.slot)?),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.poison() {
            Some(poison) => poison.deserialize_char(visitor),
            None => visitor.visit_str(&self.session.text(self.slot)?),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.poison() {
            Some(poison) => poison.deserialize_str(visitor),
            None => visitor.visit_str(&self.session.text(self.slot)?),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.poison() {
            Some(_) => visitor.visit_bytes(&[]),
            None => visitor.visit_bytes(self.session.text(self.slot)?.as_bytes()),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self { session, slot } = self;
        session.set(slot, |slot| slot.captured = true);
        let forced = session.get(slot, |slot| slot.forced);
        match session.state(slot) {
            _ if forced => visitor.visit_bytes(&tag(slot)),
            State::Poisoned { hint, attempt } => {
                self.poisoned(hint.as_ref(), Poison::new(attempt), visitor)
            }
            State::Hinted(hint) => self.hinted(&hint, visitor),
            State::Plain | State::Hidden if session.is_container(slot) => self.natural(visitor),
            State::Plain | State::Hidden => visitor.visit_bytes(&tag(slot)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.session.set(self.slot, |slot| slot.ignored = true);
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.poison().is_some() {
            return visitor.visit_none();
        }
        let written = self.session.is_container(self.slot);
        if !written && matches!(self.session.value(self.slot)?.value, Value::Null) {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.poison().is_some() {
            return visitor.visit_unit();
        }
        let evaluated = self.session.value(self.slot)?;
        match evaluated.value {
            Value::Null => visitor.visit_unit(),
            _ => Err(self.session.mismatch(self.slot, &evaluated, "null")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Some(poison) = self.poison() {
            return poison.deserialize_newtype_struct(name, visitor);
        }
        if name == UNREAD_NAME {
            return visitor.visit_newtype_struct(().into_deserializer());
        }
        self.session.set(self.slot, |slot| {
            slot.secret |= name == SECRET_NAME;
            let natural = [HTTP_NAME, BYTES_NAME].contains(&name);
            if natural && slot.state == State::Plain {
                slot.state = State::Hinted(Hint::Natural(String::new()));
            }
        });
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.poison() {
            Some(poison) => poison.deserialize_seq(visitor),
            None => visitor.visit_seq(Items::of(self.session, self.slot)?),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        match self.poison() {
            Some(poison) => poison.deserialize_tuple(len, visitor),
            None => visitor.visit_seq(Items::of(self.session, self.slot)?),
        }
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
        let Self { session, slot } = self;
        if self.poison().is_some() {
            return visitor.visit_map(Table::poisoned(session, slot));
        }
        visitor.visit_map(Table::of(session, slot)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Some(poison) = self.poison() {
            return poison.deserialize_struct(name, fields, visitor);
        }
        if name == "Duration" && fields == ["secs", "nanos"] {
            return self.duration(visitor);
        }
        self.session.set(self.slot, |slot| {
            slot.fields = Some(fields);
            slot.struct_name = name;
        });
        visitor.visit_map(Table::of(self.session, self.slot)?.with_views(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Some(poison) = self.poison() {
            return poison.deserialize_enum(name, variants, visitor);
        }
        let evaluated = self.session.value(self.slot)?;
        match evaluated.value {
            Value::Table(table) => {
                let mut all = Table::all(self.session, self.slot, table);
                if let (Some(slot), None) = (all.pop(), all.pop()) {
                    return visitor.visit_enum(Variant::new(self.session, slot));
                }
                let expected = "one variant with its content";
                Err(self.session.mismatch(self.slot, &Evaluated::table(table), expected))
            }
            Value::Null | Value::List(_) | Value::Texts(_) => {
                let expected = format!("one of {}", variants.join(", "));
                Err(self.session.mismatch(self.slot, &evaluated, &expected))
            }
            _ => visitor.visit_enum(self.session.text(self.slot)?.into_deserializer()),
        }
    }
}
