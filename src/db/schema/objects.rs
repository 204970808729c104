//! The objects of the schema: those that the migrations end with, from `docs/schema.sql` (a test keeps that file true), and
//! those that a database has.

use std::collections::{BTreeMap, BTreeSet};

use crate::db::{DbResult, Session};

/// The schema that the migrations make of an empty database, written by `scripts/schema`.
const WANTED: &str = include_str!("../../../docs/schema.sql");

/// The shop's tables: made where they are missing, and never changed.
const SHOP: [&str; 2] = ["users", "notifications"];

/// The kind of an object, in the order of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Table,
    Column,
    Index,
    Trigger,
    Function,
    View,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Column => "column",
            Self::Index => "index",
            Self::Trigger => "trigger",
            Self::Function => "function",
            Self::View => "view",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        let all = [Self::Table, Self::Column, Self::Index, Self::Trigger, Self::Function, Self::View];
        all.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(word))
    }
}

/// An object: of a trigger or a column the name begins with the table's.
pub(super) type Name = (Kind, String);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) table: Option<String>,
    /// A column's type, default and whether it may be null; of a table whether it is unlogged.
    pub(super) definition: String,
}

pub(super) type Objects = BTreeMap<Name, Object>;

/// The objects that the migrations end with.
pub(super) fn wanted() -> Objects {
    let mut objects = Objects::new();
    let mut lines = WANTED.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some((kind, name)) = line.strip_prefix("-- ").and_then(|rest| rest.split_once(' '))
            && let Some(kind) = Kind::parse(kind)
        {
            let (name, table) = match kind {
                Kind::Trigger => (name.replacen(' ', ".", 1), name.split(' ').next().map(str::to_owned)),
                _ => (name.to_owned(), None),
            };
            objects.insert((kind, name), Object { table, ..Object::default() });
        } else if let Some((words, table)) = line
            .strip_suffix(" (")
            .and_then(|line| line.split_once("TABLE public."))
            .filter(|_| line.starts_with("CREATE "))
        {
            let definition = words.trim_start_matches("CREATE ").trim().to_owned();
            objects.insert((Kind::Table, table.to_owned()), Object { table: None, definition });
            // Constraints come after the columns.
            while let Some(column) = lines.next_if(|l| l.starts_with("    ") && !l.starts_with("    CONSTRAINT")) {
                let (name, definition) = column.trim().trim_end_matches(',').split_once(' ').unwrap_or_default();
                let object = Object { table: Some(table.to_owned()), definition: definition.to_owned() };
                objects.insert((Kind::Column, format!("{table}.{name}")), object);
            }
        } else if let Some((name, rest)) =
            line.split_once(" INDEX ").and_then(|(_, rest)| rest.split_once(" ON public."))
        {
            let table = rest.split(' ').next().map(str::to_owned);
            objects.insert((Kind::Index, name.to_owned()), Object { table, ..Object::default() });
        }
    }
    objects
}

/// The objects that a database has in the schema of the chat. Needs no privilege beyond reading the catalogue.
pub(super) async fn found(session: &mut Session<'_>) -> DbResult<Objects> {
    const ALL: &str = "
        WITH here AS (SELECT quote_ident(current_schema())::regnamespace AS id)
        SELECT CASE WHEN c.relkind = 'v' THEN 'view' WHEN c.relkind = 'i' THEN 'index' ELSE 'table' END AS kind, c.relname::text AS name,
               (SELECT t.relname::text FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid WHERE i.indexrelid = c.oid) AS of_table,
               -- A table that is published stays logged.
               CASE WHEN c.relkind = 'r' AND (c.relpersistence = 'u' OR c.relname = 'typing_indicators'
                         AND EXISTS (SELECT 1 FROM pg_publication_rel b WHERE b.prrelid = c.oid)) THEN 'UNLOGGED' ELSE '' END AS definition
        FROM here h JOIN pg_class c ON c.relnamespace = h.id AND c.relkind IN ('r', 'p', 'v', 'i')
        UNION ALL
        SELECT 'column', c.relname || '.' || a.attname, c.relname,
               format_type(a.atttypid, a.atttypmod) || COALESCE(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
               || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
        FROM here h JOIN pg_class c ON c.relnamespace = h.id AND c.relkind IN ('r', 'p')
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        UNION ALL
        SELECT 'trigger', c.relname || '.' || t.tgname, c.relname, ''
        FROM here h JOIN pg_class c ON c.relnamespace = h.id JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
        UNION ALL
        SELECT 'function', p.proname || '(' || oidvectortypes(p.proargtypes) || ')', NULL, ''
        FROM here h JOIN pg_proc p ON p.pronamespace = h.id AND p.prokind = 'f'";
    let rows: Vec<(String, String, Option<String>, String)> = sqlx::query_as(ALL).fetch_all(session).await?;
    let object = |(kind, name, table, definition): (String, String, Option<String>, String)| {
        Some(((Kind::parse(&kind)?, name), Object { table, definition }))
    };
    Ok(rows.into_iter().filter_map(object).collect())
}

/// The names of the tables among these.
pub(super) fn tables(objects: &Objects) -> BTreeSet<&str> {
    objects.keys().filter(|(kind, _)| *kind == Kind::Table).map(|(_, name)| name.as_str()).collect()
}

/// True for the shop's tables and their parts.
pub(super) fn is_shops(name: &Name, object: &Object) -> bool {
    let table = object.table.as_deref().or((name.0 == Kind::Table).then_some(name.1.as_str()));
    table.is_some_and(|table| SHOP.contains(&table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_that_are_wanted_are_read_from_the_schema() {
        let wanted = wanted();
        let get = |kind, name: &str| wanted.get(&(kind, name.to_owned()));
        let column = get(Kind::Column, "messages.version").unwrap();
        assert_eq!((column.table.as_deref(), &*column.definition), (Some("messages"), "bigint DEFAULT 0 NOT NULL"));
        assert_eq!(get(Kind::Index, "messages_changed").unwrap().table.as_deref(), Some("messages"));
        assert_eq!(get(Kind::Trigger, "messages.souk_keep_preview").unwrap().table.as_deref(), Some("messages"));
        assert_eq!(get(Kind::Table, "typing_indicators").unwrap().definition, "UNLOGGED");
        assert!(get(Kind::Column, "typing_indicators.is_typing").is_some());
        for (kind, name) in [
            (Kind::Table, "chat_files"),
            (Kind::View, "unread_message_counts"),
            (Kind::Function, "souk_minute(timestamp with time zone)"),
        ] {
            assert!(get(kind, name).is_some(), "{name}");
        }
        assert!(!wanted.keys().any(|(_, name)| name.contains("CONSTRAINT")));
    }
}
