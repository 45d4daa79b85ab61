//! The rounds of a read: deserialise, take the error in, again.

use serde::de::DeserializeOwned;

use super::error::{Error, Kind};
use super::hint::Hint;
use super::poison::ATTEMPTS;
use super::reader::Reader;
use super::session::{Content, ROOT, Session, SlotId, Start, State};
use crate::evaluate::{Context, Value};
use crate::fault::Fault;
use crate::tree::Table;

/// How often one read deserialises at most, probes included.
const RUNS_MAX: usize = 50_000;

/// How many faults one read reports at most.
const FAULTS_MAX: usize = 200;

/// Reads one value; or says everything that is wrong with it. With the value come the keys at the
/// root of the files that it did not ask for.
pub(crate) fn read<T: DeserializeOwned>(
    context: Context<'_>,
    start: Start<'_>,
) -> Result<(T, Vec<Box<str>>), Vec<Fault>> {
    let session = Session::new(context, start);
    let deserialize =
        || T::deserialize(Reader::new(&session, ROOT)).map_err(|error| error.at(ROOT));
    // Only the rounds need `T`; everything else sees a function that gives the error of a run, so
    // that it is compiled once and not for every settings type.
    let run = || deserialize().err();
    let mut rounds =
        Rounds { session: &session, run: &run, runs_left: RUNS_MAX, faults: Vec::new() };
    loop {
        match deserialize() {
            Ok(value) => {
                let unread = rounds.report_unknown_keys();
                let is_well = rounds.faults.is_empty();
                return if is_well { Ok((value, unread)) } else { Err(rounds.all()) };
            }
            Err(error) => {
                if !rounds.absorb(&error) {
                    return Err(rounds.all());
                }
            }
        }
    }
}

pub(super) struct Rounds<'a, 't> {
    pub(super) session: &'a Session<'t>,
    run: &'a dyn Fn() -> Option<Error>,
    runs_left: usize,
    pub(super) faults: Vec<Fault>,
}

impl Rounds<'_, '_> {
    /// Takes in the error of a round, so that the next one gets further. False when there is no way
    /// to go on.
    fn absorb(&mut self, error: &Error) -> bool {
        self.runs_left = self.runs_left.saturating_sub(1);
        let exhausted = self.session.exhausted.get();
        if exhausted || self.runs_left == 0 || self.faults.len() >= FAULTS_MAX {
            self.report(ROOT, error);
            return false;
        }
        if let Kind::Tagged { slot, expected } = &error.kind {
            let hint = Hint::of(expected);
            self.session.set(*slot, |slot| match &mut slot.state {
                State::Poisoned { hint: old, .. } => *old = Some(hint),
                state => *state = State::Hinted(hint),
            });
            return true;
        }
        if self.unlock(error) {
            return true;
        }
        let slot = self.locate(error);
        match &error.kind {
            Kind::Missing(name) => self.missing(slot, name, error),
            Kind::UnknownField { .. } if error.at_key || self.names_child(slot, error) => {
                self.report(slot, error);
                self.session.set(slot, |slot| slot.state = State::Hidden);
                true
            }
            _ if error.at_key => {
                self.report(slot, error);
                self.session.set(slot, |slot| slot.state = State::Hidden);
                true
            }
            Kind::UnknownVariant { known, .. } => {
                self.report(slot, error);
                self.session.set(slot, |slot| match &slot.state {
                    State::Hinted(_) => slot.state = State::Hinted(Hint::Variant(known)),
                    State::Poisoned { attempt, .. } => {
                        let hint = Some(Hint::Variant(known));
                        let attempt = *attempt;
                        slot.state = State::Poisoned { hint, attempt };
                    }
                    State::Plain | State::Hidden => {}
                });
                self.poison(slot)
            }
            _ => {
                self.report(slot, error);
                self.poison(slot)
            }
        }
    }

    fn names_child(&self, slot: SlotId, error: &Error) -> bool {
        matches!(&error.kind, Kind::UnknownField { name, .. } if self.session.name(slot) == *name)
    }

    /// A placeholder for `slot`, or the next one; when none fits, for what is around it.
    fn poison(&mut self, slot: SlotId) -> bool {
        let next = match self.session.state(slot) {
            State::Poisoned { attempt, .. } if attempt + 1 == ATTEMPTS => None,
            State::Poisoned { attempt, hint } => Some((attempt + 1, hint)),
            State::Hinted(hint) => Some((0, Some(hint))),
            State::Plain | State::Hidden => Some((0, None)),
        };
        match next {
            Some((attempt, hint)) => {
                self.session.set(slot, |slot| slot.state = State::Poisoned { hint, attempt });
                true
            }
            None if slot == ROOT => false,
            None => self.poison(self.session.get(slot, |slot| slot.parent)),
        }
    }

    /// A key is missing in `slot`: a placeholder is given for it from now on.
    fn missing(&mut self, slot: SlotId, name: &'static str, error: &Error) -> bool {
        let known = self.session.get(slot, |slot| slot.added.contains(&name));
        if known {
            return self.poison(slot);
        }
        if !self.is_broken(slot) {
            self.report(slot, error);
        }
        self.session.set(slot, |slot| slot.added.push(name));
        true
    }

    /// Something in the table could not be read, so that nobody knows what is missing.
    fn is_broken(&self, slot: SlotId) -> bool {
        let content = self.session.get(slot, |slot| slot.content.clone());
        let broken = |table: &Table| table.broken;
        match content {
            Content::View(_) => self.session.context.root.broken,
            _ => match self.session.evaluate(slot).map(|evaluated| evaluated.value) {
                Ok(Value::Table(table)) => broken(table),
                _ => false,
            },
        }
    }

    /// The error of a run as things are now, for finding out about the order of reading.
    pub(super) fn probe(&mut self) -> Option<Error> {
        self.runs_left = self.runs_left.saturating_sub(1);
        if self.runs_left == 0 { None } else { (self.run)() }
    }
}
