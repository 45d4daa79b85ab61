//! The graph of the system as a picture, and its edges as a table.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};

use super::graph::{Graph, Health, Link, Node, rate_of};
use super::layout::{Layout, Line, Part, Rectangle, layout};
use crate::pages::shown;

/// Letters of a name that fit into a box.
const NAME_MAX: usize = 27;

/// The picture. What it shows, the tables say, too.
pub(super) fn picture(graph: &Graph) -> Markup {
    let parts: Vec<Part> = graph
        .nodes
        .iter()
        .map(|node| Part { name: node.name.clone(), column: node.column })
        .collect();
    let ends: Vec<(String, String)> =
        graph.links.iter().map(|link| (link.from.clone(), link.to.clone())).collect();
    let drawn = layout(&parts, &ends);
    let Layout { width, height, .. } = drawn;
    html! {
        svg.graph viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height)
            role="img" aria-labelledby="graph-title" {
            title #graph-title { "The parts of the system and what goes between them; the tables below say the same" }
            @if let Some(place) = drawn.broker { (broker(place, graph)) }
            @for (link, line) in graph.links.iter().zip(&drawn.lines) {
                @if let Some(line) = line { (edge(link, line)) }
            }
            (boxes(&graph.nodes, &drawn.places))
        }
    }
}

fn broker(place: Rectangle, graph: &Graph) -> Markup {
    let fault = graph.broker.as_ref().and_then(|node| node.fault.as_ref());
    let class = if fault.is_some() { "group faulty" } else { "group" };
    html! {
        rect class=(class) x=(place.x) y=(place.y) width=(place.width) height=(place.height) rx="10" {}
        text x=(place.x + 12) y=(place.y + 22) {
            tspan.name { "rabbitmq" }
            @if let Some(node) = &graph.broker {
                @for (line, class) in &node.lines { tspan class=(class) dx="10" { (line) } }
            }
            @if let Some(fault) = fault { tspan.bad dx="10" { "⚡ " (fault) } }
        }
    }
}

fn boxes(nodes: &[Node], places: &BTreeMap<String, Rectangle>) -> Markup {
    html! {
        @for node in nodes {
            @if let Some(place) = places.get(&node.name) {
                g { title { (node.name) }
                    rect class=(if node.fault.is_some() { "node faulty" } else { "node" })
                        x=(place.x) y=(place.y) width=(place.width) height=(place.height) rx="6" {}
                    (words(node, *place)) }
            }
        }
    }
}

/// The name and the lines below it, in the middle of the box.
fn words(node: &Node, place: Rectangle) -> Markup {
    let fault = node.fault.iter().map(|fault| (format!("⚡ {fault}"), "bad"));
    let lines: Vec<(String, &str)> = node.lines.iter().cloned().chain(fault).collect();
    let count = i32::try_from(lines.len()).unwrap_or_default();
    let first = place.y + place.height / 2 + 5 - count * 8;
    html! {
        text.name x=(place.x + 10) y=(first) { (cut(&node.label)) }
        @for (nth, (line, class)) in (1..).zip(&lines) {
            text class=(class) x=(place.x + 10) y=(first + nth * 16) { (cut_to(line, 34)) }
        }
    }
}

fn cut(text: &str) -> String {
    cut_to(text, NAME_MAX)
}

fn cut_to(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

fn edge(link: &Link, line: &Line) -> Markup {
    let (x, y) = line.head;
    let back = if line.points_left { 8 } else { -8 };
    let head = format!("M{x} {y}l{back} -4v8z");
    let class = link.health.class();
    html! {
        g class=(format!("edge {class}")) {
            title { (link.from) " → " (link.to) ": " (link.sentence()) }
            path d=(line.path) {}
            path.head d=(head) {}
            @if let (Some((x, y)), Some(label)) = (line.label, link.label()) {
                text x=(x) y=(y) text-anchor=[line.label_ends_there.then_some("end")] { (label) }
            }
        }
    }
}

/// The edges that calls and messages went over, in rows.
pub(super) fn table(graph: &Graph) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th scope="col" { "From" } th scope="col" { "To" } th.number scope="col" { "Rate" }
                th.number scope="col" { "p95" } th.number scope="col" { "Errors" } th scope="col" { "State" }
            } }
            tbody #edges data-live="items" {
                @for link in graph.links.iter().filter(|link| link.calls.is_some()) { (row(link)) }
            }
        } }
    }
}

fn row(link: &Link) -> Markup {
    let Some(calls) = &link.calls else { return PreEscaped(String::new()) };
    html! {
        tr id=(format!("edge-{}-{}", link.from.replace(' ', "_"), link.to.replace(' ', "_"))) {
            td { (link.from) } td { (link.to) }
            td.number { (rate_of(calls.rate)) }
            td.number { @if calls.calls == 0 { "–" } @else { (shown::duration(calls.p95)) } }
            td.number { (calls.errors) " of " (calls.calls) }
            td class=(link.health.class()) { (health(link.health)) }
        }
    }
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Good => "✓ good",
        Health::Slow => "~ slow",
        Health::Failing => "! some fail",
        Health::Broken => "✗ broken",
        Health::Quiet | Health::Bound => "○ quiet",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_by_letters() {
        assert_eq!(cut_to("ääääää", 4), "äää…");
        assert_eq!(cut("notification-service.events"), "notification-service.events");
    }
}
