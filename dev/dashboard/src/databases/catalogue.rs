//! Which tables there are, and what they are made of, as PostgreSQL's catalogue has it. Names that come
//! into a statement are those that stand here.

use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use super::masking::Sensitivity;

/// A table in a line.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Relation {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// As PostgreSQL estimates it; negative where it has not looked yet.
    pub(crate) rows: i64,
    /// With its indexes.
    pub(crate) bytes: i64,
}

/// A table and its columns.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Columns of other tables that refer to one of this: its name, then table and column.
    pub(crate) referred: Vec<(String, String, String)>,
}

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// `timestamp with time zone`.
    pub(crate) kind: String,
    /// Its place in the primary key, from 1.
    pub(crate) key: Option<i32>,
    /// The table and column that it refers to.
    pub(crate) refers: Option<(String, String)>,
    pub(crate) sensitivity: Sensitivity,
}

/// The tables of a database, by their names.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn relations(connection: &mut PgConnection) -> sqlx::Result<Vec<Relation>> {
    sqlx::query_as(
        "select n.nspname::text as schema, c.relname::text as name,
                greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid)) as rows,
                pg_total_relation_size(c.oid) as bytes
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
           and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'
         order by 1, 2
         limit 500",
    )
    .fetch_all(connection)
    .await
}

/// A table by its names; none where there is no such one.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn table(
    connection: &mut PgConnection,
    schema: &str,
    name: &str,
) -> sqlx::Result<Option<Table>> {
    let found: Option<(Oid,)> = sqlx::query_as(
        "select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm')
           and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'",
    )
    .bind(schema)
    .bind(name)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((oid,)) = found else { return Ok(None) };
    let columns = columns(connection, oid).await?;
    let referred = referred(connection, oid).await?;
    Ok(Some(Table { schema: schema.to_owned(), name: name.to_owned(), columns, referred }))
}

async fn columns(connection: &mut PgConnection, table: Oid) -> sqlx::Result<Vec<Column>> {
    type Found = (String, String, Option<i32>, Option<String>, Option<String>);
    let found: Vec<Found> = sqlx::query_as(
        "select a.attname::text, format_type(a.atttypid, a.atttypmod),
                array_position(string_to_array(i.indkey::text, ' '), a.attnum::text),
                r.relname::text, b.attname::text
         from pg_attribute a
         left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
         left join pg_constraint f
             on f.conrelid = a.attrelid and f.contype = 'f' and f.conkey = array[a.attnum]
         left join pg_class r on r.oid = f.confrelid and r.relnamespace =
             (select relnamespace from pg_class where oid = a.attrelid)
         left join pg_attribute b on b.attrelid = r.oid and b.attnum = f.confkey[1]
         where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
         order by a.attnum
         limit 200",
    )
    .bind(table)
    .fetch_all(connection)
    .await?;
    let columns = found.into_iter().map(|(name, kind, key, table, column)| Column {
        sensitivity: Sensitivity::of(&name, &kind),
        refers: table.zip(column),
        name,
        kind,
        key,
    });
    Ok(columns.collect())
}

async fn referred(
    connection: &mut PgConnection,
    table: Oid,
) -> sqlx::Result<Vec<(String, String, String)>> {
    sqlx::query_as(
        "select own.attname::text, c.relname::text, other.attname::text
         from pg_constraint f
         join pg_class c on c.oid = f.conrelid and c.relnamespace =
             (select relnamespace from pg_class where oid = f.confrelid)
         join pg_attribute own on own.attrelid = f.confrelid and own.attnum = f.confkey[1]
         join pg_attribute other on other.attrelid = f.conrelid and other.attnum = f.conkey[1]
         where f.contype = 'f' and f.confrelid = $1 and array_length(f.conkey, 1) = 1
         order by 1, 2, 3
         limit 50",
    )
    .bind(table)
    .fetch_all(connection)
    .await
}
