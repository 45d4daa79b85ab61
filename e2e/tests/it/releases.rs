//! While a release is rolled out, the replicas of the one before go on over the new schema, and a
//! deployment may go back to them. So every statement of the previous release has to work as it did.
//!
//! What the previous release says to the database is kept in `golden/previous-release.json`: its
//! statements, with the types that they give and take, and the columns of its tables. When a release is
//! made, `UPDATE_PREVIOUS_RELEASE=1 cargo dev test -- -p e2e -E 'test(previous_release)'` keeps this one's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Column, Executor, PgPool, SqlSafeStr, Statement as _, TypeInfo};
use testkit::TestDatabase;

use crate::system::{Fixture, System, THREE};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/previous-release.json");
/// Whose statements run in every service's database.
const SHARED: [&str; 2] = ["messaging", "platform"];

/// What a release says to its databases.
#[derive(Serialize, Deserialize)]
struct Release {
    /// By crate.
    statements: BTreeMap<String, Vec<Statement>>,
    /// The columns of each table, by service.
    tables: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Statement {
    query: String,
    /// Name and type of what it gives.
    columns: Vec<(String, String)>,
    parameters: Vec<String>,
    /// Columns of tables that it takes to be never null.
    not_null: Vec<(String, String)>,
}

impl Statement {
    /// From a file of `.sqlx/`.
    fn described(file: &Path) -> Self {
        let file: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let query = file["query"].as_str().unwrap().to_owned();
        let describe = &file["describe"];
        let columns = describe["columns"].as_array().unwrap();
        let type_of = |value: &Value| name_of(value.as_str().unwrap());
        let is_not_null = columns.iter().zip(describe["nullable"].as_array().unwrap());
        let is_not_null = is_not_null.filter(|(_, nullable)| **nullable == Value::Bool(false));
        let origin = |column: &Value| {
            let origin = &column["origin"]["Table"];
            Some((origin["table"].as_str()?.to_owned(), origin["name"].as_str()?.to_owned()))
        };
        Self {
            columns: columns
                .iter()
                .map(|it| (it["name"].as_str().unwrap().to_owned(), type_of(&it["type_info"])))
                .collect(),
            parameters: describe["parameters"]["Left"]
                .as_array()
                .unwrap()
                .iter()
                .map(type_of)
                .collect(),
            not_null: is_not_null.filter_map(|(column, _)| origin(column)).collect(),
            query,
        }
    }
}

/// `UuidArray` as the database says it: `UUID[]`.
fn name_of(described: &str) -> String {
    let name = described.to_uppercase();
    name.strip_suffix("ARRAY").map_or_else(|| name.clone(), |of| format!("{of}[]"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folder(name: &str) -> PathBuf {
    root().join(if SHARED.contains(&name) { "crates" } else { "services" }).join(name)
}

/// The files of a folder, sorted by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A database of a service with all migrations of today.
async fn migrated(service: &str) -> (TestDatabase, PgPool) {
    let database = testkit::database(&service.replace('-', "_")).await;
    let pool = database.pool().await;
    for name in SHARED.into_iter().chain([service]) {
        for file in files(&folder(name).join("migrations")) {
            let text = fs::read_to_string(&file).unwrap();
            let applied = sqlx::raw_sql(AssertSqlSafe(text)).execute(&pool).await;
            applied.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
    (database, pool)
}

async fn columns(pool: &PgPool) -> BTreeMap<String, BTreeSet<String>> {
    let columns = "select table_name::text, column_name::text from information_schema.columns
                   where table_schema = 'public'";
    let columns: Vec<(String, String)> = sqlx::query_as(columns).fetch_all(pool).await.unwrap();
    let mut tables = BTreeMap::<String, BTreeSet<String>>::new();
    for (table, column) in columns {
        tables.entry(table).or_default().insert(column);
    }
    tables
}

/// What is wrong with a statement of the release before.
async fn mismatch(pool: &PgPool, statement: &Statement) -> Option<String> {
    let sql = AssertSqlSafe(statement.query.clone()).into_sql_str();
    let prepared = match pool.prepare(sql).await {
        Ok(prepared) => prepared,
        Err(error) => return Some(error.to_string()),
    };
    let columns: Vec<(String, String)> = prepared
        .columns()
        .iter()
        .map(|column| (column.name().to_owned(), column.type_info().name().to_owned()))
        .collect();
    if columns != statement.columns {
        return Some(format!("it gives {columns:?} instead of {:?}", statement.columns));
    }
    let parameters = prepared.parameters().unwrap().left().unwrap_or_default();
    let parameters: Vec<&str> = parameters.iter().map(TypeInfo::name).collect();
    if parameters != statement.parameters {
        return Some(format!("it takes {parameters:?} instead of {:?}", statement.parameters));
    }
    for (table, column) in &statement.not_null {
        let nullable = "select is_nullable = 'YES' from information_schema.columns
                        where table_name = $1 and column_name = $2";
        let nullable = sqlx::query_scalar(nullable).bind(table).bind(column);
        let nullable: Option<bool> = nullable.fetch_optional(pool).await.unwrap();
        if nullable == Some(true) {
            return Some(format!("{table}.{column} may be null"));
        }
    }
    None
}

/// Columns of tables of the release before that it does not write, and that have to be written.
async fn unwritten(pool: &PgPool, before: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let needed = "select table_name::text, column_name::text from information_schema.columns
                  where table_schema = 'public' and is_nullable = 'NO' and column_default is null
                    and is_identity = 'NO' and is_generated = 'NEVER'";
    let needed: Vec<(String, String)> = sqlx::query_as(needed).fetch_all(pool).await.unwrap();
    let is_new = |(table, column): &(String, String)| {
        before.get(table).is_some_and(|columns| !columns.contains(column))
    };
    let unwritten = needed.into_iter().filter(is_new);
    unwritten.map(|(table, column)| format!("{table}.{column} needs a default")).collect()
}

/// What this release says to its databases.
async fn this_release(pools: &[(&str, PgPool)]) -> Release {
    let crates = SHARED.into_iter().chain(THREE);
    let described = |name: &str| {
        let files = files(&folder(name).join(".sqlx")).into_iter();
        files.map(|file| Statement::described(&file)).collect()
    };
    let statements = crates.map(|name| (name.to_owned(), described(name))).collect();
    let mut tables = BTreeMap::new();
    for (service, pool) in pools {
        tables.insert((*service).to_owned(), columns(pool).await);
    }
    Release { statements, tables }
}

#[tokio::test]
async fn every_statement_of_the_previous_release_works_over_the_schema_of_this_one() {
    let (mut databases, mut pools) = (Vec::new(), Vec::new());
    for service in THREE {
        let (database, pool) = migrated(service).await;
        databases.push(database);
        pools.push((service, pool));
    }
    let this = this_release(&pools).await;
    if std::env::var_os("UPDATE_PREVIOUS_RELEASE").is_some() {
        // A line for each statement, so that a difference shows which.
        let text = serde_json::to_string(&this).unwrap().replace("{\"query\"", "\n{\"query\"");
        fs::write(GOLDEN, text + "\n").unwrap();
    }
    let previous: Release = serde_json::from_str(&fs::read_to_string(GOLDEN).unwrap()).unwrap();
    let mut faults = Vec::new();
    for (service, pool) in &pools {
        // What this release says is known to work; if it did not here, this test would look wrongly.
        for release in [&this, &previous] {
            let crates = SHARED.into_iter().chain([*service]);
            let statements = crates.filter_map(|name| release.statements.get(name)).flatten();
            for statement in statements {
                let fault = mismatch(pool, statement).await;
                faults.extend(fault.map(|why| format!("{service}: {why}:\n{}", statement.query)));
            }
        }
        let before = previous.tables.get(*service).cloned().unwrap_or_default();
        faults.extend(unwritten(pool, &before).await);
    }
    assert!(faults.is_empty(), "replicas of the previous release fail:\n{}", faults.join("\n"));
    let statements: usize = previous.statements.values().map(Vec::len).sum();
    assert!(statements > 100, "{statements} statements of the previous release");
}

#[tokio::test]
async fn a_statement_that_would_fail_or_give_something_else_is_seen() {
    let (_database, pool) = migrated("payment-service").await;
    let of = |query: &str, columns: &[(&str, &str)], parameters: &[&str]| Statement {
        query: query.to_owned(),
        columns: columns.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        parameters: parameters.iter().map(|name| (*name).to_owned()).collect(),
        not_null: vec![("payments".to_owned(), "amount".to_owned())],
    };
    let amount = "select amount from payments where id = $1";
    assert_eq!(mismatch(&pool, &of(amount, &[("amount", "INT8")], &["UUID"])).await, None);
    for wrong in [
        of("select amounts from payments where id = $1", &[("amounts", "INT8")], &["UUID"]),
        of(amount, &[("amount", "INT4")], &["UUID"]),
        of(amount, &[("amount", "INT8")], &["TEXT"]),
    ] {
        assert!(mismatch(&pool, &wrong).await.is_some(), "{wrong:?}");
    }
    let before = columns(&pool).await;
    let add = "alter table payments alter amount drop not null, add column fee bigint not null";
    sqlx::raw_sql(add).execute(&pool).await.unwrap();
    assert!(mismatch(&pool, &of(amount, &[("amount", "INT8")], &["UUID"])).await.is_some());
    assert_eq!(unwritten(&pool, &before).await.len(), 1);
}

/// Statements that hold up or break replicas of the release before, in a migration of a table that is
/// there already.
#[test]
fn no_migration_holds_up_or_breaks_replicas_of_the_release_before() {
    let mut faults = Vec::new();
    let mut tables = BTreeSet::new();
    for name in SHARED.into_iter().chain(THREE) {
        let mut known = BTreeSet::new();
        for file in files(&folder(name).join("migrations")) {
            let text = fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(root()).unwrap().display().to_string();
            for fault in faults_of(&text, &mut known) {
                // Applied long ago; a migration that was applied is not changed any more.
                if !APPLIED.contains(&(name, file.file_stem().unwrap().to_str().unwrap())) {
                    faults.push(format!("{path}: {fault}"));
                }
            }
        }
        tables.extend(known);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(tables.contains("users") && tables.contains("messaging_holds"), "{tables:?}");
    let mut known = BTreeSet::new();
    assert!(faults_of("create table a (b text not null, check (b <> ''));", &mut known).is_empty());
    for (text, is_fault) in [
        ("alter table a add column c text;", false),
        ("alter table a add column c text not null default '';", false),
        ("alter table a add constraint d check (b <> '') not valid;", false),
        ("alter table a validate constraint d;", false),
        ("create index e on a (b);", true),
        ("alter table a add column c text not null;", true),
        ("alter table a add constraint d check (b <> '');", true),
        (
            "alter table a add constraint d check (b <> '') not valid; alter table a validate constraint d;",
            true,
        ),
        (
            "alter table a add constraint d check (b <> '') not valid, add constraint e check (b <> 'e') not valid;
             alter table a validate constraint e;",
            true,
        ),
        ("-- first; then\nalter table a drop column b;", true),
        ("alter table a drop column b;", true),
        ("alter table a rename column b to c;", true),
        ("alter table a alter column b type bigint;", true),
        ("alter table a alter b set not null;", true),
        ("-- reason: small, and read by nobody\ncreate index e on a (b);", false),
    ] {
        assert_eq!(!faults_of(text, &mut known).is_empty(), is_fault, "{text}");
    }
}

/// Migrations from before these rules, which say themselves why they may.
const APPLIED: [(&str, &str); 3] = [
    ("user-service", "0007_finding_users"),
    ("notification-service", "0004_mail_tokens"),
    ("messaging", "0010_holds"),
];

/// What of a migration may hold up others or break them, unless a comment above the statement begins with
/// `reason:`; `known` are the tables of the migrations before.
fn faults_of(text: &str, known: &mut BTreeSet<String>) -> Vec<String> {
    let before = known.clone();
    let mut faults = Vec::new();
    let mut added = BTreeSet::new();
    for statement in without_comments(text).split(';') {
        let code = statement.replace(REASON, " ").to_lowercase();
        let excused = statement.contains(REASON);
        let words: Vec<&str> = code.split_whitespace().collect();
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        match (word(0), word(1)) {
            ("create", "table") => {
                known.insert(word(2).to_owned());
            }
            ("create", "index" | "unique") if !words.contains(&"concurrently") => {
                let on = words.iter().position(|word| *word == "on").unwrap_or_default();
                if before.contains(word(on + 1)) && !excused {
                    faults.push("an index of a table that is there stops its writers".to_owned());
                }
            }
            ("alter", "table") if before.contains(word(2)) && !excused => {
                let body = words[3..].join(" ");
                faults.extend(faults_of_change(&body, &mut added));
            }
            _ => {}
        }
    }
    faults
}

/// Stands for a comment that says why a statement may.
const REASON: &str = "/* reason */";

/// The statements alone: a comment may hold whatever ends one.
fn without_comments(text: &str) -> String {
    let line = |line: &str| match line.split_once("--") {
        Some((code, comment)) if comment.trim_start().starts_with("reason:") => {
            format!("{code} {REASON}")
        }
        Some((code, _)) => code.to_owned(),
        None => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// What is wrong with a change of a table; `added` are the constraints that this migration has added.
fn faults_of_change(body: &str, added: &mut BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |is_fault: bool, why: &str| {
        if is_fault {
            faults.push(format!("{why}: {body}"));
        }
    };
    for (_, rest) in
        body.match_indices("add constraint ").map(|(at, word)| (at, &body[at + word.len()..]))
    {
        added.insert(rest.split_whitespace().next().unwrap_or_default().to_owned());
        let own = rest.split("add constraint ").next().unwrap_or_default();
        fault(!own.contains("not valid"), "a constraint reads all rows under a lock");
    }
    if let Some((_, name)) = body.split_once("validate constraint ") {
        let is_added = added.contains(name.trim());
        fault(is_added, "a constraint is validated in the transaction that has added it");
    }
    let adds = body.split(", add column ").chain(body.split(" , add column "));
    let needs = |part: &str| part.contains("not null") && !part.contains("default");
    fault(body.contains("add column") && adds.into_iter().any(needs), "a column needs a default");
    fault(body.contains("drop column"), "a replica of the release before reads the column");
    fault(body.contains("rename "), "a replica of the release before knows the old name");
    fault(body.contains(" type "), "a column of another type");
    fault(body.contains("set not null"), "a column that may not be null reads all rows");
    faults
}

/// The binaries of the previous release, over the schema of this one: `PREVIOUS_RELEASE` names the folder
/// in which they are, beside their `config`.
#[tokio::test]
#[ignore = "needs the binaries of the previous release: PREVIOUS_RELEASE=folder cargo dev test -- -p e2e --run-ignored only -E 'test(binaries_of_the_previous)'"]
async fn the_binaries_of_the_previous_release_serve_over_the_schema_of_this_one() {
    let folder = std::env::var_os("PREVIOUS_RELEASE").expect("PREVIOUS_RELEASE names a folder");
    let folder = PathBuf::from(folder);
    let fixture = Fixture::set_up().await;
    let variables = fixture.environment(0);
    let mut system: System = fixture.start(variables).await;
    let known = system.new_user().await;
    for service in [&mut system.users, &mut system.payments, &mut system.notifications] {
        let path = folder.join(service.name());
        service.restart_as(&path, &folder.join("config")).await;
    }
    let user = system.new_user().await;
    system.until_sent(&user.token, "welcome").await;
    for (user, key) in [(&user, "order-1"), (&known, "order-2")] {
        assert_eq!(
            system.pay(&user.token, key, "pm_card_visa").await.status(),
            StatusCode::CREATED
        );
        system.until_sent(&user.token, "payment_receipt").await;
    }
    let delete = system.users.url(&format!("/api/users/{}", user.id));
    let delete = system.request(Method::DELETE, &delete).bearer_auth(&user.token);
    assert_eq!(delete.send().await.unwrap().status(), StatusCode::NO_CONTENT);
}
