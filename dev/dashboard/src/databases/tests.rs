use super::*;

#[test]
fn a_database_is_named_after_its_service() {
    assert_eq!(database("user-service"), "user_db");
    assert_eq!(database("stock"), "stock_db");
}

#[tokio::test]
async fn another_database_than_a_services_is_not_opened() {
    let state = State { stopped: vec!["user-service".to_owned()], ..State::default() };
    let refused = limited(Databases::default().begin(&state, "postgres")).await;
    assert_eq!(refused.err().as_deref(), Some("the system has no such service"));
}

/// A table of people, and one that refers to it.
async fn people() -> (testkit::TestDatabase, PgPool) {
    let server = testkit::database("dashboard").await;
    let tables = "
        create table people (id bigint primary key, email text, password_hash text, \"a \"\"note\" bytea,
            why text);
        create table letters (id uuid primary key, person bigint references people (id));
        insert into people values (1, 'ada@example.com', 'argon', '\\x7b2261223a317d', 'bounced: b@example.com'),
            (2, null, null, null, 'fine');";
    sqlx::raw_sql(tables).execute(&server.pool().await).await.unwrap();
    let pool = Databases::default().pool(server.url(), server.name()).unwrap();
    (server, pool)
}

async fn read(
    pool: &PgPool,
    key: Option<(&str, &str)>,
    with_personal: bool,
) -> Result<Rows, String> {
    let mut tx = pool.begin_with("begin read only").await.unwrap();
    let table = table(&mut tx, "public", "people").await.unwrap().unwrap();
    let key = key.map(|(column, value)| Key { column: column.into(), value: value.into() });
    limited(rows(&mut tx, &table, key.as_ref(), 0, with_personal)).await
}

fn texts(row: &[Option<String>]) -> Vec<&str> {
    row.iter().map(|value| value.as_deref().unwrap_or("null")).collect()
}

#[tokio::test]
async fn rows_come_newest_first_with_personal_data_only_when_it_is_asked_for_and_secrets_never() {
    let (_server, pool) = people().await;

    let masked = read(&pool, None, false).await.unwrap();
    assert_eq!(texts(&masked.rows[0]), ["2", "null", "null", "null", "fine"]);
    assert_eq!(texts(&masked.rows[1]), ["1", "***", "***", "***", "***"]);
    assert!(!masked.has_more);

    let shown = read(&pool, Some(("id", "1")), true).await.unwrap();
    assert_eq!(shown.rows.len(), 1);
    let expected = ["1", "ada@example.com", "***", "{\"a\":1}", "bounced: b@example.com"];
    assert_eq!(texts(&shown.rows[0]), expected);
}

#[tokio::test]
async fn a_value_that_is_none_of_the_columns_type_is_reported_and_a_secret_is_not_asked_by() {
    let (_server, pool) = people().await;
    let refused = read(&pool, Some(("id", "1 or true")), false).await.unwrap_err();
    assert!(refused.contains("invalid input syntax"), "{refused}");
    let refused = read(&pool, Some(("password_hash", "argon")), false).await.unwrap_err();
    assert!(refused.contains("no such column"), "{refused}");
}

#[tokio::test]
async fn tables_know_their_columns_keys_and_references_and_nothing_can_be_written() {
    let (_server, pool) = people().await;
    let mut tx = pool.begin_with("begin read only").await.unwrap();
    let names: Vec<String> =
        relations(&mut tx).await.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["letters", "people"]);
    let letters = table(&mut tx, "public", "letters").await.unwrap().unwrap();
    assert_eq!(letters.columns[0].key, Some(1));
    let refers = letters.columns[1].refers.clone();
    assert_eq!(refers, Some(("people".to_owned(), "id".to_owned())));
    let people = table(&mut tx, "public", "people").await.unwrap().unwrap();
    assert_eq!(people.referred, [("id".to_owned(), "letters".to_owned(), "person".to_owned())]);
    assert!(table(&mut tx, "pg_catalog", "pg_authid").await.unwrap().is_none());

    let written = limited(sqlx::raw_sql("delete from letters").execute(&mut *tx)).await;
    assert!(written.unwrap_err().contains("read-only transaction"));
}
