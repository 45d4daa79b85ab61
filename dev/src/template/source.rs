//! Items of Rust sources, found by their names, and text put there: what is too small to be a part of its
//! own, such as a field of a struct or a column of a statement.

mod statements;

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use syn::{
    Block, Expr, ExprStruct, Fields, GenericArgument, ImplItem, Item, ItemImpl, ItemStruct, Lit,
    Member, PathArguments, Stmt, Type, UseTree, spanned::Spanned, visit, visit::Visit,
};

use super::{
    files::formatted,
    names::{check_form, is_reserved, is_reserved_in_sql},
    plan::Plan,
};

/// A file of Rust that is added to. Each addition reads the text anew.
pub(super) struct Source(pub(super) String);

/// Constants of an implementation: their names, values as they are written, and places.
pub(super) type Constants = Vec<(String, String, Range<usize>)>;

impl Source {
    fn items(&self) -> Result<Vec<Item>> {
        Ok(syn::parse_file(&self.0).context("it is no Rust that can be read")?.items)
    }

    fn structure(&self, of: &str) -> Result<ItemStruct> {
        let found = self.items()?.into_iter().find_map(|item| match item {
            Item::Struct(found) if found.ident == of => Some(found),
            _ => None,
        });
        found.with_context(|| format!("there is no `struct {of}`"))
    }

    /// Whether there is a struct of this name.
    pub(super) fn has_struct(&self, name: &str) -> bool {
        self.structure(name).is_ok()
    }

    /// The names of the fields of a struct.
    pub(super) fn fields(&self, of: &str) -> Result<Vec<String>> {
        let fields = self.structure(of)?.fields.into_iter();
        Ok(fields.filter_map(|field| Some(field.ident?.to_string())).collect())
    }

    /// The type of a struct's field, when it is a plain name.
    pub(super) fn type_of(&self, of: &str, field: &str) -> Result<Option<String>> {
        let mut fields = self.structure(of)?.fields.into_iter();
        let field = fields.find(|known| known.ident.as_ref().is_some_and(|name| name == field));
        Ok(field.and_then(|field| name_of(&field.ty)))
    }

    /// Whether an attribute of a struct has this word: what serde makes of it, or makes it of.
    pub(super) fn is_marked(&self, of: &str, word: &str) -> bool {
        let attributes = self.structure(of).map(|found| found.attrs).unwrap_or_default();
        attributes.iter().any(|attribute| {
            let has = |tokens: String| tokens.contains(word);
            attribute.meta.require_list().is_ok_and(|list| has(list.tokens.to_string()))
        })
    }

    /// Adds a field, with what stands before it, to the end of a struct.
    pub(super) fn add_field(&mut self, of: &str, field: &str) -> Result<()> {
        let Fields::Named(fields) = self.structure(of)?.fields else {
            bail!("`{of}` has no named fields");
        };
        self.append(fields.brace_token.span.close(), field);
        Ok(())
    }

    /// Adds `field` to every value that is written out, field by field, as `Self { … }` or by its name:
    /// those that name `known` and take nothing from another value. Tells to how many.
    pub(super) fn add_to_values(&mut self, of: &str, known: &str, field: &str) -> Result<usize> {
        struct Values<'a>(&'a str, &'a str, Vec<proc_macro2::Span>);
        impl<'ast> Visit<'ast> for Values<'_> {
            fn visit_expr_struct(&mut self, value: &'ast ExprStruct) {
                let Self(of, known, found) = self;
                let name = value.path.segments.last().map(|last| last.ident.to_string());
                let is_it = name.is_some_and(|name| name == "Self" || name == *of);
                let mut fields = value.fields.iter();
                let names = fields
                    .any(|field| matches!(&field.member, Member::Named(name) if name == known));
                if is_it && names && value.dot2_token.is_none() {
                    found.push(value.brace_token.span.close());
                }
                visit::visit_expr_struct(self, value);
            }
        }
        let mut values = Values(of, known, Vec::new());
        self.items()?.iter().for_each(|item| values.visit_item(item));
        // From the end, so that places before it stay.
        values.2.sort_by_key(|end| std::cmp::Reverse(end.byte_range().start));
        values.2.iter().for_each(|end| self.append(*end, field));
        Ok(values.2.len())
    }

    /// Adds a call to the end of what a function does.
    pub(super) fn add_step(&mut self, function: &str, call: &str) -> Result<()> {
        let end = self.body(function)?.brace_token.span.close().byte_range().start;
        let at = self.0[..end].trim_end().len();
        self.0.insert_str(at, call);
        Ok(())
    }

    /// Has a `check`, which gives all errors, give more of them: an `Option` or a `Vec`.
    pub(super) fn extend_check(&mut self, of: &str, more: &str) -> Result<()> {
        let body = self.method(of, "check")?.with_context(|| format!("`{of}` has no `check`"))?;
        let Some(Stmt::Expr(given, None)) = body.stmts.last() else {
            bail!("`check` of `{of}` gives nothing");
        };
        let span = given.span().byte_range();
        let given = self.0[span.clone()].to_owned();
        let begun = if given == "errors" {
            String::new()
        } else {
            format!("let mut errors: Vec<ValidationError> = {given};\n")
        };
        self.0.replace_range(span, &format!("{begun}errors.extend({more});\nerrors"));
        Ok(())
    }

    /// Whether the type has a method of this name.
    pub(super) fn has_method(&self, of: &str, name: &str) -> Result<bool> {
        Ok(self.method(of, name)?.is_some())
    }

    /// For what a trait is implemented, and the constants of each implementation.
    pub(super) fn implementations(&self, of: &str) -> Result<Vec<(String, Constants)>> {
        let mut found = Vec::new();
        for item in self.items()? {
            let Item::Impl(item) = item else { continue };
            let is_it = item.trait_.as_ref().is_some_and(|(path, _)| path.is_ident(of));
            if let Some(name) = name_of(&item.self_ty).filter(|_| is_it) {
                found.push((name, constants(&item)));
            }
        }
        Ok(found)
    }

    /// The type that is made of this one: the first for which `From<of>` is implemented.
    pub(super) fn made_of(&self, of: &str) -> Result<Option<String>> {
        Ok(self.items()?.iter().find_map(|item| {
            let Item::Impl(item) = item else { return None };
            let (path, _) = item.trait_.as_ref()?;
            let last = path.segments.last().filter(|last| last.ident == "From")?;
            let PathArguments::AngleBracketed(from) = &last.arguments else { return None };
            let GenericArgument::Type(from) = from.args.first()? else { return None };
            (name_of(from)? == of).then(|| name_of(&item.self_ty))?
        }))
    }

    /// The text that a constant of the file holds.
    pub(super) fn constant(&self, name: &str) -> Result<Option<String>> {
        Ok(self.items()?.into_iter().find_map(|item| match item {
            Item::Const(item) if item.ident == name => literal(&item.expr),
            _ => None,
        }))
    }

    /// Takes away what stands at a place, with its line and the comments right above.
    pub(super) fn take_lines(&mut self, place: &Range<usize>) {
        let mut start = self.0[..place.start].rfind('\n').map_or(0, |at| at + 1);
        while let Some(above) = self.0[..start].strip_suffix('\n') {
            let line = above.rfind('\n').map_or(0, |at| at + 1);
            if !above[line..].trim_start().starts_with("//") {
                break;
            }
            start = line;
        }
        let end = self.0[place.end..].find('\n').map_or(self.0.len(), |at| place.end + at + 1);
        self.0.replace_range(start..end, "");
    }

    /// Adds an import, unless it is there: beside those of the same crate, else of other crates. `cargo fmt`
    /// sorts it in.
    pub(super) fn import(&mut self, line: &str) -> Result<()> {
        if self.0.lines().any(|other| other == line) {
            return Ok(());
        }
        let krate = line.trim_start_matches("use ").split("::").next().unwrap_or_default();
        let uses: Vec<(String, usize)> = self.items()?.iter().filter_map(first_of_use).collect();
        let is_foreign = |name: &str| !["std", "crate", "super"].contains(&name);
        let place = uses.iter().find(|(name, _)| name == krate);
        let place =
            place.or_else(|| uses.iter().find(|(name, _)| krate != "std" && is_foreign(name)));
        let Some((_, at)) = place.or(uses.first()) else { return Ok(()) };
        // Imports of the standard library are a group of their own.
        let is_alone = krate == "std" && uses.iter().all(|(name, _)| name != "std");
        let gap = if is_alone { "\n" } else { "" };
        self.0.insert_str(*at, &format!("{line}\n{gap}"));
        Ok(())
    }

    /// What a method of a type does.
    fn method(&self, of: &str, name: &str) -> Result<Option<Block>> {
        Ok(self.functions()?.into_iter().find_map(|(owner, function, body)| {
            (owner.as_deref() == Some(of) && function == name).then_some(body)
        }))
    }

    /// What a function does; the first one of this name.
    fn body(&self, function: &str) -> Result<Block> {
        let found = self.functions()?.into_iter().find(|(_, name, _)| name == function);
        let (.., body) = found.with_context(|| format!("there is no `fn {function}`"))?;
        Ok(body)
    }

    /// All functions: of which type, unless it is one of a trait, what they are called, what they do.
    fn functions(&self) -> Result<Vec<(Option<String>, String, Block)>> {
        let mut found = Vec::new();
        for item in self.items()? {
            match item {
                Item::Fn(item) => found.push((None, item.sig.ident.to_string(), *item.block)),
                Item::Impl(item) => {
                    let owner = name_of(&item.self_ty).filter(|_| item.trait_.is_none());
                    found.extend(item.items.into_iter().filter_map(|inner| match inner {
                        ImplItem::Fn(inner) => {
                            Some((owner.clone(), inner.sig.ident.to_string(), inner.block))
                        }
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Adds to the end of what stands in braces or parentheses, behind a comma.
    fn append(&mut self, close: proc_macro2::Span, what: &str) {
        let end = close.byte_range().start;
        let inner = self.0[..end].trim_end();
        let comma = if inner.ends_with([',', '{', '(']) { "" } else { "," };
        let at = inner.len();
        self.0.replace_range(at..end, &format!("{comma}\n{what},\n"));
    }
}

/// The last name of a type's path.
fn name_of(kind: &Type) -> Option<String> {
    let Type::Path(kind) = kind else { return None };
    let last = kind.path.segments.last()?;
    last.arguments.is_none().then(|| last.ident.to_string())
}

fn constants(item: &ItemImpl) -> Constants {
    let constants = item.items.iter().filter_map(|item| match item {
        ImplItem::Const(item) => {
            let value = literal(&item.expr).unwrap_or_default();
            Some((item.ident.to_string(), value, item.span().byte_range()))
        }
        _ => None,
    });
    constants.collect()
}

/// A text without its quotes, a number.
fn literal(value: &Expr) -> Option<String> {
    let Expr::Lit(value) = value else { return None };
    match &value.lit {
        Lit::Str(text) => Some(text.value()),
        Lit::Int(number) => Some(number.base10_digits().to_owned()),
        _ => None,
    }
}

/// The crate that an import begins with, and where it stands.
fn first_of_use(item: &Item) -> Option<(String, usize)> {
    let Item::Use(item) = item else { return None };
    let name = match &item.tree {
        UseTree::Path(path) => path.ident.to_string(),
        UseTree::Name(name) => name.ident.to_string(),
        _ => return None,
    };
    Some((name, item.span().byte_range().start))
}

/// Fails for a name that cannot be a field of Rust and a column of SQL.
pub(super) fn check_column(name: &str) -> Result<()> {
    check_form("a column", &name.replace('_', "-"))?;
    ensure!(!name.contains('-'), "a column is written `{}`", name.replace('-', "_"));
    ensure!(!is_reserved(name), "`{name}` cannot name a field in Rust: choose another");
    ensure!(!is_reserved_in_sql(name), "`{name}` cannot name a column in SQL: choose another");
    Ok(())
}

/// Changes a file of the plan, and formats it.
pub(super) fn edit(
    plan: &mut Plan,
    path: &str,
    change: impl FnOnce(&mut Source) -> Result<()>,
) -> Result<()> {
    let mut source = Source(plan.existing(path)?);
    change(&mut source).with_context(|| path.to_owned())?;
    let text = formatted(plan.root(), &source.0).with_context(|| format!("format {path}"))?;
    plan.set(path, Some(text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
