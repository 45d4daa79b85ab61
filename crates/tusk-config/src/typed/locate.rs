//! Where an error belongs that came out of a buffer of serde's, which knows no places.
//!
//! Runs are deterministic: the same input gives the same first error. So a value can be asked
//! whether it was read before an error by giving a tag in its place: if the error changes, it was.
//! The value read last of all those is the one at fault.

use super::error::{Error, Kind};
use super::hint::Hint;
use super::poison::ATTEMPTS;
use super::rounds::Rounds;
use super::session::{Content, ROOT, Seg, SlotId, State};

impl Rounds<'_, '_> {
    /// Some types take a tag for their value and fail in their own words, and untagged enums fail
    /// without any. If giving one value, the values of one table, or all values as they are changes
    /// the error, they are given so from now on.
    pub(super) fn unlock(&mut self, error: &Error) -> bool {
        let (Some(top), Kind::Custom(_)) = (error.slot, &error.kind) else { return false };
        let tables = self.session.subtree(top).into_iter().rev();
        // Not all sections at once: they would be evaluated, and most are nobody's business.
        let tables = tables.filter(|slot| !(self.session.whole && *slot == ROOT));
        let tables: Vec<_> = tables.filter(|slot| self.session.is_container(*slot)).collect();
        let singles = self.locked_below(top).into_iter().map(|slot| vec![slot]);
        let groups = tables.into_iter().map(|table| self.locked_below(table));
        let groups: Vec<_> = singles.chain(groups).filter(|group| !group.is_empty()).collect();
        groups.into_iter().any(|group| {
            let read = self.matters(&group, error);
            if !read {
                self.set_all(&group, &State::Plain);
            }
            read
        })
    }

    /// Giving these values as they are changes the error. When one of them has no value, which
    /// stops a run whether or not anything reads it, some text decides in its place.
    fn matters(&mut self, group: &[SlotId], error: &Error) -> bool {
        let natural = State::Hinted(Hint::Natural(String::new()));
        self.set_all(group, &natural);
        match self.probe() {
            Some(Error { kind: Kind::Own(_), slot: Some(slot), .. }) if group.contains(&slot) => {
                self.set_all(group, &State::Poisoned { hint: Some(Hint::Text), attempt: 1 });
                let read = self.probe().is_none_or(|now| !now.same(error));
                self.set_all(group, &natural);
                read
            }
            now => now.is_none_or(|now| !now.same(error)),
        }
    }

    /// Values below `top` that are given as tags.
    fn locked_below(&self, top: SlotId) -> Vec<SlotId> {
        let is_locked = |slot: &SlotId| {
            let plain = self.session.get(*slot, |slot| slot.captured && slot.state == State::Plain);
            plain && !self.session.is_container(*slot)
        };
        self.session.subtree(top).into_iter().filter(is_locked).collect()
    }

    fn set_all(&self, slots: &[SlotId], state: &State) {
        for slot in slots {
            self.session.set(*slot, |slot| slot.state = state.clone());
        }
    }

    /// The slot that an error is about.
    pub(super) fn locate(&mut self, error: &Error) -> SlotId {
        let top = error.slot.unwrap_or(ROOT);
        let captured: Vec<SlotId> = self.session.subtree(top);
        let captured: Vec<SlotId> = captured
            .into_iter()
            .filter(|slot| self.session.get(*slot, |slot| slot.captured))
            .collect();
        if captured.is_empty() || error.at_key {
            return top;
        }
        match &error.kind {
            Kind::Own(_) | Kind::Tagged { .. } => top,
            Kind::Missing(name) => self.table_without(name, top, &captured, error).unwrap_or(top),
            Kind::UnknownField { name, .. } => {
                self.unknown_field(name, &captured, error).unwrap_or(top)
            }
            _ => self.read_last(&captured, error).unwrap_or(top),
        }
    }

    /// The table in which the missing key, once it is given, is asked for and ends the error.
    fn table_without(
        &mut self,
        name: &'static str,
        top: SlotId,
        captured: &[SlotId],
        error: &Error,
    ) -> Option<SlotId> {
        let has = |rounds: &Self, table: &SlotId| {
            let session = rounds.session;
            let written = |slot: &SlotId| {
                let missing = session.get(*slot, |slot| matches!(slot.content, Content::Missing));
                !missing && session.name(*slot) == name
            };
            let added = session.get(*table, |table| table.added.contains(&name));
            added || session.children(*table).iter().any(written)
        };
        let tables = std::iter::once(top).chain(captured.iter().copied());
        let tables: Vec<_> = tables.filter(|table| !has(self, table)).collect();
        tables.into_iter().find(|table| {
            self.session.set(*table, |table| table.added.push(name));
            let ended = self.ends_with(*table, name, error);
            self.session.set(*table, |table| table.added.pop());
            ended
        })
    }

    /// The error is over once the added key `name` of `table` is given as what it is asked for.
    fn ends_with(&mut self, table: SlotId, name: &str, error: &Error) -> bool {
        let direct = !self.session.get(table, |slot| slot.captured);
        let mut asked = false;
        for _ in 0..ATTEMPTS {
            let Some(now) = self.probe() else { return true };
            let children = self.session.children(table);
            let child = children.into_iter().find(|slot| self.session.name(*slot) == name);
            match &now.kind {
                Kind::Tagged { slot, expected } if Some(*slot) == child => {
                    asked = true;
                    let hint = Some(Hint::of(expected));
                    let state = State::Poisoned { hint, attempt: 0 };
                    self.session.set(*slot, |slot| slot.state = state);
                }
                Kind::UnknownField { name: unknown, .. } if unknown == name => return false,
                _ => return (asked || direct) && !now.same(error),
            }
        }
        false
    }

    /// The key of that name that changes the error when it is left out.
    fn unknown_field(&mut self, name: &str, captured: &[SlotId], error: &Error) -> Option<SlotId> {
        captured.iter().copied().find(|slot| {
            let named =
                self.session.get(*slot, |slot| matches!(&slot.seg, Seg::Key(key) if key == name));
            if !named {
                return false;
            }
            let before = self.session.state(*slot);
            self.session.set(*slot, |slot| slot.state = State::Hidden);
            let now = self.probe();
            self.session.set(*slot, |slot| slot.state = before);
            now.is_none_or(|now| !now.same(error))
        })
    }

    /// Of the slots read before the error, the last one.
    fn read_last(&mut self, captured: &[SlotId], error: &Error) -> Option<SlotId> {
        let mut last: Option<SlotId> = None;
        for slot in captured {
            let Some(now) = self.with_tags(&[*slot]) else {
                continue;
            };
            if now.same(error) {
                continue;
            }
            last = match last {
                None => Some(*slot),
                Some(before) => match self.with_tags(&[before, *slot]).map(|now| now.kind) {
                    Some(Kind::Tagged { slot: first, .. }) if first == before => Some(*slot),
                    _ => Some(before),
                },
            };
        }
        last
    }

    /// The error of a run in which these slots are given as tags.
    fn with_tags(&mut self, slots: &[SlotId]) -> Option<Error> {
        for slot in slots {
            self.session.set(*slot, |slot| slot.forced = true);
        }
        let now = self.probe();
        for slot in slots {
            self.session.set(*slot, |slot| slot.forced = false);
        }
        now
    }

    /// A captured table was asked for: something in it was, or its tag is refused.
    pub(super) fn was_read(&mut self, slot: SlotId) -> bool {
        let asked = |slot: &SlotId| matches!(self.session.state(*slot), State::Hinted(_));
        if self.session.subtree(slot).iter().any(asked) {
            return true;
        }
        self.with_tags(&[slot]).is_some()
    }
}
