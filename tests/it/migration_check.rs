//! `souk migrate --check` says beforehand what becomes of every object of a database.

use std::collections::BTreeMap;

use souk::{app::Store, db::Pool};
use sqlx::AssertSqlSafe;

use crate::adoption::legacy::{INSTALLATIONS, Legacy};

/// A trigger of the shop's whose text looks like one of the Node server's.
const LOOKALIKE: &str = "
    CREATE FUNCTION shop_counts_sales() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE conversations SET metadata = metadata WHERE id = NEW.conversation_id;
        RETURN NULL;
    END $$;
    CREATE TRIGGER shop_counts_sales AFTER UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION shop_counts_sales();";

/// Every object: kind and name, with what tells whether it changed. Not the indexes of constraints, which come with their tables.
async fn objects(pool: &Pool) -> BTreeMap<(String, String), String> {
    const ALL: &str = "
        SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'i' THEN 'index' ELSE 'table' END, c.relname::text,
               CASE c.relkind WHEN 'v' THEN c.oid::text WHEN 'i' THEN pg_get_indexdef(c.oid) ELSE c.relpersistence::text END
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'i')
          AND NOT EXISTS (SELECT 1 FROM pg_constraint o WHERE o.conindid = c.oid) AND left(c.relname, 11) <> 'souk_users_'
        UNION ALL
        SELECT 'column', c.relname || '.' || a.attname,
               concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL
        SELECT 'foreign key', conrelid::regclass || '.' || conname, '' FROM pg_constraint
        WHERE contype = 'f' AND confrelid = 'users'::regclass
        UNION ALL
        SELECT 'function', p.proname || '(' || oidvectortypes(p.proargtypes) || ')', md5(p.prosrc) || p.prorettype::regtype
        FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')";
    let rows: Vec<(String, String, String)> = sqlx::query_as(ALL).fetch_all(pool).await.unwrap();
    rows.into_iter().map(|(kind, name, definition)| ((kind, name), definition)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_every_object_that_adoption_makes_changes_or_drops() {
    for (installation, change) in INSTALLATIONS {
        let legacy = Legacy::build(&format!("{change} {LOOKALIKE}")).await;
        let before = objects(&legacy.pool).await;
        let store = Store::connect(&legacy.release().await).await.unwrap();
        let report = store.db.migration_report().await.unwrap();
        assert_eq!(objects(&store.db.pool()).await, before, "the check changed something");
        store.db.migrate().await.unwrap();
        let after = objects(&store.db.pool()).await;
        store.close().await;

        let says = |words: &str| report.iter().any(|line| line.starts_with(words));
        let has = |name: &str| before.contains_key(&("table".to_owned(), name.to_owned()));
        for ((kind, name), definition) in &after {
            // The columns of a table that is made come with it.
            let is_part = kind == "column" && !has(name.split('.').next().unwrap());
            match before.get(&(kind.clone(), name.clone())) {
                None if is_part => {}
                None => assert!(says(&format!("would make {kind} {name} (")), "{installation}: {kind} {name} is made"),
                Some(old) if old != definition => {
                    let verbs = ["would change", "would replace", "would drop and make again"];
                    let is_said = verbs.iter().any(|verb| says(&format!("{verb} {kind} {name} ")))
                        || says(&format!("would drop {kind} {name} (")) && says(&format!("would make {kind} {name} ("));
                    assert!(is_said, "{installation}: {kind} {name} changes from {old} to {definition}");
                }
                Some(_) => {}
            }
        }
        for (kind, name) in before.keys().filter(|object| !after.contains_key(object)) {
            assert!(says(&format!("would drop {kind} {name} (")), "{installation}: {kind} {name} is dropped");
        }
        for line in &report {
            let object = |verb: &str| {
                let rest = line.strip_prefix(verb)?.split(" (").next()?;
                let kind = ["foreign key", "table", "column", "index", "trigger", "function", "view"]
                    .into_iter()
                    .find(|kind| rest.starts_with(kind))?;
                // Of a function the parameters belong to the name.
                let rest = line.strip_prefix(verb)?.strip_prefix(kind)?.trim_start();
                let end = if kind == "function" { rest.find(") (")? + 1 } else { rest.find(" (")? };
                Some((kind.to_owned(), rest[..end].to_owned()))
            };
            if let Some(made) = object("would make ") {
                assert!(after.contains_key(&made), "{installation}: {line}");
            }
            if let Some(dropped) = object("would drop ").filter(|_| !line.starts_with("would drop and")) {
                assert!(before.contains_key(&dropped), "{installation}: {line}");
                assert_ne!(before.get(&dropped), after.get(&dropped), "{installation}: {line}");
            }
        }
        let locks = ["(ACCESS EXCLUSIVE on ", "(locks nothing that is there)", "(locks no table)"];
        for line in report.iter().filter(|l| l.starts_with("would ") && !l.starts_with("would apply")) {
            assert!(locks.iter().any(|lock| line.contains(lock)), "{installation}: {line} does not say what it locks");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_only_looks_like_the_node_servers_is_named_before_it_is_dropped() {
    let legacy = Legacy::build(LOOKALIKE).await;
    let store = Store::connect(&legacy.release().await).await.unwrap();
    let report = store.db.migration_report().await.unwrap();
    store.close().await;
    for line in ["would drop trigger messages.shop_counts_sales (", "would drop function shop_counts_sales() ("] {
        assert!(report.iter().any(|l| l.starts_with(line)), "{line}: {report:#?}");
    }
    assert!(!report.iter().any(|l| l.contains("shop_touch_messages")), "any other is left alone: {report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_an_empty_database_says_what_would_be_made() {
    let store = Store::connect(&crate::support::fresh_config().await).await.unwrap();
    let report = store.db.migration_report().await.unwrap();
    store.db.migrate().await.unwrap();
    let made = objects(&store.db.pool()).await;
    store.close().await;
    for (kind, name) in made.keys().filter(|(kind, name)| {
        // The shop's own come as a whole.
        kind != "column" && kind != "foreign key" && !name.starts_with("notifications_")
    }) {
        let line = format!("would make {kind} {name} (locks nothing that is there)");
        assert!(report.contains(&line), "{line}");
    }
    assert!(!report.iter().any(|l| l.starts_with("would drop") || l.starts_with("would change")), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_version_is_refused_with_one_clear_line_and_left_alone() {
    let store = Store::connect(&crate::support::fresh_config().await).await.unwrap();
    store.db.migrate().await.unwrap();
    let before = objects(&store.db.pool()).await;
    for other in [
        "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 2",
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (2999, '', true, '', 0)",
    ] {
        sqlx::query(AssertSqlSafe(other)).execute(&store.db.pool()).await.unwrap();
        let said = store.db.migrate().await.unwrap_err().to_string();
        let wanted = "the schema has migration 0002, which this server does not know: it is another version's database \
                      (one of a development version from before the first release is made anew)";
        assert_eq!(said, wanted);
        assert_eq!(store.db.migration_report().await.unwrap(), [format!("would do nothing: {wanted}")]);
    }
    assert_eq!(objects(&store.db.pool()).await, before);
    store.close().await;
}
