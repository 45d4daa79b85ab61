//! Rows of a table, the newest first. What is masked is masked in the statement: it does not leave the
//! database.

use sqlx::{AssertSqlSafe, PgConnection};

use super::catalogue::{Column, Table};
use super::masking::{Sensitivity, looks_personal};

/// Rows of one page.
pub(crate) const ROWS_MAX: usize = 100;
/// The last page that is read: the database walks past what stands before.
const PAGE_MAX: usize = 1_000;
/// Characters of a value among others, and in a row that was asked for by its key.
const VALUE_MAX: usize = 2_000;
const VALUE_OF_ONE_MAX: usize = 65_536;

/// What is shown for what is not.
pub(crate) const MASK: &str = "***";

/// What is asked for: the rows whose column has this value.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) column: String,
    pub(crate) value: String,
}

/// A page of rows.
#[derive(Debug)]
pub(crate) struct Rows {
    /// A value for each column, as text; none for null. Longer ones are cut.
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// Whether there are more behind them.
    pub(crate) has_more: bool,
}

/// A page of a table's rows, from 0.
///
/// # Errors
/// The database does not answer, or the value is none of the column's type.
pub(crate) async fn rows(
    connection: &mut PgConnection,
    table: &Table,
    key: Option<&Key>,
    page: usize,
    with_personal: bool,
) -> sqlx::Result<Rows> {
    let Some(statement) = statement(table, key, page, with_personal) else {
        return Err(sqlx::Error::Configuration("there is no such column to ask by".into()));
    };
    let mut query = sqlx::query_scalar(AssertSqlSafe(statement));
    if let Some(key) = key {
        query = query.bind(key.value.clone());
    }
    let mut rows: Vec<Vec<Option<String>>> = query.fetch_all(connection).await?;
    let has_more = rows.len() > ROWS_MAX;
    rows.truncate(ROWS_MAX);
    for row in &mut rows {
        for (value, column) in row.iter_mut().zip(&table.columns) {
            finish(value, column, with_personal);
        }
    }
    Ok(Rows { rows, has_more })
}

/// A statement whose names are all of the catalogue; the value is a parameter.
fn statement(table: &Table, key: Option<&Key>, page: usize, with_personal: bool) -> Option<String> {
    let limit = if key.is_some() { VALUE_OF_ONE_MAX } else { VALUE_MAX };
    let values = table.columns.iter().map(|column| value(column, limit, with_personal));
    let values = values.collect::<Vec<_>>().join(", ");
    let of = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let filter = match key {
        None => String::new(),
        Some(key) => {
            let column = table.columns.iter().find(|column| column.name == key.column)?;
            // Whether a guess of a secret is right is not told either.
            let column = Some(column).filter(|it| it.sensitivity != Sensitivity::Secret)?;
            format!(" where {} = cast($1::text as {})", quoted(&column.name), column.kind)
        }
    };
    let mut keys: Vec<&Column> = table.columns.iter().filter(|it| it.key.is_some()).collect();
    keys.sort_by_key(|column| column.key);
    let order = keys.iter().map(|column| format!("{} desc", quoted(&column.name)));
    let order = order.collect::<Vec<_>>().join(", ");
    let order = if order.is_empty() { order } else { format!(" order by {order}") };
    let skipped = page.min(PAGE_MAX) * ROWS_MAX;
    let count = ROWS_MAX + 1;
    Some(format!(
        "select array[{values}]::text[] from {of}{filter}{order} limit {count} offset {skipped}"
    ))
}

fn value(column: &Column, limit: usize, with_personal: bool) -> String {
    let name = quoted(&column.name);
    let is_shown = match column.sensitivity {
        Sensitivity::Open => true,
        Sensitivity::Personal => with_personal,
        Sensitivity::Secret => false,
    };
    if !is_shown {
        return format!("case when {name} is not null then '{MASK}' end");
    }
    if column.kind == "bytea" {
        return format!("encode(substr({name}, 1, {limit}), 'hex')");
    }
    format!("left({name}::text, {limit})")
}

/// Bytes become text where they are; an address that stands where none is expected is masked.
fn finish(value: &mut Option<String>, column: &Column, with_personal: bool) {
    let Some(text) = value else { return };
    if column.kind == "bytea" && text != MASK {
        *text = bytes(text);
    }
    if !with_personal && looks_personal(text) {
        MASK.clone_into(text);
    }
}

/// Of hexadecimal digits the text that they stand for, else the digits.
fn bytes(digits: &str) -> String {
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2));
    let bytes: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let is_text = |text: &String| !text.chars().any(|it| it.is_control() && !it.is_whitespace());
    text.filter(is_text).unwrap_or_else(|| format!("\\x{digits}"))
}

/// A name as an identifier of SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str, key: Option<i32>) -> Column {
        let sensitivity = Sensitivity::of(name, kind);
        Column { name: name.to_owned(), kind: kind.to_owned(), key, refers: None, sensitivity }
    }

    fn users() -> Table {
        let columns = vec![
            column("id", "uuid", Some(1)),
            column("email", "text", None),
            column("password_hash", "text", None),
        ];
        Table { schema: "public".into(), name: "us\"ers".into(), columns, referred: Vec::new() }
    }

    #[test]
    fn masked_values_do_not_leave_the_database_and_names_are_quoted() {
        let statement = statement(&users(), None, 2, false).unwrap();
        assert_eq!(
            statement,
            "select array[left(\"id\"::text, 2000), case when \"email\" is not null then '***' end, \
             case when \"password_hash\" is not null then '***' end]::text[] \
             from \"public\".\"us\"\"ers\" order by \"id\" desc limit 101 offset 200"
        );
    }

    #[test]
    fn personal_data_is_read_when_it_is_asked_for_and_a_secret_never() {
        let statement = statement(&users(), None, 0, true).unwrap();
        assert!(statement.contains("left(\"email\"::text"), "{statement}");
        assert!(!statement.contains("left(\"password_hash\""), "{statement}");
    }

    #[test]
    fn a_key_is_a_parameter_of_a_known_column_that_holds_no_secret() {
        let key = |column: &str| Key { column: column.to_owned(), value: "x' or true".to_owned() };
        let asked = |column: &str| statement(&users(), Some(&key(column)), 0, false);
        let of_id = asked("id").unwrap();
        assert!(of_id.contains(" where \"id\" = cast($1::text as uuid) order"), "{of_id}");
        assert!(!of_id.contains("or true"), "{of_id}");
        assert_eq!(asked("password_hash"), None);
        assert_eq!(asked("id\" or true --"), None);
    }

    #[test]
    fn bytes_are_shown_as_the_text_that_they_are() {
        assert_eq!(bytes("7b7d"), "{}");
        assert_eq!(bytes("00ff"), "\\x00ff");
    }

    #[test]
    fn an_address_in_another_column_is_masked_too() {
        let mut value = Some("no mailbox ada@example.com".to_owned());
        finish(&mut value, &column("failure_reason", "text", None), false);
        assert_eq!(value.as_deref(), Some(MASK));
    }
}
