//! What a slot has inside: the keys of a table, the items of a list, the content of a variant.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::Error;
use super::reader::Reader;
use super::session::{Content, ROOT, Seg, Session, SlotId, State};
use crate::evaluate::{Evaluated, Value};
use crate::scalar;
use crate::syntax::number::Number;
use crate::tree;

/// The end of the name of a view: `service:*` is all sections `[service:…]`.
const VIEW: &str = ":*";

/// The keys of a table that are given to a type.
pub(super) struct Table<'s, 't> {
    session: &'s Session<'t>,
    slot: SlotId,
    /// In reverse.
    left: Vec<SlotId>,
    current: SlotId,
    /// Keys were asked for as names of fields.
    as_fields: bool,
    views_given: bool,
}

impl<'s, 't> Table<'s, 't> {
    fn new(session: &'s Session<'t>, slot: SlotId, mut left: Vec<SlotId>) -> Self {
        left.extend(Self::added(session, slot));
        left.retain(|slot| session.state(*slot) != State::Hidden);
        left.reverse();
        Self { session, slot, left, current: slot, as_fields: false, views_given: false }
    }

    /// Keys that stand in for missing ones.
    fn added(session: &Session<'t>, slot: SlotId) -> Vec<SlotId> {
        let names = session.get(slot, |slot| slot.added.clone());
        let child =
            |name| session.child(slot, Seg::Key(Cow::Borrowed(name)), None, || Content::Missing);
        names.into_iter().map(child).collect()
    }

    /// All keys of a table.
    pub(super) fn all(session: &'s Session<'t>, slot: SlotId, table: &'t tree::Table) -> Self {
        session.set(slot, |slot| slot.table = Some(table));
        let child = |entry: &'t tree::Entry| {
            let key = Seg::Key(Cow::Borrowed(&*entry.key));
            session.child(slot, key, Some(entry.key_span), || Content::Node(&entry.value))
        };
        Self::new(session, slot, table.entries().iter().map(child).collect())
    }

    /// The keys of a slot, if it is a table.
    pub(super) fn of(session: &'s Session<'t>, slot: SlotId) -> Result<Self, Error> {
        if session.get(slot, |slot| matches!(slot.content, Content::View(_))) {
            return Ok(Self::view(session, slot));
        }
        let evaluated = session.value(slot)?;
        match evaluated.value {
            Value::Table(table) => Ok(Self::all(session, slot, table)),
            Value::Http { .. } => Self::request(session, slot),
            Value::Range(first, last) => {
                let bound = |bound: u64| Value::Int(bound.into());
                Ok(Self::parts(
                    session,
                    slot,
                    &evaluated,
                    [("start", bound(first)), ("end", bound(last))],
                ))
            }
            Value::Call(call) => {
                let name = Value::Text(Cow::Borrowed(&*call.name));
                let arguments = Value::Arguments(&call.arguments);
                let then = Value::Calls(&call.then);
                let location = session.context.location(evaluated.span);
                let location = location.map_or(String::new(), |location| location.to_string());
                let location = Value::Text(Cow::Owned(location));
                let parts = [
                    ("name", name),
                    ("arguments", arguments),
                    ("then", then),
                    ("location", location),
                ];
                Ok(Self::parts(session, slot, &evaluated, parts))
            }
            Value::Argument(argument) => {
                let name =
                    argument.name.as_deref().map_or(Value::Null, |name| Value::Text(name.into()));
                let mut table = Self::parts(session, slot, &evaluated, [("name", name)]);
                let value = || Content::Node(&argument.value);
                table.left.insert(0, session.child(slot, Seg::Key("value".into()), None, value));
                Ok(table)
            }
            _ => Err(session.mismatch(slot, &evaluated, "a group of keys")),
        }
    }

    /// Parts of one value, by name.
    fn parts<const N: usize>(
        session: &'s Session<'t>,
        slot: SlotId,
        whole: &Evaluated<'t>,
        parts: [(&'static str, Value<'t>); N],
    ) -> Self {
        let parts = parts.map(|(name, value)| {
            let content = Evaluated { value, raw: None, ..whole.clone() };
            session.child(slot, Seg::Key(name.into()), None, || Content::Evaluated(content.into()))
        });
        Self::new(session, slot, parts.into())
    }

    /// Only what stands in for missing keys.
    pub(super) fn poisoned(session: &'s Session<'t>, slot: SlotId) -> Self {
        Self::new(session, slot, Vec::new())
    }

    /// The sections of a kind, by the rest of their names.
    pub(super) fn view(session: &'s Session<'t>, slot: SlotId) -> Self {
        let prefix = session.get(slot, |slot| match &slot.content {
            Content::View(prefix) => prefix.clone(),
            _ => String::new(),
        });
        let sections = session.context.root.entries().iter().filter_map(|entry| {
            let rest = entry.key.strip_prefix(prefix.as_str()).filter(|rest| !rest.is_empty())?;
            let key = Seg::Key(Cow::Borrowed(rest));
            Some(session.child(slot, key, Some(entry.key_span), || Content::Node(&entry.value)))
        });
        let sections = sections.collect();
        Self::new(session, slot, sections)
    }

    /// The two parts of an `@http` value.
    pub(super) fn request(session: &'s Session<'t>, slot: SlotId) -> Result<Self, Error> {
        let evaluated = session.value(slot)?;
        let Value::Http { method, url } = &evaluated.value else {
            return Err(session.mismatch(slot, &evaluated, "a request"));
        };
        let part = |text: &String| Value::Text(Cow::Owned(text.clone()));
        let parts = [("method", part(method)), ("url", part(url))];
        Ok(Self::parts(session, slot, &evaluated, parts))
    }

    /// With the views that a struct at the root names among its fields.
    pub(super) fn with_views(mut self, fields: &'static [&'static str]) -> Self {
        let views = fields.iter().filter(|field| field.ends_with(VIEW));
        self.add_views(views.map(|view| (*view).to_owned()).collect());
        self
    }

    /// With every view there is, for a struct at the root whose fields are not known because some
    /// are flattened.
    fn add_all_views(&mut self) {
        let kinds = self.session.context.root.keys().filter_map(|key| key.split_once(':'));
        let views: BTreeSet<String> = kinds.map(|(kind, _)| format!("{kind}{VIEW}")).collect();
        self.add_views(views.into_iter().collect());
    }

    fn add_views(&mut self, views: Vec<String>) {
        self.views_given = true;
        if !(self.session.whole && self.slot == ROOT) {
            return;
        }
        for view in views {
            let prefix = view[..view.len() - 1].to_owned();
            let key = Seg::Key(Cow::Owned(view));
            let slot = self.session.child(self.slot, key, None, || Content::View(prefix));
            if self.session.state(slot) != State::Hidden {
                self.left.insert(0, slot);
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<SlotId> {
        self.left.pop()
    }
}

impl<'de> MapAccess<'de> for Table<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if self.left.is_empty() && self.as_fields && !self.views_given {
            self.add_all_views();
        }
        let Some(slot) = self.left.pop() else {
            return Ok(None);
        };
        self.current = slot;
        let text = self.session.name(slot);
        let key = Key { text, as_fields: &mut self.as_fields };
        seed.deserialize(key).map(Some).map_err(|error| error.at_key(slot))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let reader = Reader::new(self.session, self.current);
        seed.deserialize(reader).map_err(|error| error.at(self.current))
    }
}

/// A key, which may be asked for as a text, the name of a field, a number or a variant.
struct Key<'a> {
    text: String,
    as_fields: &'a mut bool,
}

macro_rules! numeric_keys {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match scalar::number(&self.text) {
                Some(Number::Int(value)) if value < 0 => {
                    visitor.visit_i64(i64::try_from(value).unwrap_or(i64::MIN))
                }
                Some(Number::Int(value)) => visitor.visit_u64(u64::try_from(value).unwrap_or(u64::MAX)),
                _ => visitor.visit_string(self.text),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = Error;

    numeric_keys! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.text)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.as_fields = true;
        visitor.visit_string(self.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant: StringDeserializer<Error> = self.text.into_deserializer();
        visitor.visit_enum(variant)
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct ignored_any
    }
}

/// The items of a list.
pub(super) struct Items<'s, 't> {
    session: &'s Session<'t>,
    left: std::vec::IntoIter<SlotId>,
}

impl<'s, 't> Items<'s, 't> {
    pub(super) fn of(session: &'s Session<'t>, slot: SlotId) -> Result<Self, Error> {
        let evaluated = session.value(slot)?;
        let item = |index, content| session.child(slot, Seg::Index(index), None, || content);
        let parts = |values: Vec<Value<'t>>| {
            let part = |(index, value): (usize, Value<'t>)| {
                let content = Evaluated { value, raw: None, ..evaluated.clone() };
                item(index, Content::Evaluated(content.into()))
            };
            values.into_iter().enumerate().map(part).collect()
        };
        let items: Vec<SlotId> = match &evaluated.value {
            Value::List(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, node)| item(index, Content::Node(node))).collect()
            }
            Value::Texts(texts) => {
                parts(texts.iter().map(|text| Value::Text(Cow::Borrowed(*text))).collect())
            }
            Value::Range(first, last) => {
                parts([first, last].map(|bound| Value::Int((*bound).into())).into())
            }
            Value::Calls(calls) => parts(calls.iter().map(Value::Call).collect()),
            Value::Arguments(arguments) => parts(arguments.iter().map(Value::Argument).collect()),
            _ => return Err(session.mismatch(slot, &evaluated, "a list")),
        };
        Ok(Self { session, left: items.into_iter() })
    }
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let hidden = |slot: &SlotId| self.session.state(*slot) == State::Hidden;
        let Some(slot) = self.left.by_ref().find(|slot| !hidden(slot)) else {
            return Ok(None);
        };
        let reader = Reader::new(self.session, slot);
        seed.deserialize(reader).map(Some).map_err(|error| error.at(slot))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// A variant with its content: an object of one key.
pub(super) struct Variant<'s, 't> {
    session: &'s Session<'t>,
    slot: SlotId,
}

impl<'s, 't> Variant<'s, 't> {
    pub(super) fn new(session: &'s Session<'t>, slot: SlotId) -> Self {
        Self { session, slot }
    }

    fn reader(&self) -> Reader<'s, 't> {
        Reader::new(self.session, self.slot)
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Error> {
        let name = self.session.name(self.slot);
        let key: StrDeserializer<'_, Error> = name.as_str().into_deserializer();
        let variant = seed.deserialize(key).map_err(|error| error.at_key(self.slot))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        serde::Deserialize::deserialize(self.reader()).map_err(|error: Error| error.at(self.slot))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.reader()).map_err(|error| error.at(self.slot))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.reader().deserialize_tuple(len, visitor).map_err(|error| error.at(self.slot))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.reader().deserialize_struct("", fields, visitor).map_err(|error| error.at(self.slot))
    }
}
