//! The rows of a table.

use maud::{Markup, html};

use super::{Question, cell, fault, unmask};
use crate::app::App;
use crate::databases::{Column, Key, ROWS_MAX, Rows, Sensitivity, Table, limited, rows, table};
use crate::pages::link::link;

pub(super) async fn content(app: &App, question: &Question, with_personal: bool) -> Markup {
    let key = Some(Key { column: question.column.clone(), value: question.value.clone() });
    let key = key.filter(|key| !key.column.is_empty());
    let reading = async {
        let state = app.system.now();
        let mut tx = app.databases.begin(&state, &question.service).await?;
        let Some(table) = table(&mut tx, &question.schema, &question.table).await? else {
            return Ok(None);
        };
        let rows = rows(&mut tx, &table, key.as_ref(), question.page, with_personal).await;
        tx.rollback().await?;
        Ok(Some((table, rows)))
    };
    match limited(reading).await {
        Err(error) => fault(&error),
        Ok(None) => fault("There is no such table."),
        Ok(Some((table, rows))) => {
            let rows = limited(async { rows }).await;
            html! {
                (head(app, question, &table, with_personal))
                @match &rows {
                    Err(error) => p.fault role="alert" { (error) },
                    Ok(rows) => { (body(question, &table, rows)) (turning(question, rows)) },
                }
            }
        }
    }
}

fn head(app: &App, question: &Question, table: &Table, with_personal: bool) -> Markup {
    let Question { service, schema, table: name, column, value, .. } = question;
    let page = question.page.to_string();
    let fields = [
        ("service", service.as_str()),
        ("schema", schema),
        ("table", name),
        ("column", column),
        ("value", value),
        ("page", &page),
    ];
    let is_asked_for = |it: &&Column| it.sensitivity != Sensitivity::Secret;
    html! {
        p { a href="/data" { "All tables" } " / " (service) " / " strong { (table.name) } }
        form role="search" action="/data" {
            @for (name, value) in &fields[..3] { input type="hidden" name=(name) value=(value); }
            label for="column" { "Rows whose" } " "
            select #column name="column" { @for it in table.columns.iter().filter(is_asked_for) {
                option value=(it.name) selected[it.name == *column] { (it.name) } } }
            " " label for="value" { "is" } " "
            input #value name="value" type="search" value=(value); " "
            button { "Show" } " "
            @if !column.is_empty() { a href=(link("/data", &fields[..3])) { "All rows" } }
        }
        p {
            @if with_personal { "Personal data is shown, in this view alone. " a href=(link("/data", &fields)) { "Mask it" } }
            @else if table.columns.iter().any(|it| it.sensitivity == Sensitivity::Personal) {
                (unmask(app, "/data", &fields)) }
        }
    }
}

fn body(question: &Question, table: &Table, found: &Rows) -> Markup {
    html! {
        div.wide { table.data {
            thead { tr { @for column in &table.columns { th scope="col" {
                (column.name) @if column.key.is_some() { " (key)" }
                br; span.dim { (column.kind) @match column.sensitivity {
                    Sensitivity::Open => "", Sensitivity::Personal => ", personal",
                    Sensitivity::Secret => ", secret" } }
            } } } }
            tbody { @for row in &found.rows { tr {
                @for (value, column) in row.iter().zip(&table.columns) {
                    td { @match value {
                        None => span.dim { "null" },
                        Some(value) => (linked(question, table, column, value)),
                    } }
                }
            } } }
        } }
        @if found.rows.is_empty() { p { "No rows." } }
    }
}

/// A value, as a link to the row that it refers to, or from its key to the row itself and to those that
/// refer to it.
fn linked(question: &Question, table: &Table, column: &Column, value: &str) -> Markup {
    let to = |name: &str, column: &str| {
        let service = question.service.as_str();
        link(
            "/data",
            &[
                ("service", service),
                ("schema", &table.schema),
                ("table", name),
                ("column", column),
                ("value", value),
            ],
        )
    };
    if column.sensitivity != Sensitivity::Open || value.len() > 200 {
        return cell(value);
    }
    if let Some((other, their)) = &column.refers {
        return html! { a href=(to(other, their)) { (value) } };
    }
    let is_only_key =
        column.key.is_some() && table.columns.iter().filter(|it| it.key.is_some()).count() == 1;
    if !is_only_key {
        return cell(value);
    }
    let is_alone = question.column == column.name;
    html! {
        a href=(to(&table.name, &column.name)) { (value) }
        @if is_alone { @for (_, other, their) in table.referred.iter().filter(|it| it.0 == column.name) {
            br; a href=(to(other, their)) { (other) "." (their) }
        } }
    }
}

fn turning(question: &Question, found: &Rows) -> Markup {
    let Question { service, schema, table, column, value, page, .. } = question;
    let to = |page: usize| {
        let page = page.to_string();
        link(
            "/data",
            &[
                ("service", service),
                ("schema", schema),
                ("table", table),
                ("column", column),
                ("value", value),
                ("page", &page),
            ],
        )
    };
    let first = page * ROWS_MAX + 1;
    html! {
        p {
            @if !found.rows.is_empty() { "Rows " (first) " to " (first + found.rows.len() - 1) ", the newest first. " }
            @if *page > 0 { a href=(to(page - 1)) rel="prev" { "Newer" } " " }
            @if found.has_more { a href=(to(page + 1)) rel="next" { "Older" } }
        }
    }
}
