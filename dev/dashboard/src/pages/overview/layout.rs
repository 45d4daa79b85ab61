//! Where each part of the system stands in the graph, and how its edges run.
//!
//! ```text
//! clients │ services │ ┌ rabbitmq ───────────┐
//!         │          │ │ exchanges │ queues  │
//!         │          │ └─────────────────────┘
//!         │          │ other servers, simulator
//! ```
//!
//! Each edge of a service has a line of its own beside it, on which its label stands, so that no two
//! labels meet. Queues stand half a row below exchanges: the way from a queue back to its consumer runs
//! between two of them.

use std::collections::{BTreeMap, HashMap};

/// Where a part belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Clients,
    Services,
    Exchanges,
    Queues,
    Servers,
}

/// A part of the system, by the name that edges call it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) column: Column,
}

/// A box, in units of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rectangle {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

impl Rectangle {
    fn right(self) -> i32 {
        self.x + self.width
    }

    fn middle(self) -> i32 {
        self.y + self.height / 2
    }
}

/// An edge's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// A path of SVG.
    pub(super) path: String,
    /// The head of the arrow, which points to the right or to the left.
    pub(super) head: (i32, i32),
    pub(super) points_left: bool,
    /// Where its label begins, or ends.
    pub(super) label: Option<(i32, i32)>,
    pub(super) label_ends_there: bool,
}

/// The whole picture.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) places: BTreeMap<String, Rectangle>,
    /// Around exchanges and queues; none when there are none.
    pub(super) broker: Option<Rectangle>,
    /// For each edge that was given; none where an end is no part.
    pub(super) lines: Vec<Option<Line>>,
}

const MARGIN: i32 = 10;
const CLIENTS_X: i32 = MARGIN;
const CLIENTS_WIDTH: i32 = 90;
const SERVICES_X: i32 = 330;
const SERVICES_WIDTH: i32 = 200;
const EXCHANGES_X: i32 = 830;
const EXCHANGES_WIDTH: i32 = 170;
const QUEUES_X: i32 = 1050;
const QUEUES_WIDTH: i32 = 230;
const WIDTH: i32 = QUEUES_X + QUEUES_WIDTH + 2 * MARGIN;
/// What an edge's label takes beside a service.
const LABEL: i32 = 190;
/// Between two lines of edges beside a service.
const PORT: i32 = 22;
const SERVICE_HEIGHT_MIN: i32 = 74;
const GAP: i32 = 24;
const ROW_HEIGHT: i32 = 54;
/// From one exchange to the next.
const ROW: i32 = 2 * (ROW_HEIGHT + 4);
/// Above the exchanges, for the broker's own name.
const BROKER_HEAD: i32 = 40;

/// Puts the parts into their places, in the order in which they are given, and draws the edges between
/// them.
pub(super) fn layout(parts: &[Part], edges: &[(String, String)]) -> Layout {
    let mut layout = Layout { width: WIDTH, ..Layout::default() };
    let of = |column: Column| parts.iter().filter(move |part| part.column == column);
    let mut y = layout.put_broker(of(Column::Exchanges), of(Column::Queues));
    for part in of(Column::Servers) {
        let into = edges.iter().filter(|(_, to)| *to == part.name).count();
        let height = ROW_HEIGHT.max(16 + 12 * count(into));
        layout.put(part, Rectangle { x: EXCHANGES_X, y, width: EXCHANGES_WIDTH, height });
        y += height + GAP;
    }
    layout.height = y;
    let sides = sides(parts, edges, &layout.places);
    let heights: Vec<i32> = of(Column::Services)
        .map(|part| {
            let side = sides.get(part.name.as_str());
            let ports = side.map_or(0, |side| side.left.len().max(side.right.len()));
            SERVICE_HEIGHT_MIN.max(PORT * (count(ports) + 1))
        })
        .collect();
    let gaps = GAP * (count(heights.len()) + 1);
    let spare = (layout.height - heights.iter().sum::<i32>() - gaps).max(0);
    let gap = GAP + spare / (count(heights.len()) + 1);
    let mut y = gap;
    for (part, height) in of(Column::Services).zip(heights) {
        layout.put(part, Rectangle { x: SERVICES_X, y, width: SERVICES_WIDTH, height });
        y += height + gap;
    }
    layout.height = layout.height.max(y) + MARGIN;
    for part in of(Column::Clients) {
        let y = layout.height / 2 - ROW_HEIGHT / 2;
        let place = Rectangle { x: CLIENTS_X, y, width: CLIENTS_WIDTH, height: ROW_HEIGHT };
        layout.put(part, place);
    }
    layout.lines = layout.draw(parts, edges, &sides);
    layout
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX / 1_000)
}

/// The edges on each side of a service, in the order in which they stand there.
#[derive(Debug, Default)]
struct Sides {
    left: Vec<usize>,
    right: Vec<usize>,
}

/// A service meets clients and other services on its left, all else on its right, there in the order of
/// the other ends.
fn sides<'a>(
    parts: &'a [Part],
    edges: &'a [(String, String)],
    places: &BTreeMap<String, Rectangle>,
) -> HashMap<&'a str, Sides> {
    let columns: HashMap<&str, Column> =
        parts.iter().map(|part| (part.name.as_str(), part.column)).collect();
    let mut all = HashMap::<&str, Sides>::new();
    for (number, (from, to)) in edges.iter().enumerate() {
        let ends = [(from, to), (to, from)];
        for (own, other) in ends.into_iter().take(if from == to { 1 } else { 2 }) {
            let (Some(Column::Services), Some(column)) =
                (columns.get(own.as_str()), columns.get(other.as_str()))
            else {
                continue;
            };
            let sides = all.entry(own).or_default();
            match column {
                Column::Clients | Column::Services => sides.left.push(number),
                _ => sides.right.push(number),
            }
        }
    }
    for (own, sides) in &mut all {
        let other = |number: &usize| {
            let (from, to) = &edges[*number];
            let other = if from == own { to } else { from };
            places.get(other).map_or(0, |place| place.middle())
        };
        sides.right.sort_by_key(other);
        // What comes from clients first.
        sides.left.sort_by_key(|number| columns.get(edges[*number].0.as_str()).copied());
    }
    all
}

impl Layout {
    fn put(&mut self, part: &Part, place: Rectangle) {
        self.places.insert(part.name.clone(), place);
    }

    /// Exchanges and queues side by side; gives where there is room below.
    fn put_broker<'a>(
        &mut self,
        exchanges: impl Iterator<Item = &'a Part>,
        queues: impl Iterator<Item = &'a Part>,
    ) -> i32 {
        let top = MARGIN + BROKER_HEAD;
        let mut bottom = None;
        for (row, part) in (0..).zip(exchanges) {
            let y = top + row * ROW;
            let place = Rectangle { x: EXCHANGES_X, y, width: EXCHANGES_WIDTH, height: ROW_HEIGHT };
            self.put(part, place);
            bottom = bottom.max(Some(y + ROW_HEIGHT));
        }
        for (row, part) in (0..).zip(queues) {
            let y = top + row * ROW + ROW / 2;
            let place = Rectangle { x: QUEUES_X, y, width: QUEUES_WIDTH, height: ROW_HEIGHT };
            self.put(part, place);
            bottom = bottom.max(Some(y + ROW_HEIGHT));
        }
        let Some(bottom) = bottom else { return MARGIN };
        let x = EXCHANGES_X - MARGIN;
        let width = QUEUES_X + QUEUES_WIDTH - EXCHANGES_X + 2 * MARGIN;
        let height = bottom - MARGIN + MARGIN;
        self.broker = Some(Rectangle { x, y: MARGIN, width, height });
        MARGIN + height + GAP
    }

    fn draw(
        &self,
        parts: &[Part],
        edges: &[(String, String)],
        sides: &HashMap<&str, Sides>,
    ) -> Vec<Option<Line>> {
        let column = |name: &str| parts.iter().find(|part| part.name == name).map(|it| it.column);
        let port = |name: &str, number: usize| {
            let sides = sides.get(name)?;
            let place = self.places.get(name)?;
            let among = |side: &[usize]| side.iter().position(|it| *it == number);
            let (side, nth) = match among(&sides.left) {
                Some(nth) => (&sides.left, nth),
                None => (&sides.right, among(&sides.right)?),
            };
            let free = place.height - PORT * count(side.len());
            Some(place.y + free / 2 + PORT * count(nth) + PORT / 2 + 4)
        };
        let mut arrived = HashMap::<&str, i32>::new();
        let mut lines = Vec::with_capacity(edges.len());
        for (number, (from, to)) in edges.iter().enumerate() {
            let line = || {
                let a = *self.places.get(from)?;
                let b = *self.places.get(to)?;
                Some(match (column(from)?, column(to)?) {
                    (Column::Clients, Column::Services) => from_clients(a, b, port(to, number)?),
                    (Column::Services, Column::Services) => {
                        between_services(a, b, port(from, number)?, port(to, number)?)
                    }
                    (Column::Queues, Column::Services) => to_consumer(a, b, port(to, number)?),
                    (Column::Services, _) => {
                        let nth = arrived.entry(to.as_str()).or_default();
                        *nth += 1;
                        let into = edges.iter().filter(|(_, other)| other == to);
                        let into = into.filter(|(own, _)| column(own) == Some(Column::Services));
                        let at = b.y + b.height * *nth / (count(into.count()) + 1);
                        from_service(a, b, port(from, number)?, at)
                    }
                    (Column::Exchanges, Column::Queues) => binding(a, b),
                    _ => return None,
                })
            };
            lines.push({ line }());
        }
        lines
    }
}

fn from_clients(clients: Rectangle, service: Rectangle, port: i32) -> Line {
    let x = clients.right();
    let y = clients.middle();
    let bend = service.x - LABEL;
    let half = i32::midpoint(x, bend);
    Line {
        path: format!("M{x} {y}C{half} {y} {half} {port} {bend} {port}H{}", service.x - 6),
        head: (service.x, port),
        points_left: false,
        label: Some((service.x - 10, port - 4)),
        label_ends_there: true,
    }
}

fn between_services(from: Rectangle, to: Rectangle, start: i32, end: i32) -> Line {
    let bend = from.x - LABEL;
    let out = bend - 30;
    let path =
        format!("M{} {start}H{bend}C{out} {start} {out} {end} {bend} {end}H{}", from.x, to.x - 6);
    Line {
        path,
        head: (to.x, end),
        points_left: false,
        label: Some((from.x - 10, start - 4)),
        label_ends_there: true,
    }
}

fn from_service(service: Rectangle, other: Rectangle, port: i32, end: i32) -> Line {
    let x = service.right();
    let bend = service.right() + LABEL;
    let half = i32::midpoint(bend, other.x);
    Line {
        path: format!("M{x} {port}H{bend}C{half} {port} {half} {end} {} {end}", other.x - 6),
        head: (other.x, end),
        points_left: false,
        label: Some((x + 10, port - 4)),
        label_ends_there: false,
    }
}

fn to_consumer(queue: Rectangle, service: Rectangle, port: i32) -> Line {
    let x = queue.x;
    let y = queue.middle() + 8;
    let bend = service.right() + LABEL;
    let edge = EXCHANGES_X - MARGIN;
    let half = i32::midpoint(bend, edge);
    let end = service.right();
    Line {
        path: format!("M{x} {y}H{edge}C{half} {y} {half} {port} {bend} {port}H{}", end + 6),
        head: (end, port),
        points_left: true,
        label: Some((end + 10, port - 4)),
        label_ends_there: false,
    }
}

fn binding(exchange: Rectangle, queue: Rectangle) -> Line {
    let x = exchange.right();
    let y = exchange.middle();
    let end = queue.middle() - 8;
    let half = i32::midpoint(x, queue.x);
    Line {
        path: format!("M{x} {y}C{half} {y} {half} {end} {} {end}", queue.x - 6),
        head: (queue.x, end),
        points_left: false,
        label: None,
        label_ends_there: false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn system() -> (Vec<Part>, Vec<(String, String)>) {
        let part = |name: &str, column| Part { name: name.to_owned(), column };
        let mut parts = vec![part("clients", Column::Clients)];
        let mut edges = Vec::new();
        let mut edge = |from: &str, to: &str| edges.push((from.to_owned(), to.to_owned()));
        for service in ["user", "payment", "notification"] {
            parts.push(part(service, Column::Services));
            parts.push(part(&format!("exchange {service}"), Column::Exchanges));
            parts.push(part(&format!("queue {service}"), Column::Queues));
            edge("clients", service);
            edge(service, "postgres");
            edge(service, "redis");
            edge(service, &format!("exchange {service}"));
            edge(&format!("queue {service}"), service);
            edge("exchange user", &format!("queue {service}"));
        }
        parts.extend([part("postgres", Column::Servers), part("redis", Column::Servers)]);
        edge("payment", "user");
        edge("payment", "not there");
        (parts, edges)
    }

    #[test]
    fn no_two_parts_and_no_two_labels_stand_in_one_place() {
        let (parts, edges) = system();
        let layout = layout(&parts, &edges);
        assert_eq!(layout.places.len(), parts.len());
        let places: Vec<Rectangle> = layout.places.values().copied().collect();
        for (number, one) in places.iter().enumerate() {
            assert!(one.y >= 0 && one.y + one.height <= layout.height, "{one:?}");
            assert!(one.right() <= layout.width);
            for other in &places[number + 1..] {
                let apart = one.right() <= other.x
                    || other.right() <= one.x
                    || one.y + one.height <= other.y
                    || other.y + other.height <= one.y;
                assert!(apart, "{one:?} {other:?}");
            }
        }
        let mut labels: Vec<(i32, i32)> =
            layout.lines.iter().flatten().filter_map(|line| line.label).collect();
        labels.sort_unstable();
        for pair in labels.windows(2) {
            assert!(pair[0].0 != pair[1].0 || pair[1].1 - pair[0].1 >= 20, "{pair:?}");
        }
    }

    #[test]
    fn an_edge_ends_at_the_side_of_the_part_that_it_leads_to() {
        let (parts, edges) = system();
        let layout = layout(&parts, &edges);
        for ((_, to), line) in edges.iter().zip(&layout.lines) {
            let Some(line) = line else {
                assert_eq!(to, "not there");
                continue;
            };
            let place = layout.places[to];
            let side = if line.points_left { place.right() } else { place.x };
            assert_eq!(line.head.0, side, "{to}");
            assert!((place.y..=place.y + place.height).contains(&line.head.1), "{to}: {line:?}");
        }
        assert_eq!(layout.lines.iter().filter(|line| line.is_none()).count(), 1);
    }

    #[test]
    fn a_system_without_a_broker_has_no_box_for_it() {
        let parts = [Part { name: "user".to_owned(), column: Column::Services }];
        let layout = layout(&parts, &[]);
        assert_eq!(layout.broker, None);
        assert!(layout.height > layout.places["user"].height);
    }
}
