//! A trace as rows of a waterfall: each span below its parent.

use std::collections::{HashMap, HashSet};

use super::span::{Id, Span, TraceId};

/// A span and how deep it stands.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) span: &'a Span,
    pub(crate) depth: usize,
    /// Whether it stands below what it is linked to and not below its parent.
    pub(crate) is_linked: bool,
}

/// The spans in the order in which they are shown: roots by their beginning, each followed by its
/// children. A span whose parent is not there is a root; one that is linked to a span which is there,
/// such as what a consumer does with what was published, stands below that.
pub(crate) fn rows(spans: &[Span]) -> Vec<Row<'_>> {
    let there: HashSet<(TraceId, Id)> = spans.iter().map(|span| (span.trace, span.id)).collect();
    let mut children: HashMap<(TraceId, Id), Vec<(&Span, bool)>> = HashMap::new();
    let mut roots = Vec::new();
    for span in spans {
        let parent = span.parent.map(|parent| (span.trace, parent)).filter(|it| there.contains(it));
        let link = span.links.iter().map(|link| (link.trace, link.id));
        let link = link.filter(|to| *to != (span.trace, span.id)).find(|it| there.contains(it));
        match (parent, link) {
            (Some(parent), _) => children.entry(parent).or_default().push((span, false)),
            (None, Some(link)) => children.entry(link).or_default().push((span, true)),
            (None, None) => roots.push((span, false)),
        }
    }
    let mut rows = Vec::with_capacity(spans.len());
    let mut shown = HashSet::new();
    walk(roots, &children, &mut rows, &mut shown);
    // Of a circle that a stranger sent, nothing is a root.
    for span in spans {
        if !shown.contains(&(span.trace, span.id)) {
            walk(vec![(span, false)], &children, &mut rows, &mut shown);
        }
    }
    rows
}

fn walk<'a>(
    roots: Vec<(&'a Span, bool)>,
    children: &HashMap<(TraceId, Id), Vec<(&'a Span, bool)>>,
    rows: &mut Vec<Row<'a>>,
    shown: &mut HashSet<(TraceId, Id)>,
) {
    // Not by calls of itself: how deep a trace is, its sender decides.
    let mut open: Vec<(&Span, bool, usize)> =
        roots.into_iter().rev().map(|(span, is_linked)| (span, is_linked, 0)).collect();
    while let Some((span, is_linked, depth)) = open.pop() {
        let key = (span.trace, span.id);
        if !shown.insert(key) {
            continue;
        }
        rows.push(Row { span, depth, is_linked });
        let below = children.get(&key).into_iter().flatten().rev();
        open.extend(below.map(|(child, is_linked)| (*child, *is_linked, depth + 1)));
    }
}

/// Of each row's span the nanoseconds in which none of its own children was at work.
pub(crate) fn self_times(rows: &[Row<'_>]) -> Vec<u64> {
    let places: HashMap<(TraceId, Id), usize> = rows
        .iter()
        .enumerate()
        .map(|(place, row)| ((row.span.trace, row.span.id), place))
        .collect();
    let mut children: Vec<Vec<(u64, u64)>> = vec![Vec::new(); rows.len()];
    for row in rows {
        let parent = row.span.parent.and_then(|parent| places.get(&(row.span.trace, parent)));
        if let Some(place) = parent {
            children[*place].push((row.span.began, row.span.ended()));
        }
    }
    rows.iter().zip(children).map(|(row, times)| row.span.took - covered(row.span, times)).collect()
}

/// How much of a span these times cover together.
fn covered(span: &Span, mut times: Vec<(u64, u64)>) -> u64 {
    times.sort_unstable();
    let mut covered = 0;
    let mut at = span.began;
    for (began, ended) in times {
        let began = began.max(at);
        let ended = ended.min(span.ended());
        covered += ended.saturating_sub(began);
        at = at.max(ended);
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::super::span::{Kind, Link};
    use super::*;

    fn span(trace: u8, id: u8, parent: Option<u8>, link: Option<(u8, u8)>) -> Span {
        Span {
            trace: [trace; 16],
            id: [id; 8],
            parent: parent.map(|parent| [parent; 8]),
            service: String::new(),
            name: String::new(),
            kind: Kind::Internal,
            began: 0,
            took: 0,
            error: None,
            attributes: vec![],
            events: vec![],
            links: link.iter().map(|(t, s)| Link { trace: [*t; 16], id: [*s; 8] }).collect(),
        }
    }

    fn shown(spans: &[Span]) -> Vec<(u8, usize)> {
        rows(spans).iter().map(|row| (row.span.id[0], row.depth)).collect()
    }

    #[test]
    fn children_follow_their_parents_and_linked_spans_what_they_are_linked_to() {
        let spans = [
            span(1, 1, None, None),
            span(1, 2, Some(1), None),
            span(1, 3, Some(1), None),
            span(1, 4, Some(2), None),
            span(2, 5, None, Some((1, 4))),
            span(2, 6, Some(5), None),
            span(1, 7, Some(9), None),
        ];
        assert_eq!(shown(&spans), [(1, 0), (2, 1), (4, 2), (5, 3), (6, 4), (3, 1), (7, 0)]);
    }

    #[test]
    fn a_spans_own_time_is_without_that_of_its_children_which_may_overlap() {
        let times = |id, parent, began, took| Span { began, took, ..span(1, id, parent, None) };
        let spans = [
            times(1, None, 100, 100),
            times(2, Some(1), 110, 30),
            times(3, Some(1), 120, 40),
            // It ends after its parent, as what goes on in the background does.
            times(4, Some(1), 190, 50),
            times(5, Some(3), 120, 40),
        ];
        let rows = rows(&spans);
        let of = |id: u8| rows.iter().position(|row| row.span.id[0] == id).unwrap_or_default();
        let own = self_times(&rows);
        assert_eq!([own[of(1)], own[of(2)], own[of(3)]], [40, 30, 0]);
    }

    #[test]
    fn a_circle_is_shown_once() {
        let spans =
            [span(1, 1, Some(2), None), span(1, 2, Some(1), None), span(1, 3, Some(3), None)];
        assert_eq!(shown(&spans).len(), 3);
    }
}
