//! References: `$global`, `@path`, `#{path}`, keys of other files; and the circles they can make.

use super::{Context, Evaluated, NoValue};
use crate::fault::Fault;
use crate::source::Span;
use crate::suggest::nearest;
use crate::syntax::DEPTH_MAX;
use crate::tree::{Entry, Import, Node, Table};

/// How many references one value may follow in all; a few lines that double each other would
/// otherwise take forever.
const LOOKUPS_MAX: usize = 4096;

/// A reference that is being followed.
struct Step<'t> {
    node: &'t Node,
    name: &'t str,
    span: Span,
}

/// The evaluation of one value, with all that it leads to.
pub(super) struct Walk<'t> {
    pub(super) context: Context<'t>,
    steps: Vec<Step<'t>>,
    lookups: usize,
    /// Values within values that are being evaluated.
    pub(super) depth: usize,
}

impl<'t> Context<'t> {
    /// The globals of the file that `span` lies in.
    fn globals_at(&self, span: Span) -> &'t Table {
        self.imports.home(span).map_or(self.globals, |home| &home.globals)
    }

    /// The root of the file that `span` lies in.
    fn root_at(&self, span: Span) -> &'t Table {
        self.imports.home(span).map_or(self.root, |home| &home.root)
    }

    /// What `path` means where `span` lies, in the tables `scope`; with the tables around it.
    pub(crate) fn lookup(
        &self,
        path: &str,
        span: Span,
        scope: &[&'t Table],
    ) -> Option<(&'t Entry, Vec<&'t Table>)> {
        let mut trail = Vec::new();
        if let Some(global) = path.strip_prefix('$') {
            return Some((self.globals_at(span).find(global, &mut trail)?, trail));
        }
        let home = self.sources.home(span);
        let own = |table: &&'t Table| self.sources.home(table.span) == home;
        let scope: Vec<_> = scope.iter().copied().skip_while(|table| !own(table)).collect();
        let enclosing = usize::from(scope.len() > 1);
        for depth in (enclosing..scope.len()).rev() {
            let mut trail = scope[..depth].to_vec();
            if let Some(entry) = scope[depth].find(path, &mut trail) {
                return Some((entry, trail));
            }
        }
        [self.globals_at(span), self.root_at(span)].into_iter().find_map(|table| {
            let mut trail = Vec::new();
            Some((table.find(path, &mut trail)?, trail))
        })
    }
}

impl<'t> Walk<'t> {
    pub(super) fn new(context: Context<'t>, node: &'t Node) -> Self {
        let first = Step { node, name: "", span: node.span };
        Self { context, steps: vec![first], lookups: 0, depth: 0 }
    }

    pub(super) fn globals(&self, span: Span) -> &'t Table {
        self.context.globals_at(span)
    }

    pub(super) fn global(&mut self, name: &'t str, span: Span) -> Result<Evaluated<'t>, NoValue> {
        let globals = self.globals(span);
        let mut trail = Vec::new();
        match globals.find(name, &mut trail) {
            Some(entry) => self.follow(entry, name, span, &trail),
            None => Err(self.undefined(&format!("${name}"), span, &[])),
        }
    }

    /// `#{path}`, `@path`: a sibling, then one of an enclosing table, then a global, then from the
    /// root; all of the file that the reference stands in, overlays included.
    pub(super) fn reference(
        &mut self,
        path: &'t str,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        if let Some(global) = path.strip_prefix('$') {
            return self.global(global, span);
        }
        match self.context.lookup(path, span, scope) {
            Some((entry, trail)) => self.follow(entry, path, span, &trail),
            None => Err(self.undefined(path, span, scope)),
        }
    }

    /// `@file.tsk.get("key")`
    pub(super) fn import(
        &mut self,
        import: &'t Import,
        span: Span,
    ) -> Result<Evaluated<'t>, NoValue> {
        let home = match self.context.imports.file(span, &import.file) {
            Ok(home) => home,
            Err(reason) => {
                let text = format!("keys of {} cannot be had: {reason}", import.file);
                return Err(Fault::error(self.context.location(span), text).into());
            }
        };
        let mut trail = Vec::new();
        if let Some(entry) = home.root.find(&import.key, &mut trail) {
            self.follow(entry, &import.key, span, &trail)
        } else {
            let text = format!("{} has no key `{}`", import.file, import.key);
            let last = import.key.rsplit('.').next().unwrap_or_default();
            let nested = home.root.entries().iter().filter_map(|entry| entry.value.as_table());
            let keys = nested.chain([&home.root]).flat_map(Table::keys);
            let fault = Fault::error(self.context.location(import.key_span), text);
            Err(NoValue::Undefined(Box::new(match nearest(last, keys) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault,
            })))
        }
    }

    fn follow(
        &mut self,
        entry: &'t Entry,
        name: &'t str,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        let node = &entry.value;
        if let Some(first) = self.steps.iter().position(|step| std::ptr::eq(step.node, node)) {
            return Err(self.circle(first, name, span));
        }
        self.lookups += 1;
        if self.steps.len() > DEPTH_MAX || self.lookups > LOOKUPS_MAX {
            let text = format!("too many references from one value (at `{name}`)");
            return Err(Fault::error(self.context.location(span), text).into());
        }
        self.steps.push(Step { node, name, span });
        let result = self.node(node, scope);
        self.steps.pop();
        result
    }

    /// The values from step `first` on refer to each other.
    fn circle(&self, first: usize, name: &str, span: Span) -> NoValue {
        let through = self.steps[first + 1..].iter();
        let mut path = format!("`{name}`");
        for step in through.clone() {
            path = format!("{path} -> `{}`", step.name);
        }
        let text = format!("these values refer to each other in a circle: {path} -> `{name}`");
        let mut fault = Fault::error(self.context.location(self.steps[first].node.span), text);
        for step in through {
            fault =
                fault.note(self.context.location(step.span), format!("here to `{}`", step.name));
        }
        fault.note(self.context.location(span), format!("here back to `{name}`")).into()
    }

    fn undefined(&self, path: &str, span: Span, scope: &[&'t Table]) -> NoValue {
        let text = format!("`{path}` is not defined");
        let fault = Fault::error(self.context.location(span), text).label("leads nowhere");
        let root = self.context.root_at(span);
        let tables = scope.iter().copied().chain([self.globals(span), root]);
        let nested = root.entries().iter().filter_map(|entry| {
            let (first, _) = path.split_once('.')?;
            (*entry.key == *first).then(|| entry.value.as_table())?
        });
        let last = path.rsplit('.').next().unwrap_or(path).trim_start_matches('$');
        let near = nearest(last, nested.chain(tables).flat_map(Table::keys));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "a reference names a key beside it, a $global, or a path from the root".into(),
        };
        NoValue::Undefined(Box::new(fault.help(help)))
    }
}
