use super::*;

const STORE: &str = r#"
macro_rules! select_orders {
    ($rest:literal) => {
        sqlx::query_as!(
            Row,
            "select id, updated_at
             from orders " + $rest
        )
    };
}

async fn save(tx: &mut PgConnection, order: &Order) -> Result<(), Error> {
    sqlx::query!(
        "update orders set title = $2, updated_at = $3 where id = $1",
        order.id,
        order.title,
        order.updated_at
    )
}

struct Row {
    id: Uuid,
    updated_at: std::time::Instant,
}

impl TryFrom<Row> for Order {
    fn try_from(row: Row) -> Result<Self, Error> {
        let other = Self { updated_at, ..row };
        Ok(Self { id: row.id, updated_at: row.updated_at })
    }

    fn changed(mut self, now: DateTime<Utc>) -> Self {
        self.updated_at = now;
        self
    }
}
"#;

fn store() -> Source {
    Source(STORE.to_owned())
}

#[test]
fn a_column_is_added_to_what_is_read_and_to_what_is_saved() {
    let mut source = store();
    source.add_selected("select_orders", "orders", "sent_at").unwrap();
    source.add_saved("orders", "sent_at", "order.sent_at").unwrap();
    for expected in [
        "\"select id, updated_at, sent_at\n             from orders \" + $rest",
        "updated_at = $3, sent_at = $4\n         where id = $1\"",
        "order.updated_at,\norder.sent_at,\n)",
    ] {
        assert!(source.0.contains(expected), "{expected}\n{}", source.0);
    }
}

#[test]
fn a_field_is_added_to_a_struct_and_to_values_that_are_written_out() {
    let mut source = store();
    source.add_field("Row", "sent_at: Option<Instant>").unwrap();
    assert_eq!(source.add_to_values("Order", "updated_at", "sent_at: row.sent_at").unwrap(), 1);
    assert_eq!(source.fields("Row").unwrap(), ["id", "updated_at", "sent_at"]);
    assert!(source.0.contains("updated_at: row.updated_at,\nsent_at: row.sent_at,\n})"));
    assert!(source.0.contains("Self { updated_at, ..row }"));
}

#[test]
fn what_is_not_there_is_reported() {
    let error = |done: Result<()>| format!("{:#}", done.unwrap_err());
    assert!(error(store().add_field("Rows", "a: b")).contains("no `struct Rows`"));
    assert!(error(store().add_selected("select_rows", "rows", "a")).contains("select_rows"));
    assert!(error(store().add_saved("rows", "a", "b")).contains("updates rows"));
}

#[test]
fn a_name_that_rust_or_sql_takes_cannot_be_a_column() {
    for (name, expected) in [
        ("match", "in Rust"),
        ("limit", "in SQL"),
        ("Sent", "cannot name a column"),
        ("sent-at", "written `sent_at`"),
        ("sent__at", "cannot name a column"),
    ] {
        let error = check_column(name).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    check_column("sent_at").unwrap();
}

#[test]
fn a_check_gives_more_whatever_it_gave_before() {
    for (given, expected) in [
        ("errors", "{ errors.extend(self.b.check());\nerrors }"),
        (
            "[one, two].into_iter().flatten().collect()",
            "{ let mut errors: Vec<ValidationError> = [one, two].into_iter().flatten().collect();\n\
             errors.extend(self.b.check());\nerrors }",
        ),
    ] {
        let text = "impl Other { fn check(&self) -> u8 { 0 } } impl A { fn check(&self) -> Vec<ValidationError> { GIVEN } }";
        let mut source = Source(text.replace("GIVEN", given));
        source.extend_check("A", "self.b.check()").unwrap();
        assert!(source.0.ends_with(&format!("{expected} }}")), "{}", source.0);
        assert!(source.0.contains("{ 0 }"));
    }
}

#[test]
fn a_call_is_added_to_what_a_function_ends_with() {
    let mut source =
        Source("fn handlers(self) -> H {\n    H::new(self).on(Self::a)\n}\n".to_owned());
    source.add_step("handlers", ".on(Self::b)").unwrap();
    assert!(source.0.contains("H::new(self).on(Self::a).on(Self::b)\n}"), "{}", source.0);
}

#[test]
fn an_import_stands_beside_those_of_its_crate_and_apart_from_the_standard_library() {
    let text =
        "use std::sync::Arc;\n\nuse chassis::Clock;\nuse contracts::UserId;\n\nuse crate::a;\n";
    let import = |text: &str, line: &str| {
        let mut source = Source(text.to_owned());
        source.import(line).unwrap();
        source.0
    };
    for (line, expected) in [
        (
            "use contracts::parcel::Sent;",
            "Clock;\nuse contracts::parcel::Sent;\nuse contracts::UserId",
        ),
        ("use uuid::Uuid;", "Arc;\n\nuse uuid::Uuid;\nuse chassis"),
        ("use std::time::Duration;", "use std::time::Duration;\nuse std::sync"),
    ] {
        let imported = import(text, line);
        assert!(imported.contains(expected), "{imported}");
        assert_eq!(import(&imported, line), imported);
    }
    let alone = import("//! A.\n\nuse serde::D;\n", "use std::time::Duration;");
    assert_eq!(alone, "//! A.\n\nuse std::time::Duration;\n\nuse serde::D;\n");
}

#[test]
fn items_are_found_by_name_however_their_lines_are_broken() {
    let source = Source(
        "pub(crate) const QUEUE:\n    &str =\n    \"order_events\";\n\
         impl Event\n    for OrderSent {\n    const TYPE: &'static str =\n        \"order.sent\";\n    \
         // Why.\n    const VERSION: u16 = 2;\n}\n\
         impl From<\n    Order,\n> for OrderView {}\n#[serde(\n    try_from = \"Raw\",\n)]\nstruct Kept\n{\n}\n"
            .to_owned(),
    );
    assert_eq!(source.constant("QUEUE").unwrap().as_deref(), Some("order_events"));
    let (name, constants) = source.implementations("Event").unwrap().remove(0);
    let values: Vec<(&str, &str)> =
        constants.iter().map(|(name, value, _)| (name.as_str(), value.as_str())).collect();
    assert_eq!(name, "OrderSent");
    assert_eq!(values, [("TYPE", "order.sent"), ("VERSION", "2")]);
    assert_eq!(source.made_of("Order").unwrap().as_deref(), Some("OrderView"));
    assert!(source.is_marked("Kept", "try_from") && source.has_struct("Kept"));
    let place = constants[1].2.clone();
    let mut without = source;
    without.take_lines(&place);
    assert!(!without.0.contains("VERSION") && !without.0.contains("Why"), "{}", without.0);
}
