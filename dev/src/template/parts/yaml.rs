//! YAML: documents, entries of tables, items of lists. What is written in brackets is one part.

use std::ops::Range;

use anyhow::{Context, Result, bail};
use granit_parser::{Event, Options, Parser, Span, StructureStyle};

use super::{Part, whole_lines};

/// A value and where it stands.
struct Node {
    span: Range<usize>,
    content: Content,
}

enum Content {
    Text(String),
    Table(Vec<(Node, Node)>, StructureStyle),
    List(Vec<Node>, StructureStyle),
}

pub(super) fn parts(text: &str) -> Result<Vec<Part>> {
    let mut reader = Reader { text, events: events(text)?.into_iter() };
    let mut documents = Vec::new();
    while let Some((event, span)) = reader.events.next() {
        if !matches!(event, Event::StreamStart | Event::StreamEnd | Event::DocumentEnd)
            && !matches!(event, Event::DocumentStart(..))
        {
            let document = reader.node(event, span)?;
            documents.push(Part {
                name: document.title(),
                span: document.span.clone(),
                is_inline: false,
                parts: document.parts(text),
            });
        }
    }
    Ok(documents)
}

fn events(text: &str) -> Result<Vec<(Event<'_>, Span)>> {
    // A fragment names what is defined in the file that it belongs to.
    let mut options = Options::default();
    options.emit_unresolved_aliases = true;
    let events = Parser::new_from_str_with_options(text, options).collect::<Result<_, _>>();
    events.context("it is no YAML that can be read")
}

struct Reader<'a> {
    text: &'a str,
    events: std::vec::IntoIter<(Event<'a>, Span)>,
}

impl Reader<'_> {
    fn node(&mut self, event: Event<'_>, span: Span) -> Result<Node> {
        let mut range = span.byte_range().context("a place is unknown")?;
        let content = match event {
            Event::Scalar(value, ..) => Content::Text(value.into_owned()),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                Content::Text(self.text[range.clone()].to_owned())
            }
            Event::MappingStart(style, ..) => {
                let mut entries = Vec::new();
                while let Some((event, end)) = self.events.next() {
                    if matches!(event, Event::MappingEnd) {
                        close(&mut range, style, end);
                        break;
                    }
                    let key = self.node(event, end)?;
                    let (event, span) = self.events.next().context("it ends in the middle")?;
                    let value = self.node(event, span)?;
                    range.end = range.end.max(key.span.end).max(value.span.end);
                    entries.push((key, value));
                }
                Content::Table(entries, style)
            }
            Event::SequenceStart(style, ..) => {
                let mut items = Vec::new();
                while let Some((event, end)) = self.events.next() {
                    if matches!(event, Event::SequenceEnd) {
                        close(&mut range, style, end);
                        break;
                    }
                    let item = self.node(event, end)?;
                    range.end = range.end.max(item.span.end);
                    items.push(item);
                }
                Content::List(items, style)
            }
            other => bail!("{other:?} is not understood"),
        };
        // A text over several lines ends with them.
        let trimmed = self.text[range.clone()].trim_end().len();
        range.end = range.start + trimmed;
        Ok(Node { span: range, content })
    }
}

/// What is in brackets ends with them; what is not, with the last thing in it.
fn close(range: &mut Range<usize>, style: StructureStyle, end: Span) {
    if style == StructureStyle::Flow
        && let Some(end) = end.byte_range()
    {
        range.end = end.end;
    }
}

impl Node {
    fn get(&self, key: &str) -> Option<&Self> {
        let Content::Table(entries, _) = &self.content else {
            return None;
        };
        entries.iter().find(|(found, _)| found.text() == Some(key)).map(|(_, value)| value)
    }

    fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Kind and name of an object of Kubernetes; nothing for other documents.
    fn title(&self) -> String {
        let name = self.get("metadata").and_then(|metadata| metadata.get("name"));
        let words = [self.get("kind"), name].into_iter().flatten().filter_map(Self::text);
        words.collect::<Vec<_>>().join(" ")
    }

    /// What an item of a list goes by: its `name`, else the first text in it.
    fn name(&self) -> String {
        let named = self.get("name").and_then(Self::text);
        named.or_else(|| self.first_text()).unwrap_or_default().to_owned()
    }

    fn first_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Table(entries, _) => entries.iter().find_map(|(_, value)| value.first_text()),
            Content::List(items, _) => items.iter().find_map(Self::first_text),
        }
    }

    fn parts(&self, text: &str) -> Vec<Part> {
        let part = |name: String, span: Range<usize>, value: &Self| Part {
            name,
            span: whole_lines(text, &span),
            is_inline: false,
            parts: value.parts(text),
        };
        match &self.content {
            Content::Table(entries, StructureStyle::Block) => {
                let entries = entries.iter().map(|(key, value)| {
                    let end = key.span.end.max(value.span.end);
                    part(key.text().unwrap_or_default().to_owned(), key.span.start..end, value)
                });
                entries.collect()
            }
            Content::List(items, StructureStyle::Block) => {
                items.iter().map(|item| part(item.name(), item.span.clone(), item)).collect()
            }
            _ => Vec::new(),
        }
    }
}
