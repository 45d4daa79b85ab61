//! What is known about each place of the tree, over all rounds of one read.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use zeroize::Zeroizing;

use super::hint::Hint;
use crate::evaluate::{Context, Evaluated, NoValue, Value};
use crate::fault::Fault;
use crate::source::Span;
use crate::tree::{Entry, Node, Table};

pub(super) type SlotId = usize;

/// How many values may be evaluated for one read, and how many more for each byte of the files: each
/// flattened value costs a round, and each round reads everything again.
const EVALUATIONS_MAX: usize = 2_000_000;
const EVALUATIONS_PER_BYTE: usize = 20;

/// The slot of the value that is read as a whole.
pub(super) const ROOT: SlotId = 0;

/// One step from a table or list inwards.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Seg<'t> {
    Key(Cow<'t, str>),
    Index(usize),
}

/// What a slot holds.
#[derive(Debug, Clone)]
pub(super) enum Content<'t> {
    Node(&'t Node),
    Table(&'t Table),
    /// All sections of a kind: `service:*`. Holds `service:`.
    View(String),
    /// A piece of an evaluated value: an item out of a variable, a part of a request.
    Evaluated(Box<Evaluated<'t>>),
    /// Not in any file; poison stands in for it.
    Missing,
}

/// How a slot is read in the next round.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Plain,
    /// Give it to serde's buffer like this.
    Hinted(Hint),
    /// Something else stands in for it: the `attempt`-th placeholder.
    Poisoned {
        hint: Option<Hint>,
        attempt: usize,
    },
    /// Left out.
    Hidden,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct Slot<'t> {
    pub(super) parent: SlotId,
    pub(super) seg: Seg<'t>,
    pub(super) content: Content<'t>,
    /// Where its key stands.
    pub(super) key_span: Option<Span>,
    pub(super) state: State,
    /// Give a tag whatever the state; set for one round to find out about the order of reading.
    pub(super) forced: bool,
    /// Was read into serde's buffer.
    pub(super) captured: bool,
    /// The type asked for nothing here.
    pub(super) ignored: bool,
    /// Read as a [`crate::Secret`].
    pub(super) secret: bool,
    /// The keys that its type knows.
    pub(super) fields: Option<&'static [&'static str]>,
    /// The name of the struct whose fields they are; empty where that is not known.
    pub(super) struct_name: &'static str,
    /// The table that it came out as.
    pub(super) table: Option<&'t Table>,
    /// Which group it came out as, to find those that hold themselves.
    group: Option<usize>,
    /// Keys that are given though no file has them.
    pub(super) added: Vec<&'static str>,
    pub(super) children: Vec<SlotId>,
}

/// Where a read starts.
pub(crate) enum Start<'t> {
    /// At the root: sections that the type does not name are ignored.
    Whole,
    /// At one entry, found through these tables.
    Entry(&'t Entry, Vec<&'t Table>),
}

pub(super) struct Session<'t> {
    pub(super) context: Context<'t>,
    /// Whether [`ROOT`] is the root of the files.
    pub(super) whole: bool,
    /// Tables around [`ROOT`].
    around: Vec<&'t Table>,
    slots: RefCell<Vec<Slot<'t>>>,
    index: RefCell<HashMap<(SlotId, Seg<'t>), SlotId>>,
    /// How many values were evaluated, over all rounds.
    evaluations: Cell<usize>,
    /// A bound was reached, so that there is no use in going on.
    pub(super) exhausted: Cell<bool>,
    /// Texts that no message may contain.
    pub(super) secrets: RefCell<Vec<Zeroizing<String>>>,
}

impl<'t> Slot<'t> {
    fn new(parent: SlotId, seg: Seg<'t>, content: Content<'t>) -> Self {
        let state = match content {
            Content::Missing => State::Poisoned { hint: None, attempt: 0 },
            _ => State::Plain,
        };
        Self {
            parent,
            seg,
            content,
            key_span: None,
            state,
            forced: false,
            captured: false,
            ignored: false,
            secret: false,
            fields: None,
            struct_name: "",
            table: None,
            group: None,
            added: Vec::new(),
            children: Vec::new(),
        }
    }
}

impl<'t> Session<'t> {
    pub(super) fn new(context: Context<'t>, start: Start<'t>) -> Self {
        let whole = matches!(start, Start::Whole);
        let (root, around) = match start {
            Start::Whole => {
                let content = Content::Table(context.root);
                (Slot::new(ROOT, Seg::Key("".into()), content), Vec::new())
            }
            Start::Entry(entry, around) => {
                let seg = Seg::Key(Cow::Borrowed(&*entry.key));
                let mut slot = Slot::new(ROOT, seg, Content::Node(&entry.value));
                slot.key_span = Some(entry.key_span);
                (slot, around)
            }
        };
        let slots = RefCell::new(vec![root]);
        let index = RefCell::default();
        Self {
            context,
            whole,
            around,
            slots,
            index,
            evaluations: Cell::new(0),
            exhausted: Cell::new(false),
            secrets: RefCell::default(),
        }
    }

    /// The slot of a child, made when first asked for.
    pub(super) fn child(
        &self,
        parent: SlotId,
        seg: Seg<'t>,
        key_span: Option<Span>,
        content: impl FnOnce() -> Content<'t>,
    ) -> SlotId {
        let key = (parent, seg);
        if let Some(slot) = self.index.borrow().get(&key) {
            return *slot;
        }
        let mut slots = self.slots.borrow_mut();
        let id = slots.len();
        slots.push(Slot { key_span, ..Slot::new(parent, key.1.clone(), content()) });
        slots[parent].children.push(id);
        self.index.borrow_mut().insert(key, id);
        id
    }

    /// Looks at a slot.
    pub(super) fn get<R>(&self, slot: SlotId, look: impl FnOnce(&Slot<'t>) -> R) -> R {
        look(&self.slots.borrow()[slot])
    }

    /// Changes a slot.
    pub(super) fn set<R>(&self, slot: SlotId, change: impl FnOnce(&mut Slot<'t>) -> R) -> R {
        change(&mut self.slots.borrow_mut()[slot])
    }

    pub(super) fn state(&self, slot: SlotId) -> State {
        self.get(slot, |slot| slot.state.clone())
    }

    pub(super) fn children(&self, slot: SlotId) -> Vec<SlotId> {
        self.get(slot, |slot| slot.children.clone())
    }

    /// `slot` and all below it, outside before inside.
    pub(super) fn subtree(&self, slot: SlotId) -> Vec<SlotId> {
        let slots = self.slots.borrow();
        let mut all = vec![slot];
        let mut next = 0;
        while let Some(slot) = all.get(next) {
            all.extend_from_slice(&slots[*slot].children);
            next += 1;
        }
        all
    }

    /// `slot` and the slots around it, inside before outside.
    pub(super) fn ancestors(&self, slot: SlotId) -> Vec<SlotId> {
        let mut all = vec![slot];
        let mut last = slot;
        while last != ROOT {
            last = self.get(last, |slot| slot.parent);
            all.push(last);
        }
        all
    }

    /// A placeholder is read here or further out.
    pub(super) fn is_poisoned(&self, slot: SlotId) -> bool {
        let poisoned =
            |slot: &SlotId| matches!(self.state(*slot), State::Poisoned { .. } | State::Hidden);
        self.ancestors(slot).iter().any(poisoned)
    }

    /// Must not be shown, by the type that reads it.
    pub(super) fn is_secret(&self, slot: SlotId) -> bool {
        self.ancestors(slot).iter().any(|slot| self.get(*slot, |slot| slot.secret))
    }

    /// Ends a read of values that hold each other, or that takes too many rounds.
    fn within_bounds(&self, slot: SlotId) -> Result<(), NoValue> {
        let depth = self.ancestors(slot).len();
        let count = self.slots.borrow().len();
        let bounds = self.context.check_bounds(depth, count, self.span(slot));
        self.evaluations.set(self.evaluations.get() + 1);
        let most = EVALUATIONS_MAX + EVALUATIONS_PER_BYTE * self.context.sources.bytes();
        let bounds = bounds.and_then(|()| {
            let text = format!("reading this takes more than {most} evaluations");
            let fault = || Fault::error(None, text).help("flatten less, or refer to fewer groups");
            if self.evaluations.get() > most { Err(fault()) } else { Ok(()) }
        });
        self.exhausted.set(bounds.is_err());
        Ok(bounds?)
    }

    pub(super) fn evaluate(&self, slot: SlotId) -> Result<Evaluated<'t>, NoValue> {
        self.within_bounds(slot)?;
        let content = self.get(slot, |slot| slot.content.clone());
        let evaluated = match content {
            Content::Node(node) => self.context.evaluate(node, &self.scope(slot))?,
            Content::Table(table) => Evaluated::table(table),
            Content::Evaluated(evaluated) => *evaluated,
            Content::View(_) | Content::Missing => Evaluated::table(self.context.root),
        };
        if let Some(group) = evaluated.group() {
            let around = self.ancestors(slot);
            let mut around = around[1..].iter().map(|id| self.get(*id, |slot| slot.group));
            if around.any(|around| around == Some(group)) {
                return Err(self
                    .context
                    .holds_itself(self.span(slot).unwrap_or(evaluated.span))
                    .into());
            }
            self.set(slot, |slot| slot.group = Some(group));
        }
        if (evaluated.secret || self.is_secret(slot))
            && let Value::Text(text) = &evaluated.value
        {
            let mut secrets = self.secrets.borrow_mut();
            if !secrets.iter().any(|known| known.as_str() == text) {
                secrets.push(Zeroizing::new(text.clone().into_owned()));
            }
        }
        Ok(evaluated)
    }

    /// The tables around a slot, from the root inwards.
    fn scope(&self, slot: SlotId) -> Vec<&'t Table> {
        let ancestors = self.ancestors(slot);
        let tables = ancestors[1..].iter().rev().filter_map(|id| self.get(*id, |slot| slot.table));
        self.around.iter().copied().chain(tables).collect()
    }

    /// A table or list as written, so that it can be gone through without evaluating anything.
    pub(super) fn is_container(&self, slot: SlotId) -> bool {
        use crate::tree::Expr;
        self.get(slot, |slot| match &slot.content {
            Content::Node(node) => matches!(node.expr, Expr::Table(_) | Expr::List(_)),
            Content::Table(_) | Content::View(_) => true,
            Content::Evaluated(_) | Content::Missing => false,
        })
    }

    /// The name of a slot in messages: its key, or that of its list.
    pub(super) fn name(&self, slot: SlotId) -> String {
        match self.get(slot, |slot| slot.seg.clone()) {
            Seg::Key(key) => key.into_owned(),
            Seg::Index(index) => {
                let list = self.get(slot, |slot| slot.parent);
                format!("{}[{index}]", self.name(list))
            }
        }
    }

    /// The place of the value of a slot, or of the nearest thing around it that has one.
    pub(super) fn span(&self, slot: SlotId) -> Option<Span> {
        self.ancestors(slot).into_iter().find_map(|id| {
            self.get(id, |slot| match &slot.content {
                Content::Node(node) => Some(node.span),
                Content::Table(_) => None,
                Content::Evaluated(evaluated) => Some(evaluated.span),
                Content::View(_) | Content::Missing => slot.key_span,
            })
        })
    }
}
