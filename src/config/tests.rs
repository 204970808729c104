use clap::Parser;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

fn parse(args: &[&str]) -> Config {
    Cli::parse_from(std::iter::once("souk").chain(args.iter().copied())).config
}

#[test]
fn secrets_never_show() {
    let config = parse(&["--jwt-secret", "0123456789abcdef0123456789abcdef", "--database-url", "postgres://u:pw@h/d"]);
    let shown = format!("{config:?}");
    assert!(!shown.contains("0123456789") && !shown.contains("pw@"), "{shown}");
}

#[test]
fn a_database_needs_a_secret_and_a_secret_needs_length() {
    let fault = |args: &[&str]| parse(args).validate().unwrap_err();
    let database = ["--database-url", "postgres://h/d"];
    assert!(fault(&database).starts_with("JWT_SECRET"));
    assert!(fault(&[&database[..], &["--jwt-secret", "short"]].concat()).starts_with("JWT_SECRET"));
    let secret = ["--jwt-secret", "0123456789abcdef0123456789abcdef"];
    assert!(fault(&[&database[..], &secret, &["--frontend-url", "shop.example"]].concat()).starts_with("FRONTEND_URL"));
}

#[test]
fn production_takes_the_embedded_database_only_where_it_is_told_to() {
    let fault = |args: &[&str]| parse(args).validate().err();
    let live = ["--environment", "production"];
    assert!(fault(&live).unwrap().starts_with("DATABASE_URL: required"));
    if cfg!(feature = "embedded") {
        assert_eq!(fault(&[&live[..], &["--embedded"]].concat()), None);
        assert_eq!(fault(&[]), None);
    }
    assert!(fault(&[&live[..], &["--embedded", "false"]].concat()).is_some());
    let secret = "0123456789abcdef0123456789abcdef";
    let both = ["--embedded", "--database-url", "postgres://h/d", "--jwt-secret", secret];
    assert!(fault(&both).unwrap().starts_with("EMBEDDED"));
}

#[test]
fn a_start_that_may_not_migrate_makes_no_indexes_either() {
    assert!(parse(&[]).auto_migrate && parse(&[]).makes_user_indexes());
    let config = parse(&["--auto-migrate", "false"]);
    assert!(!config.auto_migrate && config.user_indexes && !config.makes_user_indexes());
}

#[test]
fn a_statement_cache_of_nothing_means_a_pooler() {
    assert_eq!(parse(&[]).pooler(), Pooler::Auto);
    assert_eq!(parse(&["--database-statement-cache", "0"]).pooler(), Pooler::Transaction);
    assert_eq!(parse(&["--database-pooler", "transaction"]).pooler(), Pooler::Transaction);
}

#[test]
fn localhost_is_an_origin_outside_production_only() {
    let dev = parse(&["--frontend-url", "https://a.example/, https://b.example"]).allowed_origins();
    assert_eq!(&dev[..2], ["https://a.example", "https://b.example"]);
    assert!(dev.contains(&"http://localhost:5173".to_owned()));
    let live = parse(&["--frontend-url", "https://a.example", "--environment", "production"]);
    assert_eq!(live.allowed_origins(), ["https://a.example"]);
}
